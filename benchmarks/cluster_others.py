"""What one would run instead of a stage: condor_submit or dask-jobqueue alone, or a Prefect task for each file."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import prefect
from dask_jobqueue.htcondor import HTCondorCluster, quote_arguments, quote_environment
from distributed import Client
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run
from prefect_dask.task_runners import DaskTaskRunner

from benchmarks.cluster_figures import FanOut, Start, moment_of
from tasks import kin

__all__ = ["a_task_a_file", "condor_submit", "dask_jobqueue"]

_WORK: Final = (
    "import time; print(time.time(), open('/proc/self/stat').read().rpartition(')')[2].split()[19], flush=True)"
)
"""The moment of the work, and that of the process's birth in ticks."""
_DESCRIPTION: Final = """\
executable = {python}
arguments = "{arguments}"
transfer_executable = False
output = {path}.out
error = {path}.err
log = {path}.log
request_cpus = 1
request_memory = 512
request_disk = 1000
queue
"""


def condor_submit(folder: Path) -> Start:
    """Have one job do the work, without anything else."""
    path = folder / f"bare-{time.monotonic_ns()}"
    description = _DESCRIPTION.format(python=sys.executable, arguments=quote_arguments(["-c", _WORK]), path=path)
    called = time.time()
    with _submitted(description):
        printed = path.with_suffix(".out")
        while not (printed.exists() and printed.read_text().endswith("\n")):
            time.sleep(0.02)
    worked, born = printed.read_text().split()
    return Start(process=moment_of(int(born)) - called, work=float(worked) - called)


@contextmanager
def _submitted(description: str) -> Iterator[None]:
    ran = subprocess.run(
        ["condor_submit", "-terse", "-"], input=description, stdout=subprocess.PIPE, text=True, check=True
    )
    try:
        yield
    finally:
        subprocess.run(["condor_rm", ran.stdout.split()[0]], capture_output=True, check=False)


def dask_jobqueue(folder: Path, tls: bool = False) -> Start:
    """Have one worker do the work that a cluster of dask-jobqueue has submitted, otherwise as it comes."""
    called = time.time()
    with HTCondorCluster(n_workers=1, **_cluster(folder, tls)) as cluster, Client(cluster) as client:
        worked = client.submit(time.time, pure=False).result()
        nanny = client.submit(os.getppid, pure=False).result()
        process = moment_of(kin.born(nanny) or 0)
    return Start(process=process - called, work=worked - called)


def a_task_a_file(folder: Path, workers: int, files: int) -> tuple[FanOut, str]:
    """Do null work with a Prefect task for each file, as prefect-dask has it; return the flow run's id, too."""
    runner = DaskTaskRunner(
        cluster_class=HTCondorCluster, cluster_kwargs={"n_workers": workers, **_cluster(folder, tls=True)}
    )

    @prefect.flow(name="a task a file", task_runner=runner, persist_result=False)  # type: ignore[arg-type]
    def fan_out() -> tuple[list[float], str]:
        return [future.result() for future in _file.map(range(files))], str(flow_run.id)

    called = time.time()
    moments, run = fan_out()
    return FanOut(items=files, wall=time.time() - called, span=max(moments) - min(moments)), run


@prefect.task(name="file", cache_policy=NO_CACHE, persist_result=False)
def _file(number: int) -> float:
    return time.time()


def _cluster(folder: Path, tls: bool) -> dict[str, Any]:
    root = str(Path(__file__).parents[1])
    environment = {"HOME": str(folder), "PATH": os.environ["PATH"], "PYTHONPATH": root}
    return {
        "cores": 1,
        "processes": 1,
        "memory": "512MB",
        "disk": "1GB",
        "interface": "lo",
        "log_directory": str(folder),
        "job_extra_directives": {"environment": f'"{quote_environment(environment)}"'},
        "scheduler_options": {"dashboard_address": "127.0.0.1:0"},
        **({"security": True, "shared_temp_directory": str(folder)} if tls else {}),
    }

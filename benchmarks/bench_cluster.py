"""The cluster: what a stage on HTCondor workers costs, against what one would run instead, on one private pool.

From the call to the first line of the work, in a job that must be started for it: of ``condor_submit`` alone,
of a cluster of dask-jobqueue as it comes, and of a stage in a flow, with its subflow on a Prefect server, its
TLS, and all that watches over it. The overhead of a stage is what one with a single piece of null work takes
after that. Then a stage has 1, 4, 16 and 64 execution blocks with nothing to do, on four workers at most; and
two files of each are done with a Prefect task a file on Dask workers, to show why not.

BENCH_RUNS (default 5) and BENCH_FILES (128) set the size. A picture of it all is left in ``build/benchmarks``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from signal import SIGINT, SIGTERM, default_int_handler, signal
from typing import Final

from benchmarks.cluster_figures import FanOut, Figures
from benchmarks.cluster_plot import plot
from benchmarks.ratio import at_least, at_most, median
from benchmarks.served import prefect_server, prefect_variables
from deployments.local import environment
from deployments.local.condor.install import installed
from deployments.local.condor.pool import LocalPool, running

_RUNS, _FILES = int(os.environ.get("BENCH_RUNS", "5")), int(os.environ.get("BENCH_FILES", "128"))
_ROOT: Final = Path(__file__).parents[1]
_PROFILE: Final = """\
ppi.processing.rootDirectory = {area}
ppi.metadata.url = sqlite:///{area}/none.db
ppi.ngas.servers = 127.0.0.1:1
ppi.prefect.apiUrl = {api}
ppi.cluster.maxWorkers = 4
ppi.cluster.casa.memory = 512 MB
ppi.cluster.casa.disk = 100 MB
"""
_WAIT_SECONDS: Final = 60


def main() -> None:
    """Measure, print the ratios, and draw them; a signal ends it in order, with all that it has started."""
    before = signal(SIGTERM, default_int_handler)
    try:
        _main()
    finally:
        signal(SIGTERM, before)


def _main() -> None:
    home = environment.home()
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home, prefix="bench-cluster-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        release = installed(home / "condor", _installing)
        with running(folder / "pool", release) as pool, prefect_server(folder / "prefect") as api:
            figures = _measured(folder, pool, api)
    _tell(figures)
    path = plot(figures, _ROOT / "build" / "benchmarks" / "cluster.png")
    print(f"cluster picture: {path}", flush=True)


def _measured(folder: Path, pool: LocalPool, api: str) -> Figures:
    _write_profiles(folder, pool, api)
    command = [sys.executable, "-m", "benchmarks.cluster_runs", str(folder), str(_RUNS), str(_FILES)]
    told = {"CAPO_PATH": str(folder), "HOME": str(folder), "PYTHONPATH": str(_ROOT)}
    variables = pool.client.environment | told | prefect_variables(folder / "runs", api)
    with (folder / "runs.log").open("wb") as log:
        runs = subprocess.Popen(command, env=variables, stderr=log)
        try:
            status = runs.wait()
        finally:
            _end(runs)
    if status:
        sys.exit((folder / "runs.log").read_text())
    return Figures.model_validate_json((folder / "figures.json").read_bytes())


def _end(runs: subprocess.Popen[bytes]) -> None:
    """Let the runs take their jobs out of the queue, if they are interrupted."""
    if runs.poll() is None:
        runs.send_signal(SIGINT)
        runs.wait(_WAIT_SECONDS)


def _write_profiles(folder: Path, pool: LocalPool, api: str) -> None:
    for name, further in (("pool", pool.properties), ("alone", {})):
        lines = "".join(f"{key} = {value}\n" for key, value in further.items())
        (folder / f"{name}.properties").write_text(_PROFILE.format(area=folder / name, api=api) + lines)


def _installing(what: str, done: int, total: int) -> None:
    print(f"installing HTCondor: {what} {done}/{total}", file=sys.stderr)


def _tell(figures: Figures) -> None:
    """Print what was measured."""
    _say("load of this machine before it", figures.load, f"on {os.cpu_count()} cores")
    for way, starts in figures.starts.items():
        _say(f"first work, {way}", starts.work, f"s, of which {starts.process:.2f} until its process started")
    ppi = figures.starts["ppi"].work
    end, three = median(figures.ends), median(figures.three_stages)
    _say("stage, from its first work to its end", end, "s")
    _say("flow of three stages", three, "s")
    for where, blocks in (("on the pool", figures.blocks), ("on this machine", figures.local)):
        for number, runs in blocks.items():
            recorded = f"s, {min(run.recorded or 0 for run in runs)} task runs recorded"
            _say(f"stage of {number} execution blocks {where}", _wall(runs), recorded)
    each, constant = _line(figures)
    _say("an execution block", each * 1e3, f"ms, beside {constant:.2f} s a stage")
    at_least("cluster_first_work_dask_jobqueue_over_ppi", figures.starts["dask-jobqueue"].work / ppi, 1.0)
    at_least("cluster_first_work_condor_submit_over_ppi", figures.starts["condor_submit"].work / ppi, 0.5)
    at_most("cluster_seconds_a_stage_beside_its_first_work", end, 1.0)
    at_most("cluster_seconds_an_execution_block", each, 0.3)
    _tell_of_files(figures, each)


def _tell_of_files(figures: Figures, each: float) -> None:
    if (files := figures.files) is None:
        return
    _say(f"{files.items} files, a task each", files.wall, f"s, {files.recorded} task runs recorded")
    _say("a file, between the first and the last", files.span / (files.items - 1) * 1e3, "ms")
    most = figures.blocks[max(figures.blocks)]
    per_block = most[0].items and files.items / most[0].items
    print(f"cluster files an execution block: {per_block:g}")
    at_least("cluster_a_task_a_file_over_ppi", files.wall / _wall(most), 3.0)


def _wall(runs: Sequence[FanOut]) -> float:
    return median([run.wall for run in runs])


def _line(figures: Figures) -> tuple[float, float]:
    """Return the seconds of an execution block and of a stage without any, by least squares."""
    points = [(number, _wall(runs)) for number, runs in figures.blocks.items()]
    x, y = (sum(values) / len(points) for values in zip(*points, strict=True))
    each = sum((a - x) * (b - y) for a, b in points) / sum((a - x) ** 2 for a, _ in points)
    return each, y - each * x


def _say(what: str, figure: float, unit: str) -> None:
    print(f"cluster {what}: {figure:.3g} {unit}", flush=True)

"""The runs of the benchmark of the cluster, in a process that knows the pool and the Prefect server.

``python -m benchmarks.cluster_runs FOLDER RUNS FILES`` in an environment where the profiles `pool` and `alone` are
found; it leaves ``figures.json`` in the folder.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import prefect
import requests
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

from benchmarks.cluster_figures import FanOut, Figures, Start, Starts, moment_of
from benchmarks.cluster_others import a_task_a_file, condor_submit, dask_jobqueue
from blocks.profile import Profile
from flows._stage import stage
from flows._workers import Case
from tasks import kin
from tasks._task import task
from tasks.alma.ids import EntityId
from tasks.place import place
from tasks.usage import Work

__all__ = ["main"]

_BLOCKS: Final = (1, 4, 16, 64)
_BLOCK_RUNS: Final = 3
_RECORD_SECONDS: Final = 30.0


def main(folder: Path, runs: int, files: int) -> None:
    """Measure everything, and leave it in the folder."""
    figures = Figures(load=os.getloadavg()[0])
    _first_work(folder, runs, figures)
    _three_stages(figures)
    _blocks(figures)
    _files(folder, files, figures)
    (folder / "figures.json").write_text(figures.model_dump_json())


@task("null {uid}")
def _null(uid: str) -> tuple[float, float]:
    """Return the moment of the work, and that of the birth of the process that does it."""
    where, work = place(), Work("null", "null", uid)
    moment = where.run(work, time.time)
    return moment, moment_of(kin.born(where.run(work, os.getpid)) or 0)


@task("null {uid}")
def _block(uid: str) -> float:
    return place().run(Work("null", "null", uid), time.time)


@stage("null", resources="casa")
def _one(case: Case) -> tuple[float, float]:
    return _null.submit("one").result()


@stage("null", resources="casa")
def _many(case: Case, blocks: int) -> tuple[list[float], str]:
    futures = [_block.submit(f"uid://A002/X1/X{number:x}") for number in range(blocks)]
    return [future.result() for future in futures], str(flow_run.id)


def _case(profile: str) -> Case:
    """Return a case as a flow has it."""
    mous = EntityId.parse("uid://A001/X1/X1")
    return Case(
        Profile.load(profile), flow="null", flow_run=str(flow_run.id), observation=mous, project="2011.0.00001.S"
    )


def _first_work(folder: Path, runs: int, figures: Figures) -> None:
    """Measure all ways in turn, so that whatever drifts hits all alike, after one round for warming up."""
    ways: dict[str, Callable[[], Start]] = {
        "condor_submit": lambda: condor_submit(folder),
        "dask-jobqueue": lambda: dask_jobqueue(folder),
        "dask-jobqueue with TLS": lambda: dask_jobqueue(folder, tls=True),
        "ppi": lambda: _ppi(figures),
    }

    @prefect.flow(name="first work", persist_result=False)
    def flow() -> None:
        for name, way in ways.items():
            _say(f"warming up: {name}", way())
        figures.ends.clear()
        for _ in range(runs):
            for name, way in ways.items():
                figures.starts.setdefault(name, Starts()).starts.append(way())
                _say(name, figures.starts[name].starts[-1])

    flow()


def _ppi(figures: Figures) -> Start:
    called = time.time()
    moment, born = _one(_case("pool"))
    figures.ends.append(time.time() - moment)
    return Start(process=born - called, work=moment - called)


def _three_stages(figures: Figures) -> None:
    @prefect.flow(name="three stages", persist_result=False)
    def flow() -> None:
        for _ in range(3):
            _one(_case("pool"))

    for _ in range(_BLOCK_RUNS):
        called = time.time()
        flow()
        figures.three_stages.append(time.time() - called)
    _say("three stages", figures.three_stages)


def _blocks(figures: Figures) -> None:

    @prefect.flow(name="execution blocks", persist_result=False)
    def flow() -> None:
        for _ in range(_BLOCK_RUNS):
            for number in _BLOCKS:
                figures.blocks.setdefault(number, []).append(_fanned_out("pool", number))
                figures.local.setdefault(number, []).append(_fanned_out("alone", number))
                _say("execution blocks", figures.blocks[number][-1])

    flow()


def _fanned_out(profile: str, number: int) -> FanOut:
    case = _case(profile)
    called = time.time()
    moments, run = _many(case, number)
    wall = time.time() - called
    return FanOut(items=number, wall=wall, span=max(moments) - min(moments), recorded=_recorded(run, number))


def _files(folder: Path, files: int, figures: Figures) -> None:
    workers = Profile.load("pool").cluster.max_workers or 1
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        fan_out, run = a_task_a_file(folder, workers, files)
    figures.files = fan_out.model_copy(update={"recorded": _recorded(run, files)})
    _say("a task a file", figures.files)


def _recorded(run: str, wanted: int) -> int:
    """Return how many task runs the server knows of; it may take a while to write them down."""
    ends = time.monotonic() + _RECORD_SECONDS
    url, asked = f"{PREFECT_API_URL.value()}/task_runs/count", {"flow_runs": {"id": {"any_": [run]}}}
    while True:
        count = int(requests.post(url, json=asked, timeout=30).json())
        if count >= wanted or time.monotonic() > ends:
            return count
        time.sleep(0.2)


def _say(what: str, figure: object) -> None:
    print(f"cluster {what}: {figure}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))

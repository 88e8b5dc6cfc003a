"""However a flow ends, nothing is left of its crew: no job, queued or running, no child, no key."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from crews import left_of, processes_of, waited_for
from pools import release

from deployments.local.condor.config import Settings
from deployments.local.condor.pool import LocalPool, running
from tasks.cluster.job import Status
from tasks.cluster.pool import Pool
from tasks.cluster.tag import Tag

ROOT = Path(__file__).parents[2]
AT_ONCE_SECONDS, GONE_SECONDS = 30.0, 90.0
DEATHS = ("SIGKILL", "SIGTERM", "SIGINT", "SIGKILL of its keeper too")


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPool]:
    limits = {f"ONE_{number}": 1.0 for number, _ in enumerate(DEATHS)}
    with running(tmp_path_factory.mktemp("pool"), release(), Settings(limits=limits)) as made:
        yield made


@dataclass
class Flow:
    """A flow's process, and its crew."""

    process: subprocess.Popen[bytes]
    folder: Path
    pool: Pool

    @property
    def directory(self) -> Path:
        (found,) = (self.folder / "jobs").iterdir()
        return found

    @property
    def crew(self) -> str:
        return self.directory.name

    def is_at_work(self) -> bool:
        """Whether one job works and the other waits."""
        assert self.process.poll() is None
        if len(list(self.folder.glob("marks-*/*.began.*"))) != 1:
            return False
        states = sorted(job.status.name for job in self.pool.queue(Tag.constraint(crew=self.crew)))
        return states == [Status.IDLE.name, Status.RUNNING.name]

    def die(self, death: str) -> None:
        name, _, keeper = death.partition(" ")
        if keeper:
            (found,) = (each for each in processes_of(self.crew) if "_keeper.py" in " ".join(each.cmdline()))
            found.kill()
        self.process.send_signal(signal.Signals[name])
        self.process.wait(60)


@pytest.fixture(scope="module")
def seconds_until_gone(pool: LocalPool, tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """Let flows die in all ways at the same time; return when nothing was left of each."""
    config, programs = str(pool.client.config), str(pool.client.programs)
    flows = {}
    for number, death in enumerate(DEATHS):
        folder = tmp_path_factory.mktemp("flow")
        command = [sys.executable, str(ROOT / "tests/system/crew_flow.py"), config, programs, str(folder)]
        process = subprocess.Popen([*command, f"ONE_{number}"], cwd=ROOT, stdout=subprocess.DEVNULL)
        flows[death] = Flow(process, folder, pool.client)
    for flow in flows.values():
        waited_for(flow.is_at_work)
    begun = time.monotonic()
    for death, flow in flows.items():
        flow.die(death)
    found: dict[str, float] = {}

    def all_gone() -> bool:
        for death in flows.keys() - found.keys():
            keys = "keeper" not in death
            left = left_of(pool.client, flows[death].crew, flows[death].directory, keys=keys)
            if not left:
                found[death] = time.monotonic() - begun
        return found.keys() == flows.keys()

    waited_for(all_gone, 2 * GONE_SECONDS)
    return found


@pytest.mark.parametrize("death", DEATHS)
def test_nothing_is_left_of_a_flow_that_dies(seconds_until_gone: dict[str, float], death: str) -> None:
    assert seconds_until_gone[death] < (GONE_SECONDS if "keeper" in death else AT_ONCE_SECONDS)

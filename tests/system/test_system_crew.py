"""Whatever befalls a job of a crew is told in HTCondor's own words, and its work is done by another, once."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from crew_work import child_until, hoard, make, nap, outlast, until
from crews import SEEN_SECONDS, Working, waited_for, working

from deployments.local.condor.pool import LocalPool
from tasks.abandon import Abandoned, abandon_others
from tasks.cluster import crew as crew_module
from tasks.cluster import link
from tasks.errors import Exhausted, Failed
from tasks.usage import Work, collecting

MEGABYTE = 1 << 20
SIGNALS = {"killed": signal.SIGKILL, "told": signal.SIGTERM, "stopped": signal.SIGSTOP}
HEARTBEAT_SECONDS = 15.0
"""How long a worker may be silent here; HTCondor says of a stopped one that it runs. Otherwise it is minutes."""
SECRET = "pl4nted" + "-in-memory"
BEFALLS = {
    "removed": "was removed: by a test",
    "held": "was held: by a test",
    "vacated": "was evicted: ",
    "killed": "was ended by signal 9",
    "told": "ended with exit code 0",
    "stopped": "was not heard for ",
}


@dataclass
class Befallen:
    seconds_until_told: float
    sentences: list[str]
    result: str
    began: int
    ended: int


def befall(crew: Working, event: str) -> str:
    """Do something to the job that works on the piece of that name; return the job."""
    job = crew.job_of(event)
    by_hand = ("-reason", "by a test", job)
    if event == "removed":
        crew.pool.run("condor_rm", *by_hand)
    elif event == "held":
        crew.pool.run("condor_hold", *by_hand)
    elif event == "vacated":
        crew.pool.run("condor_vacate_job", job)
    else:
        os.kill(crew.pid_of(job), SIGNALS[event])
    return job


@pytest.fixture(scope="module")
def befallen(shared_pool: LocalPool, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Befallen]:
    """Let everything befall the jobs of one crew at the same time; each waits for a child, as for CASA."""
    names = (*BEFALLS, "spared")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(link._CONFIG, "distributed.scheduler.worker-ttl", f"{HEARTBEAT_SECONDS:.0f}s")
        return _befallen(shared_pool, tmp_path_factory.mktemp("crew"), names)


def _befallen(pool: LocalPool, folder: Path, names: tuple[str, ...]) -> dict[str, Befallen]:
    with working(pool.client, folder, most=7) as crew:
        asked = {name: crew.do(name, child_until, "go") for name in names}
        waited_for(lambda: crew.begun(*names))
        since = time.monotonic()
        jobs = {name: befall(crew, name) for name in BEFALLS}
        for job in jobs.values():
            crew.told(f"ob {job} ", HEARTBEAT_SECONDS + 2 * SEEN_SECONDS)
        waited_for(lambda: all(crew.count(name, "began") == 2 for name in BEFALLS))
        crew.flag("go")
        results = {name: each.result(60) for name, each in asked.items()}
    return {
        name: Befallen(
            crew.told_after(since, f"ob {jobs[name]} ") if name in jobs else 0.0,
            [sentence for _, sentence in crew.heard if name in jobs and f"ob {jobs[name]} " in sentence],
            results[name],
            crew.count(name, "began"),
            crew.count(name, "ended"),
        )
        for name in names
    }


@pytest.mark.parametrize(("event", "words"), BEFALLS.items())
def test_what_befalls_a_job_is_told_once_and_its_work_done_again(
    befallen: dict[str, Befallen], event: str, words: str
) -> None:
    found = befallen[event]
    assert len(found.sentences) == 1
    assert words in found.sentences[0]
    assert found.sentences[0].endswith(f"child_until {event} is tried again")
    assert found.seconds_until_told < SEEN_SECONDS + (2 * HEARTBEAT_SECONDS if event == "stopped" else 0)
    assert (found.result, found.began, found.ended) == (event, 2, 1)


def test_what_befalls_others_is_nothing_to_a_job(befallen: dict[str, Befallen]) -> None:
    assert (befallen["spared"].began, befallen["spared"].ended) == (1, 1)


def test_all_jobs_are_removed_at_once_and_what_was_finished_is_not_done_again(
    shared_pool: LocalPool, tmp_path: Path
) -> None:
    finished, busy = [f"done-{number}" for number in range(3)], [f"busy-{number}" for number in range(3)]
    with working(shared_pool.client, tmp_path, most=3) as crew:
        assert [crew.do(name, nap, 0.1).result(60) for name in finished] == finished
        asked = [crew.do(name, until, "go") for name in busy]
        waited_for(lambda: crew.begun(*busy))
        since = time.monotonic()
        crew.pool.run("condor_rm", *(job.id for job in crew.jobs()))
        crew.told("was removed: via condor_rm")
        waited_for(lambda: all(crew.count(name, "began") == 2 for name in busy))
        crew.flag("go")
        assert [each.result(60) for each in asked] == busy
        assert crew.told_after(since, "was removed") < SEEN_SECONDS
    assert [crew.count(name, "began") for name in finished] == [1, 1, 1]
    assert [crew.count(name, "ended") for name in busy] == [1, 1, 1]


def test_too_much_memory_is_given_more_up_to_the_limit(shared_pool: LocalPool, tmp_path: Path) -> None:
    with working(shared_pool.client, tmp_path, memory_limit=1000 * MEGABYTE) as crew, collecting() as usages:
        grows, never = crew.do("grows", hoard, 600, "go"), crew.do("never", hoard, 1500, "go")
        waited_for(lambda: crew.count("grows", "began") == 2 and crew.count("never", "began") == 2)
        with pytest.raises(Failed, match=r"ran out of memory: .*\(the limit\).*casa\.memoryLimit"):
            never.result(120)
        crew.flag("go")
        assert grows.result(60) == "grows"
        (usage,) = usages
        assert (usage.requested_memory, usage.attempts) == (1000 * MEGABYTE, 2)
        assert 600 * MEGABYTE < (usage.peak_memory or 0) < 1000 * MEGABYTE
        assert "ran out of memory" in crew.told("hoard grows is tried again")
    assert [crew.count(name, "ended") for name in ("grows", "never")] == [1, 0]


def test_a_job_that_takes_longer_than_its_class_may(shared_pool: LocalPool, tmp_path: Path) -> None:
    with working(shared_pool.client, tmp_path, walltime=30.0) as crew:
        begun = time.monotonic()
        children, deaf = crew.do("children", child_until, "never"), crew.do("deaf", nap, 600.0)
        for each in (children, deaf):
            with pytest.raises(Failed, match=r"ran out of time: .*raise ppi\.cluster\.casa\.walltime"):
                each.result(90)
        assert time.monotonic() - begun < 90
    assert [crew.count(name, "began") for name in ("children", "deaf")] == [1, 1], crew.heard


def test_a_worker_dies_with_a_result_that_nobody_has_yet(
    shared_pool: LocalPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is gone before what it made could be brought: others' results stay, and this one is made anew."""
    bring, lost = crew_module._result, list[Any]()

    def bring_later(future: Any) -> Any:
        if not lost:
            lost.append(future)
            crew.pool.run("condor_rm", *(job.id for job in crew.jobs()))
            raise TimeoutError
        return bring(future)

    with working(shared_pool.client, tmp_path, most=1) as crew:
        assert crew.do("early", make, 1).result(60) == bytes(MEGABYTE)
        monkeypatch.setattr(crew_module, "_result", bring_later)
        assert crew.do("late", make, 20).result(90) == bytes(20 * MEGABYTE)
    assert crew.count("early", "ended") == 1
    assert crew.count("late", "ended") == 2


def test_work_that_fails_is_not_tried_again(shared_pool: LocalPool, tmp_path: Path) -> None:
    with working(shared_pool.client, tmp_path) as crew:
        with pytest.raises(Failed, match="it is the test's wish"):
            crew.do("bad", outlast, "it is the test's wish").result(60)
        assert crew.heard == []
    assert crew.count("bad", "began") == 1


def test_losses_are_bounded_and_what_a_worker_cannot_read_is_not_written_down(
    shared_pool: LocalPool, tmp_path: Path
) -> None:
    with working(shared_pool.client, tmp_path) as crew:
        dies = crew.do("dies", outlast, "")
        unknown = Work("process", "unknown to workers", "which cannot import it")
        unread = crew.threads.submit(crew.crew.run, unknown, until, crew.folder, "unread", SECRET)
        with pytest.raises(Exhausted, match=r"its job was ended 4 times; at last job \S+ ended with exit code 7"):
            dies.result(90)
        with pytest.raises((Exhausted, ModuleNotFoundError), match="No module named 'crew_work'"):
            unread.result(90)
        files = [path for path in crew.directory.glob("[!.]*") if path.is_file()]
    assert crew.count("dies", "began") == 4
    assert [path for path in files if SECRET in path.read_text(errors="replace")] == []
    assert not [sentence for _, sentence in crew.heard if SECRET in sentence]


def test_what_failing_work_is_done_with_is_not_written_down(shared_pool: LocalPool, tmp_path: Path) -> None:
    with working(shared_pool.client, tmp_path) as crew:
        with pytest.raises(Failed, match=SECRET):
            crew.do("bad", outlast, SECRET).result(60)
        written = "".join(path.read_text() for path in crew.directory.glob("*.err"))
    assert "Task:" in written
    assert SECRET not in "".join(line for line in written.splitlines() if line.startswith("Task:"))


def test_work_that_nobody_wants_any_more_is_given_up_at_once(shared_pool: LocalPool, tmp_path: Path) -> None:
    with working(shared_pool.client, tmp_path) as crew:
        one = crew.do("one", child_until, "never")
        waited_for(lambda: crew.begun("one"))
        begun = time.monotonic()
        abandon_others()
        with pytest.raises(Abandoned):
            one.result(5)
    assert time.monotonic() - begun < SEEN_SECONDS
    assert crew.count("one", "ended") == 0


def test_a_board_that_cannot_be_written_stops_no_work(shared_pool: LocalPool, tmp_path: Path) -> None:
    with working(shared_pool.client, tmp_path) as crew:
        (crew.directory / ".crew.json.draft").mkdir()
        assert crew.do("one", nap, 0.1).result(60) == "one"
        assert "could not be written down" in crew.heard[0][1]


def test_a_small_worker_makes_room_for_a_larger_one(shared_pool: LocalPool, tmp_path: Path) -> None:
    def memory(work: Work) -> int:
        return {"small": 500, "large": 800}[work.item] * MEGABYTE

    with working(shared_pool.client, tmp_path, most=1, memory=memory) as crew:
        small = crew.do("small", until, "go")
        waited_for(lambda: crew.begun("small"))
        large = crew.do("large", nap, 0.1)
        crew.flag("go")
        assert (small.result(60), large.result(60)) == ("small", "large")
        assert [row.requested_memory for row in crew.crew.rows()] == [500 * MEGABYTE, 800 * MEGABYTE]

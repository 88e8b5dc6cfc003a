"""A pool that is away, refuses, has no room or loses its memory: it is told why, and waited for or given up."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from crew_work import child_until, nap, until
from crews import SEEN_SECONDS, waited_for, working
from pools import release

from deployments.local.condor.config import Settings
from deployments.local.condor.pool import LocalPool, running
from tasks.cluster import watch
from tasks.errors import Exhausted, Failed, Refused

GIVEN_UP_SECONDS = 90.0
BACK_SECONDS = 120.0
RULES = {
    "SUBMIT_REQUIREMENT_NAMES": "Group Modest",
    "SUBMIT_REQUIREMENT_Group": 'AcctGroup =!= "unheard_of"',
    "SUBMIT_REQUIREMENT_Group_REASON": '"nobody has heard of that group"',
    "SUBMIT_REQUIREMENT_Modest": "RequestMemory < 5000",
    "SUBMIT_REQUIREMENT_Modest_REASON": '"that is too much memory"',
}


@pytest.fixture(scope="module")
def own_pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPool]:
    """A pool that is stopped and killed."""
    with running(tmp_path_factory.mktemp("pool"), release(), Settings(limits={"ONE": 1}, further=RULES)) as made:
        yield made


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"requirements": "TARGET.NodeClass == ((("}, "TARGET.NodeClass == \\(\\(\\("),
        ({"accounting_group": "unheard_of"}, "nobody has heard of that group"),
    ],
)
def test_a_job_that_htcondor_refuses(own_pool: LocalPool, tmp_path: Path, asked: dict[str, str], why: str) -> None:
    with working(own_pool.client, tmp_path, **asked) as crew:
        begun = time.monotonic()
        with pytest.raises(Refused, match=why):
            crew.do("one", nap, 0.1).result(GIVEN_UP_SECONDS)
        assert crew.told_after(begun, "A job could not be submitted: ") < SEEN_SECONDS
        with pytest.raises(Refused, match=why):
            crew.do("later", nap, 0.1).result(5)


def test_while_others_work_a_refusal_may_pass(own_pool: LocalPool, tmp_path: Path) -> None:
    needs = {"small": 10**9, "large": 9 * 10**9}
    with working(own_pool.client, tmp_path, memory=lambda work: needs[work.item], memory_limit=10**10) as crew:
        small = crew.do("small", until, "go")
        waited_for(lambda: crew.begun("small"))
        large = crew.do("large", nap, 0.1)
        assert "that is too much memory" in crew.told("A job could not be submitted")
        with pytest.raises(TimeoutError):
            large.result(6)
        crew.flag("go")
        assert small.result(60) == "small"
        with pytest.raises(Refused, match="that is too much memory"):
            large.result(GIVEN_UP_SECONDS)


def test_jobs_that_cannot_begin(own_pool: LocalPool, tmp_path: Path) -> None:
    with working(own_pool.client, tmp_path, python=tmp_path / "no" / "python") as crew:
        begun = time.monotonic()
        with pytest.raises(Failed, match=r"(?s)3 jobs in a row ended before.*exit code 12.*no/python.*ppi doctor"):
            crew.do("one", nap, 0.1).result(GIVEN_UP_SECONDS)
        assert crew.told_after(begun, "no/python") < SEEN_SECONDS
    assert crew.count("one", "began") == 0


def test_jobs_that_are_never_heard(own_pool: LocalPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_STARTING_SECONDS", 3.0)
    monkeypatch.setattr(watch, "_SILENT_SECONDS", 1.0)
    deaf = tmp_path / "python"
    deaf.write_text("#!/bin/sh\nexec sleep 600\n")
    deaf.chmod(0o700)
    with working(own_pool.client, tmp_path, python=deaf) as crew:
        with pytest.raises(
            Failed, match=r"3 jobs in a row ended before.*not heard for .*HTCondor tells no end of it"
        ):
            crew.do("one", nap, 0.1).result(GIVEN_UP_SECONDS)
        assert crew.count("one", "began") == 0


def test_jobs_that_cannot_write_their_logs(own_pool: LocalPool, tmp_path: Path) -> None:
    with working(own_pool.client, tmp_path) as crew:
        crew.directory.chmod(0o500)
        begun = time.monotonic()
        try:
            with pytest.raises(Failed, match=r"(?s)3 jobs in a row ended before.*held: .*standard output"):
                crew.do("one", nap, 0.1).result(GIVEN_UP_SECONDS)
        finally:
            crew.directory.chmod(0o700)
        assert crew.told_after(begun, "standard output") < SEEN_SECONDS


def test_a_job_that_no_node_can_run(own_pool: LocalPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_HOPELESS_SECONDS", 20.0)
    with working(own_pool.client, tmp_path, requirements='TARGET.NodeClass == "none"') as crew:
        begun = time.monotonic()
        with pytest.raises(Exhausted, match=r"no slot of the pool could ever run it .*casa\.requirements"):
            crew.do("one", nap, 0.1).result(GIVEN_UP_SECONDS)
        assert crew.told_after(begun, "no slot of the pool could ever run it") < SEEN_SECONDS


def test_a_job_that_waits_for_a_limit_is_not_given_up(
    own_pool: LocalPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_HOPELESS_SECONDS", 0.0)
    with working(own_pool.client, tmp_path, concurrency_limits="ONE") as crew:
        asked = [crew.do(name, until, name) for name in ("one", "two")]
        assert "concurrency limit" in crew.told("has waited for")
        crew.flag("one")
        crew.flag("two")
        assert [each.result(60) for each in asked] == ["one", "two"]


def test_a_pool_that_is_away_when_a_job_is_to_be_submitted(own_pool: LocalPool, tmp_path: Path) -> None:
    own_pool.stop()
    with working(own_pool.client, tmp_path) as crew:
        begun = time.monotonic()
        one = crew.do("one", nap, 0.1)
        crew.told("The pool does not answer, which says nothing of the jobs: ")
        assert time.monotonic() - begun < SEEN_SECONDS
        own_pool.start()
        assert one.result(BACK_SECONDS) == "one"


@pytest.mark.parametrize("daemon", ["schedd", "negotiator"])
def test_a_daemon_that_is_killed(own_pool: LocalPool, tmp_path: Path, daemon: str) -> None:
    """What runs goes on, or is done again; what is asked for meanwhile is done."""
    with working(own_pool.client, tmp_path) as crew:
        asked = [crew.do("before", child_until, "go")]
        waited_for(lambda: crew.begun("before"))
        own_pool.kill(daemon)
        asked.append(crew.do("after", child_until, "go"))
        waited_for(lambda: crew.begun("after"), BACK_SECONDS)
        crew.flag("go")
        assert [each.result(BACK_SECONDS) for each in asked] == ["before", "after"]
    assert [crew.count(name, "ended") for name in ("before", "after")] == [1, 1]
    assert crew.count("before", "began") == 1


def test_a_pool_that_is_stopped_and_started(own_pool: LocalPool, tmp_path: Path) -> None:
    with working(own_pool.client, tmp_path) as crew:
        finished = crew.do("finished", nap, 0.1).result(60)
        busy = crew.do("busy", child_until, "go")
        waited_for(lambda: crew.begun("busy"))
        own_pool.stop()
        crew.told("The pool does not answer, which says nothing of the jobs: ")
        own_pool.start()
        waited_for(lambda: crew.count("busy", "began") == 2, BACK_SECONDS)
        crew.flag("go")
        assert (finished, busy.result(60)) == ("finished", "busy")
    assert [crew.count(name, "ended") for name in ("finished", "busy")] == [1, 1]
    assert crew.count("finished", "began") == 1

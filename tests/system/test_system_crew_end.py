"""A stage ends at once whatever the pool does, and the time that others had of a job is not held against work."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from crew_work import nap, once_for_ever, until
from crews import left_of, waited, waited_for, working
from pools import MakePool

from deployments.local.condor.pool import LocalPool
from tasks.cluster import dispatcher
from tasks.cluster.orphans import OWNER
from tasks.cluster.tag import Owner

END_SECONDS = 15.0


class Interrupted(BaseException):
    """As Ctrl-C."""


def test_an_interrupted_stage_does_not_wait_for_a_schedd_that_hangs(make_pool: MakePool, tmp_path: Path) -> None:
    pool = make_pool()
    schedd = pool.processes()["schedd"]
    try:
        with pytest.raises(Interrupted), working(pool.client, tmp_path, most=2) as crew:
            crew.do("one", until, "never")
            waited_for(lambda: crew.begun("one"))
            schedd.suspend()
            time.sleep(2)  # so that a question is under way
            begun = time.monotonic()
            raise Interrupted
        assert time.monotonic() - begun < END_SECONDS
        assert not list(crew.directory.glob("tls*"))
    finally:
        schedd.resume()
    assert waited(lambda: not left_of(pool.client, crew.tag.crew, crew.directory)), "the keeper sees to that"


def test_what_is_cut_short_by_the_end_of_its_job_s_time_is_done_by_another(
    shared_pool: LocalPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "_PRIME", 1.0)
    with working(shared_pool.client, tmp_path, most=1, walltime=26.0) as crew:
        first = crew.do("first", nap, 16.0)
        waited_for(lambda: crew.begun("first"))
        second = crew.do("second", once_for_ever)
        assert (first.result(60), second.result(90)) == ("first", "second")
        assert crew.told("ran out of time").endswith("once_for_ever second is tried again")


def test_a_worker_that_had_its_time_takes_no_more_work(
    shared_pool: LocalPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "_PRIME", 0.001)
    with working(shared_pool.client, tmp_path, most=1) as crew:
        asked = [crew.do(name, nap, 1.0) for name in ("one", "two")]
        assert [each.result(90) for each in asked] == ["one", "two"]
        assert sorted(row.did for row in crew.crew.rows()) == ["nap one", "nap two"]


def test_a_crew_says_whose_it_is_so_that_its_keys_can_be_told_from_those_of_the_dead(
    shared_pool: LocalPool, tmp_path: Path
) -> None:
    with working(shared_pool.client, tmp_path) as crew:
        assert Owner.read((crew.directory / OWNER).read_text()) == crew.tag.owner

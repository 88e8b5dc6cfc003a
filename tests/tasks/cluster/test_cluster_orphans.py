"""Jobs and keys whose flow is gone are found; those of one that lives, or that cannot be seen, are left alone."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from tasks.cluster.job import Job, Status
from tasks.cluster.orphans import KEYS, dead_keys, orphans, sign
from tasks.cluster.tag import Owner, Tag, own


def dead() -> Owner:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        return own(os.uname().nodename, process.pid)


def elsewhere() -> Owner:
    return Owner("far", "another boot another namespace", 1, 1)


def job(number: int, owner: Owner, crew: str = "c1", run: str = "r1", status: Status = Status.IDLE) -> Job:
    tag = Tag("p", "2017.1", "uid://A001/X1/X2", "restore-ous", "gather", run, crew, owner)
    return Job(id=f"{number}.0", tag=tag, status=status)


def never(run: str) -> bool:
    return False


def test_jobs_of_a_flow_that_lives_are_no_orphans() -> None:
    ours = own(os.uname().nodename, os.getpid())
    assert orphans([job(1, ours), Job(id="2.0")], lambda run: True) == ()


def test_jobs_of_a_flow_that_is_gone_are_orphans_by_crew() -> None:
    owner = dead()
    jobs = [job(1, owner), job(2, owner, "c2"), job(3, owner), job(4, owner, status=Status.REMOVED)]
    found = orphans(jobs, never)
    assert {orphan.crew: [each.id for each in orphan.jobs] for orphan in found} == {
        "c1": ["1.0", "3.0"],
        "c2": ["2.0"],
    }
    assert all(orphan.is_certain and orphan.why == f"{owner} is gone" for orphan in found)


def test_another_s_number_is_not_the_owner_s() -> None:
    ours = own(os.uname().nodename, os.getpid())
    (orphan,) = orphans([job(1, replace(ours, born=ours.born + 1))], never)
    assert orphan.is_certain


def test_jobs_of_another_host_are_orphans_only_when_their_run_has_ended() -> None:
    (told,) = orphans([job(1, elsewhere())], never)
    assert not told.is_certain
    assert "cannot be seen" in told.why
    (orphan,) = orphans([job(1, elsewhere())], lambda run: run == "r1")
    assert orphan.is_certain


def test_keys_are_left_to_who_may_live(tmp_path: Path) -> None:
    owners = {"dead": dead(), "alive": own(os.uname().nodename, os.getpid()), "far": elsewhere()}
    for name in (*owners, "unsigned"):
        (tmp_path / name / KEYS).mkdir(parents=True)
    for name, owner in owners.items():
        sign(tmp_path / name, owner)
    (tmp_path / "no-crew").mkdir()
    assert dead_keys(tmp_path) == (tmp_path / "dead" / KEYS,)
    assert dead_keys(tmp_path / "nowhere") == ()

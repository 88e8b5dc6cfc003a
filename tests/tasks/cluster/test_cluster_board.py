"""What a crew says of its jobs is read back, whatever lies beside it; joined with what HTCondor says."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tasks.cluster.board import Board, Boards, Entry, boards, read, write
from tasks.cluster.job import Job, Status
from tasks.cluster.seen import SeenJob, from_boards, joined
from tasks.cluster.tag import Owner, Tag
from tasks.errors import Failed

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
BLOCK = "uid://A002/Xc72427/X2dfe"
WORKS = Entry(
    name="w-1", job="17.0", step="restore", item=BLOCK, state="works", requested_memory=10**9, since=NOON
)


def board(crew: str = "c1", *entries: Entry, minutes: int = 0) -> Board:
    return Board(
        crew=crew, profile="site-test", project="2017.1.00886.L", observation="uid://A001/X1284/X265f",
        flow="restore-ous", flow_run="run-1", stage="process", written=NOON + timedelta(minutes=minutes),
        entries=entries,
    )  # fmt: skip


def put(logs: Path, content: Board | bytes, crew: str = "") -> Path:
    directory = logs / (crew or (content.crew if isinstance(content, Board) else "broken"))
    directory.mkdir(parents=True)
    if isinstance(content, Board):
        write(directory, content)
    else:
        (directory / "crew.json").write_bytes(content)
    return directory


def test_what_is_written_is_read_back_and_written_anew(tmp_path: Path) -> None:
    directory = put(tmp_path, board("c1", WORKS))
    assert read(directory) == board("c1", WORKS)
    write(directory, board("c1"))
    assert read(directory) == board("c1")
    assert [path.name for path in directory.iterdir()] == ["crew.json"]


def test_all_boards_are_found_the_newest_first(tmp_path: Path) -> None:
    for number, crew in enumerate(("b", "c", "a")):
        put(tmp_path, board(crew, minutes=number))
    (tmp_path / "without").mkdir()
    (tmp_path / "a file").touch()
    put(tmp_path, board("hidden"), ".hidden")
    assert [each.crew for each in boards(tmp_path).found] == ["a", "c", "b"]
    assert boards(tmp_path).unread == ()
    assert boards(tmp_path / "none") == Boards()


@pytest.mark.parametrize("content", [b"", b'{"crew": "c1"', b"\xff\x00", b"[]", b'{"crew": "c1"}'])
def test_one_that_cannot_be_read_is_told_and_hides_no_other(tmp_path: Path, content: bytes) -> None:
    broken = put(tmp_path, content)
    put(tmp_path, board("c1", WORKS))
    told = boards(tmp_path)
    assert [each.crew for each in told.found] == ["c1"]
    assert len(told.unread) == 1
    assert str(broken) in told.unread[0]
    with pytest.raises(Failed):
        read(broken)


def test_those_that_nobody_wrote_for_long_are_left_out(tmp_path: Path) -> None:
    for crew, hours in (("old", 0), ("new", 2)):
        when = (NOON + timedelta(hours=hours)).timestamp()
        os.utime(put(tmp_path, board(crew)) / "crew.json", (when, when))
    assert [each.crew for each in boards(tmp_path, NOON + timedelta(hours=1)).found] == ["new"]


def tag(crew: str = "c1", flow_run: str = "run-1") -> Tag:
    return Tag(
        "site-test", "2017.1.00886.L", "uid://A001/X1284/X265f", "restore-ous", "process", flow_run, crew,
        Owner("host", "machine", 1, 1),
    )  # fmt: skip


def job(**known: object) -> Job:
    return Job.model_validate({"id": "17.0", "name": "w-1", "tag": tag(), "submitted": NOON} | known)


def seen(told: Job, *entries: Entry) -> SeenJob:
    (one,) = joined([told], [board("c1", *entries)], NOON + timedelta(seconds=90))
    return one


def test_a_job_that_works_is_known_from_both_sides() -> None:
    told = job(status=Status.RUNNING, started=NOON + timedelta(seconds=30), host="slot1_1@node", memory=5)
    one = seen(told, WORKS)
    assert (one.step, one.item, one.stage, one.flow_run) == ("restore", BLOCK, "process", "run-1")
    assert (one.status, one.slot, one.age_seconds, one.wall_seconds) == ("running", "slot1_1@node", 90.0, 60.0)
    assert (one.memory, one.requested_memory, one.reason) == (5, 10**9, None)
    assert seen(job(requested_memory=7), WORKS).requested_memory == 7


def test_a_job_of_which_its_crew_says_nothing_is_known_by_its_tag() -> None:
    one = seen(job(status=Status.IDLE))
    assert (one.crew, one.stage, one.observation, one.item) == ("c1", "process", "uid://A001/X1284/X265f", "")


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        ({"status": Status.HELD, "hold_reason": "too much memory"}, "too much memory"),
        ({"status": Status.IDLE, "reject_reason": "no match"}, "no match"),
        ({"status": Status.IDLE, "starts": 1, "vacate_reason": "evicted", "reject_reason": "no"}, "evicted"),
        ({"status": Status.REMOVED, "remove_reason": "by hand", "hold_reason": "old"}, "by hand"),
        ({"status": Status.RUNNING, "starts": 1, "hold_reason": "long ago"}, None),
        ({"status": Status.RUNNING, "starts": 2, "vacate_reason": "evicted"}, "evicted"),
        ({"status": Status.UNKNOWN}, None),
    ],
)
def test_the_reason_is_that_of_what_it_does_now(known: dict[str, object], reason: str | None) -> None:
    assert seen(job(**known)).reason == reason


def test_a_clock_that_is_behind_makes_no_age_below_zero() -> None:
    assert seen(job(submitted=NOON + timedelta(hours=1))).age_seconds == 0.0


def test_a_job_of_somebody_else_is_none_of_ours_and_one_that_could_not_be_queued_is() -> None:
    waits = Entry(name="w-2", state="is refused", since=NOON)
    gone = Entry(name="w-3", job="18.0", since=NOON)
    found = joined([job(tag=None)], [board("c1", waits, gone)], NOON)
    assert [(one.name, one.id, one.status, one.state) for one in found] == [("w-2", "", "unknown", "is refused")]


def test_where_htcondor_is_not_heard_the_crews_are_believed() -> None:
    over = Entry(name="w-2", job="18.0", state="has ended", is_over=True, since=NOON)
    (one,) = from_boards([board("c1", WORKS, over)])
    assert (one.id, one.item, one.status, one.requested_memory) == ("17.0", BLOCK, "unknown", 10**9)

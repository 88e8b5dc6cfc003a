"""Attempts: an interrupted one is taken up again, no other; and the directories are where the PPR says."""

from __future__ import annotations

import multiprocessing
import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from killed_moments import moments
from workspace_examples import BLOCKS, KEY, MOUS, OTHER, PROJECT, attempt, content

from tasks.alma import ArchiveFile, ExecutionBlock, ObservingUnitSet, Session
from tasks.errors import Failed, Transient
from tasks.ppr.compose import compose
from tasks.ppr.procedures import RESTORE
from tasks.workspace.layout import Area, Tree


@pytest.fixture
def area(tmp_path: Path) -> Area:
    with (area := Area(tmp_path / "area")).held(MOUS):
        return area


def test_an_interrupted_attempt_is_taken_up_again(area: Area) -> None:
    begun = attempt(area)
    (begun.working / "record.json").touch()
    again = attempt(area)
    assert again == begun
    assert [folder.is_dir() for folder in (again.rawdata, again.working, again.products)] == [True] * 3
    assert area.attempts() == [(MOUS, begun.attempt)]


def test_an_attempt_with_another_key_or_of_another_observation_is_left_alone(area: Area) -> None:
    others = [attempt(area, "another key"), attempt(area, KEY, OTHER)]
    before = content(area.root)
    mine = attempt(area)
    assert mine.attempt not in [other.attempt for other in others]
    assert before.items() <= content(area.root).items()
    area.discard(MOUS, KEY, PROJECT, datetime.now(UTC))
    assert content(area.root) == before


def test_of_several_attempts_the_newest_is_taken_up(area: Area) -> None:
    stamps = [datetime(2026, 5, day, tzinfo=UTC) for day in (4, 12, 9)]
    for stamp in stamps:
        tree = area.attempt(MOUS, f"{stamp}", PROJECT, lambda _, at=stamp: f"{PROJECT}_{at:%Y_%m_%d}/MOUS")
        marker = tree.attempt / "attempt.json"
        marker.write_text(marker.read_text().replace(f"{stamp}", KEY))
    assert attempt(area).relative == f"{PROJECT}_2026_05_12/MOUS"
    area.discard(MOUS, KEY, PROJECT, datetime.now(UTC))
    assert area.attempts() == []


def test_attempts_that_begin_at_the_same_moment_have_directories_of_their_own(area: Area) -> None:
    """Runs of several observations of one project do not exclude one another."""
    paths = iter([f"{PROJECT}_{name}/MOUS" for name in ("now", "now", "now", "later")])
    trees = [area.attempt(mous, KEY, PROJECT, lambda _: next(paths)) for mous in (MOUS, OTHER)]
    assert [tree.attempt.name for tree in trees] == [f"{PROJECT}_now", f"{PROJECT}_later"]
    assert area.attempts() == [(OTHER, trees[1].attempt), (MOUS, trees[0].attempt)]


def test_an_attempt_is_begun_whole_or_not_at_all(area: Area) -> None:
    empty = content(area.root)
    for _ in moments(lambda: attempt(area)):
        found = area.attempts()
        tree = attempt(area)
        assert found in ([], [(MOUS, tree.attempt)])
        assert [path.name for path in area.root.glob(f"{PROJECT}_*")] == [tree.attempt.name]
        area.discard(MOUS, KEY, PROJECT, datetime.now(UTC))
        assert content(area.root) == empty


def test_an_attempt_is_there_whole_or_gone_whenever_its_clearing_is_interrupted(area: Area) -> None:
    empty = content(area.root)
    whole = content(attempt(area).attempt)
    for _ in moments(lambda: area.discard(MOUS, KEY, PROJECT, datetime.now(UTC))):
        assert [content(path) for _, path in area.attempts()] in ([], [whole])
        area.discard(MOUS, KEY, PROJECT, datetime.now(UTC))
        assert content(area.root) == empty
        attempt(area)


def test_an_attempt_to_do_it_anew_outlives_the_clearing_of_the_one_that_is_delivered(area: Area) -> None:
    delivered = attempt(area)
    finished = datetime.now(UTC)
    area.discard(MOUS, KEY, PROJECT, finished)
    anew = attempt(area)
    assert anew.stamp > finished
    area.discard(MOUS, KEY, PROJECT, finished)
    assert not delivered.attempt.exists()
    assert attempt(area) == anew


def test_a_spoilt_attempt_is_named(area: Area) -> None:
    marker = attempt(area).attempt / "attempt.json"
    marker.write_text('{"observation": "nonsense"}')
    with pytest.raises(Failed, match=r"attempt\.json.*Next: .*away"):
        attempt(area)
    with pytest.raises(Failed, match=r"attempt\.json"):
        area.attempts()


def test_directories_are_where_the_request_says(area: Area) -> None:
    stamp = datetime(2018, 11, 20, 17, 30, 0, 123_456, tzinfo=UTC)

    def request(stamp: datetime) -> str:
        asked = compose(
            _observation(), RESTORE, stamp=stamp, site="LOCAL", operator="ppi", execution_blocks=BLOCKS
        )
        return asked.data_set.relative_path

    tree = Tree(area.root, request(stamp), stamp)
    assert tree.mous == area.root / request(stamp)
    assert request(stamp).startswith(f"{PROJECT}_2018_11_20T17_30_00.123/SOUS_")
    assert tree.attempt == area.root / f"{PROJECT}_2018_11_20T17_30_00.123"
    assert {path.relative_to(tree.mous).as_posix() for path in (tree.rawdata, tree.working, tree.products)} == {
        "rawdata", "working", "products",
    }  # fmt: skip
    begun = area.attempt(MOUS, KEY, PROJECT, request)
    assert begun.relative == request(begun.stamp), "the request of a later run bears the same path"
    assert attempt(area).relative == request(begun.stamp)


def _observation() -> ObservingUnitSet:
    raws = {uid: ArchiveFile(file_id=f"{uid.file_form}.asdm.sdm.tar", file_class="raw", size=1) for uid in BLOCKS}
    return ObservingUnitSet(
        mous=MOUS, gous=OTHER, sous=OTHER, project_code=PROJECT, project_uid=OTHER, project_status=None,
        part_id=None, sched_block=OTHER, sched_block_status=OTHER, state=None, qa2_status=None, products=(),
        delivery=None,
        sessions=(Session(number=1, execution_blocks=BLOCKS, start=None, end=None),),
        execution_blocks=tuple(ExecutionBlock(uid=uid, sched_block=None, raw=raw) for uid, raw in raws.items()),
    )  # fmt: skip


def test_only_the_owner_may_look_into_an_area_and_its_attempts(tmp_path: Path) -> None:
    area = Area(tmp_path / "new" / "area")
    with area.held(MOUS):
        tree = attempt(area)
    for folder in (area.root, tree.attempt):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_an_execution_block_gets_a_directory_of_its_own_at_each_attempt(area: Area) -> None:
    tree = attempt(area)
    first, second = tree.new_attempt("uid___A002_X1_X1"), tree.new_attempt("uid___A002_X1_X1")
    longer = tree.new_attempt("uid___A002_X1_X10")
    assert [path.name for path in (first, second, longer)] == [
        "uid___A002_X1_X1.1", "uid___A002_X1_X1.2", "uid___A002_X1_X10.1",
    ]  # fmt: skip
    first.rmdir()
    assert tree.new_attempt("uid___A002_X1_X1").name == "uid___A002_X1_X1.3"


def test_an_observation_is_held_against_other_processes_and_no_longer_than_its_holder_lives(area: Area) -> None:
    context = multiprocessing.get_context("fork")
    held, over = context.Event(), context.Event()

    def hold() -> None:
        with area.held(MOUS):
            held.set()
            over.wait(60)

    holder = context.Process(target=hold)
    holder.start()
    assert held.wait(10)
    assert (area.is_held(MOUS), area.is_held(OTHER)) == (True, False)
    with (
        pytest.raises(Transient, match=rf"{MOUS}.*process {holder.pid} on {os.uname().nodename}"),
        area.held(MOUS),
    ):
        pass
    with area.held(OTHER):
        pass
    holder.kill()
    holder.join()
    assert not area.is_held(MOUS)
    with area.held(MOUS):
        assert area.is_held(MOUS)


def test_an_attempt_that_would_not_fit_is_not_begun(area: Area) -> None:
    with pytest.raises(Transient, match="not enough space"):
        area.attempt(MOUS, KEY, PROJECT, lambda _: f"{PROJECT}_now/MOUS", space=10**18)
    assert area.attempts() == []

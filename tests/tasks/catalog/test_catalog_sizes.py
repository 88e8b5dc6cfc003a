"""What is learnt from what work took: never too little for what was seen, and never nonsense."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.catalog.catalog import Catalog
from tasks.catalog.connection import Database
from tasks.catalog.model import Execution, Piece
from tasks.catalog.schema import VERSION_TABLE
from tasks.catalog.sizes import LAST, Expected, Sizes, learn
from tasks.catalog.states import State
from tasks.errors import Transient
from tasks.usage import Work

GB = 10**9
sizes = st.integers(1, 10**13)
amounts = st.integers(1, 10**12)


def work(size: int = GB, step: str = "restore", kind: str = "casatasks 6.7.0") -> Work:
    return Work("process", step, "uid://A002/X1/X1", kind, size)


def piece(size: int | None = GB, memory: int | None = None, **known: Any) -> Piece:
    whole = Piece(
        stage="process", step="restore", kind="casatasks 6.7.0", input_bytes=size, peak_memory_bytes=memory
    )
    return whole.model_copy(update=known)


pieces = st.lists(
    st.builds(
        lambda size, memory, wall: piece(size, memory, wall_seconds=wall, cpu_seconds=wall),
        st.none() | sizes,
        amounts,
        st.floats(0, 10**6),
    ),
    min_size=1,
    max_size=12,
)


@given(pieces, sizes, sizes)
def test_more_bytes_never_take_less(done: list[Piece], one: int, other: int) -> None:
    known, (smaller, larger) = Sizes(done), sorted((one, other))
    assert (known.memory(work(smaller)) or 0) <= (known.memory(work(larger)) or 0)
    less, more = known.expect(work(smaller)), known.expect(work(larger))
    for name in ("wall_seconds", "cpu_seconds", "peak_memory"):
        assert 0 <= getattr(less, name) <= getattr(more, name) * (1 + 1e-9)


@given(pieces, sizes)
def test_no_less_is_asked_for_than_work_of_the_size_took(done: list[Piece], size: int) -> None:
    known = Sizes(done)
    for each in done:
        assert (known.memory(work(each.input_bytes or size)) or 0) >= (each.peak_memory_bytes or 0)
        assert (known.memory(work(0)) or 0) >= (each.peak_memory_bytes or 0), "of unknown size"


@given(pieces, sizes, st.integers(2, 100))
def test_what_takes_so_many_times_more_is_told_so(done: list[Piece], size: int, times: int) -> None:
    more = [each.model_copy(update={"wall_seconds": (each.wall_seconds or 0) * times}) for each in done]
    before, after = (Sizes(each).expect(work(size)).wall_seconds or 0 for each in (done, more))
    assert after == pytest.approx(before * times, rel=1e-6, abs=1e-6)


def test_of_what_was_never_measured_nothing_is_known() -> None:
    for known in (Sizes(), Sizes([piece(memory=GB)])):
        for unknown in (work(kind="pipeline 6.5.4"), work(step="fetch")):
            assert (known.memory(unknown), known.expect(unknown)) == (None, Expected())
    assert Sizes([piece(wall_seconds=3.0)]).memory(work()) is None
    assert Sizes([piece(wall_seconds=3.0)]).expect(work()) == Expected(3.0, None, None, 1)


def test_inputs_alike_in_size_take_what_they_mostly_took() -> None:
    done = [piece(GB + jitter, 2 * GB, wall_seconds=wall) for jitter, wall in ((0, 9.0), (5, 11.0), (9, 99.0))]
    assert Sizes(done).expect(work()) == Expected(pytest.approx(11.0), None, 2 * GB, 3)
    assert Sizes(done).expect(work(10 * GB)).wall_seconds == pytest.approx(110.0), "time grows with the bytes"
    assert Sizes(done).expect(work(10 * GB)).peak_memory == 2 * GB, "memory does not, as far as is known"


def test_time_has_a_part_that_does_not_grow_and_one_run_does_not_deceive() -> None:
    done = [piece(size * GB, wall_seconds=10.0 + 3 * size) for size in (1, 2, 4, 8, 16)]
    done.append(piece(3 * GB, wall_seconds=4000.0))
    assert Sizes(done).expect(work(10 * GB)).wall_seconds == pytest.approx(40.0, rel=0.05)


def test_memory_is_that_of_the_largest_peak_with_a_margin_and_grows_where_it_was_seen_to_grow() -> None:
    alike = Sizes([piece(GB, 2 * GB), piece(GB, 3 * GB), piece(GB + 9, GB)])
    assert alike.memory(work()) == alike.memory(work(100 * GB)) == alike.memory(work(1)) == 3.75 * GB
    growing = Sizes([piece(size * GB, (2 + size) * GB) for size in (1, 2, 4)])
    assert growing.memory(work(10 * GB)) == pytest.approx(1.25 * 12 * GB)
    assert growing.memory(work(GB)) == pytest.approx(1.25 * 3 * GB), "larger ones do not count for smaller ones"


def test_a_job_that_was_tried_again_does_not_teach_too_little() -> None:
    """What it had first, half of it, may have been too little, although we measured less."""
    again = piece(GB, 2 * GB, requested_memory_bytes=8 * GB, attempts=2)
    assert Sizes([again]).memory(work()) == 5 * GB
    assert Sizes([again.model_copy(update={"attempts": 1})]).memory(work()) == 2.5 * GB


def test_jobs_that_are_evicted_again_and_again_end_at_what_they_take() -> None:
    done, asked = [piece(GB, 2 * GB)], 16 * GB
    for _ in range(10):
        done = [piece(GB, 2 * GB, requested_memory_bytes=asked, attempts=2)]
        asked = Sizes(done).memory(work()) or 0
    assert asked == 2.5 * GB


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(f"sqlite:///{tmp_path / 'catalog.db'}")


def ran(database: Database, *done: Piece) -> None:
    catalog = Catalog(database, "site-test")
    begun = Execution(flow="f", profile="site-test", observation="o", started=datetime.now(UTC))
    catalog.write(catalog.begin(begun).model_copy(update={"state": State.FAILED, "pieces": done}))


def test_the_last_runs_of_each_kind_teach(database: Database) -> None:
    ran(database, *[piece(memory=9 * GB)] * 3, piece(memory=5 * GB, step="fetch"))
    ran(database, *[piece(memory=GB)] * (LAST - 1), piece(memory=7 * GB, taken_over=True))
    ran(database, piece(memory=2 * GB))
    known = learn(database, [work(), work(5), work(step="fetch"), work(kind="other")])
    assert (known.memory(work()), known.expect(work()).runs) == (2.5 * GB, LAST)
    assert known.memory(work(step="fetch")) == 6.25 * GB
    assert known.memory(work(kind="other")) is None
    assert learn(database, []).memory(work()) is None


def test_the_last_runs_are_found_without_reading_the_others(database: Database) -> None:
    ran(database, piece())
    query = (
        "SELECT * FROM piece WHERE stage='a' AND step='b' AND kind='c' AND NOT taken_over ORDER BY execution_id"
    )
    with sqlite3.connect(str(database.location.file)) as connection:
        plan = connection.execute(f"EXPLAIN QUERY PLAN {query} DESC, position DESC LIMIT 9").fetchall()
    connection.close()
    assert "ix_piece_of_a_kind" in str(plan)


def test_an_older_catalog_teaches_nothing_and_one_that_is_away_says_so(database: Database) -> None:
    ran(database, piece(memory=GB))
    file = database.location.file
    assert file
    with sqlite3.connect(file) as connection:
        connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = '0002'")  # noqa: S608
        connection.execute("DROP TABLE piece")
    connection.close()
    assert learn(database, [work()]).memory(work()) is None
    file.unlink()
    with pytest.raises(Transient):
        learn(database, [work()])

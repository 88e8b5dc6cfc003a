"""The book of requests: each is asked for once, in fair order, and no more are launched than may be."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.catalog.book import Book, Mark
from tasks.catalog.catalog import Catalog
from tasks.catalog.connection import Database
from tasks.catalog.model import Execution
from tasks.catalog.request import SWEEP, TRIES, Ask
from tasks.catalog.request_states import ACTIVE, RequestState
from tasks.catalog.states import State

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
FLOW = "restore-ous"


def ask(name: str, project: str | None = "A", priority: int = 0, workflow: str = FLOW) -> Ask:
    return Ask(
        workflow=workflow, observation=name, project=project, origin=SWEEP, priority=priority, reason="public"
    )


@pytest.fixture(scope="module")
def template() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "catalog.db")
        Catalog(Database(f"sqlite:///{file}"), "site-test")
        yield file


@pytest.fixture
def database(template: Path, tmp_path: Path) -> Database:
    return Database(f"sqlite:///{shutil.copyfile(template, tmp_path / 'catalog.db')}")


@pytest.fixture
def book(database: Database) -> Book:
    return Book(database)


def states(book: Book, *names: str) -> list[RequestState | None]:
    known = book.known(names, FLOW)
    return [known.get(name) for name in names]


def launched(book: Book, most: int = 100) -> list[str]:
    numbers = [request.id for request in book.candidates(FLOW, 100, NOON)]
    return [change.observation for change in book.launch(numbers, most, NOON)]


def test_what_is_asked_for_twice_is_asked_for_once(book: Book) -> None:
    first = book.record([ask("a"), ask("a", priority=5), ask("b")], NOON)
    assert [(change.observation, change.before, change.state) for change in first] == [
        ("a", None, RequestState.WAITING), ("b", None, RequestState.WAITING),
    ]  # fmt: skip
    later = book.record([ask("b"), ask("c"), ask("a")], NOON + timedelta(hours=1))
    assert [change.observation for change in later] == ["c"]
    assert {request.asked for request in book.candidates(FLOW, 2, NOON)} == {NOON}
    assert book.record([ask("a", workflow="calibrate-ous")], NOON)[0].workflow == "calibrate-ous"
    assert book.record([], NOON) == ()


def test_the_order_is_by_priority_and_each_project_has_its_turn(book: Book) -> None:
    book.record([ask(f"a{number}", "A") for number in range(4)], NOON)
    book.record([ask("n0", None), ask("n1", None)], NOON)
    book.record([ask("b0", "B"), ask("b1", "B"), ask("c0", "C"), ask("urgent", "A", 9)], NOON)
    order = [request.observation for request in book.candidates(FLOW, 100, NOON)]
    assert order == ["urgent", "a0", "n0", "b0", "c0", "a1", "n1", "b1", "a2", "a3"]


def test_who_comes_late_is_not_served_before_those_who_waited(book: Book) -> None:
    book.record([ask(f"a{number}", "A") for number in range(50)], NOON)
    served = [request.id for request in book.candidates(FLOW, 20, NOON)]
    book.launch(served, 100, NOON)
    book.record([ask("b0", "B"), ask("b1", "B")], NOON)
    assert [request.observation for request in book.candidates(FLOW, 4, NOON)] == ["a20", "b0", "a21", "b1"]


@given(st.lists(st.tuples(st.sampled_from("ABCD"), st.integers(1, 12)), min_size=1, max_size=5), st.integers(1, 7))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_project_waits_for_more_than_one_of_each_other(
    template: Path, tmp_path: Path, arrivals: list[tuple[str, int]], at_once: int
) -> None:
    copy = shutil.copyfile(template, tmp_path / "catalog.db")
    book, total = Book(Database(f"sqlite:///{copy}")), Counter[str]()
    for project, many in arrivals:
        names = [f"{project}{total[project] + number}" for number in range(many)]
        total[project] += many
        book.record([ask(name, project) for name in names], NOON)
    order: list[str] = []
    while batch := launched(book, at_once):
        order += batch
        for request in book.active():
            book.settle(request, RequestState.SUCCEEDED, NOON, "done")
    assert sorted(order) == sorted(f"{project}{number}" for project in total for number in range(total[project]))
    for position, name in enumerate(order):
        passed = Counter(other[0] for other in order[:position])
        assert all(passed[name[0]] >= passed[other] - 1 for other in total)


def test_no_more_are_launched_than_may_be_and_those_have_no_run_yet(book: Book) -> None:
    book.record([ask(name) for name in "abcdef"], NOON)
    assert launched(book, 2) == ["a", "b"]
    assert launched(book, 2) == []
    assert launched(book, 3) == ["c"]
    assert launched(book, 1) == []
    assert [(request.tries, request.launches, request.processing_id) for request in book.active()] == [
        (1, 1, None)
    ] * 3
    first, second, third = book.active()
    book.note_runs({first.id: "run-1", second.id: "run-2"})
    assert [request.processing_id for request in book.active()] == ["run-1", "run-2", None]
    book.note_runs({first.id: "another", third.id: "run-3"})
    book.note_runs({})
    assert [request.processing_id for request in book.active()] == ["run-1", "run-2", "run-3"]


def test_what_is_launched_by_several_at_once_is_launched_once(book: Book) -> None:
    book.record([ask(f"o{number}") for number in range(40)], NOON)
    with ThreadPoolExecutor(4) as pool:
        batches = list(pool.map(lambda _: launched(book, 10), range(4)))
    names = [name for batch in batches for name in batch]
    assert len(names) == len(set(names)) == len(book.active()) == 10


def test_what_is_recorded_by_several_at_once_is_there_once(book: Book) -> None:
    def record(first: int) -> int:
        return len(book.record([ask(f"o{number % 50}") for number in range(first, first + 50)], NOON))

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(record, range(0, 40, 10))) == 50
    assert len(book.candidates(FLOW, 100, NOON)) == 50


def test_those_of_equal_turns_are_written_down_in_one_order(book: Book) -> None:
    """Two who ask for the same at once, in whatever order, would otherwise wait for each other."""
    book.record([ask(name, project=name) for name in "cab"], NOON)
    assert [request.observation for request in book.candidates(FLOW, 3, NOON)] == ["a", "b", "c"]


def test_one_that_is_launched_again_has_another_run(book: Book) -> None:
    book.record([ask("a")], NOON)
    launched(book)
    (old,) = book.active()
    book.note_runs({old.id: "run-1"})
    (old,) = book.active()
    assert (
        book.settle(old, RequestState.WAITING, NOON, "crashed", NOON + timedelta(hours=1))[0].reason == "crashed"
    )
    assert book.candidates(FLOW, 1, NOON) == ()
    assert [request.id for request in book.candidates(FLOW, 1, NOON + timedelta(hours=1))] == [old.id]
    book.launch([old.id], 1, NOON)
    (again,) = book.active()
    assert (again.launches, again.processing_id) == (2, None)
    assert book.settle(old, RequestState.FAILED, NOON, "late news of the first run") == ()
    assert states(book, "a") == [RequestState.LAUNCHED]


def test_one_put_off_by_a_clock_that_went_wrong_is_not_forgotten(book: Book) -> None:
    book.record([ask("a")], NOON + timedelta(days=400))
    assert len(book.candidates(FLOW, 1, NOON)) == 1


def test_what_is_withdrawn_waits_again_when_it_is_asked_for_again(book: Book) -> None:
    book.record([ask("a"), ask("b")], NOON)
    launched(book, 1)
    changes = book.record([], NOON, {"a": "proprietary", "b": "proprietary", "c": "unknown"}, workflow=FLOW)
    assert [(change.observation, change.state, change.reason) for change in changes] == [
        ("b", RequestState.WITHDRAWN, "proprietary")
    ]
    assert book.record([], NOON, {"a": "x", "b": "x"}, workflow="another") == ()
    assert [change.observation for change in book.record([ask("a"), ask("b"), ask("c")], NOON)] == ["c", "b"]
    assert states(book, "a", "b") == [RequestState.LAUNCHED, RequestState.WAITING]


def test_what_was_refused_often_enough_stays_withdrawn(book: Book) -> None:
    book.record([ask("a")], NOON)
    for number in range(1, TRIES + 1):
        assert launched(book) == ["a"]
        book.settle(book.active()[0], RequestState.WITHDRAWN, NOON, "refused")
        assert len(book.record([ask("a")], NOON)) == (number < TRIES)
    assert states(book, "a") == [RequestState.WITHDRAWN]


def test_marks_are_written_with_what_they_are_about_or_not_at_all(book: Book, database: Database) -> None:
    book.record([], NOON, marks=[Mark("one", NOON, "x"), Mark("other")])
    book.record([], NOON, marks=[Mark("one", NOON - timedelta(days=1), "y")])
    assert book.marks() == {"one": Mark("one", NOON - timedelta(days=1), "y"), "other": Mark("other")}
    with database.writing() as connection:
        connection.exec_driver_sql("DROP TABLE mark")
    with pytest.raises(Exception, match="mark"):
        book.record([ask("a")], NOON, marks=[Mark("one", NOON)])
    assert states(book, "a") == [None]


def test_the_outcome_of_runs_is_that_of_their_executions(book: Book, database: Database) -> None:
    catalog = Catalog(database, "site-test")
    for run, state in (("r1", State.SUCCEEDED), ("r2", State.REFUSED)):
        execution = Execution(flow=FLOW, profile="site-test", observation=run, flow_run=run, started=NOON)
        done = {"state": state, "error": None if state is State.SUCCEEDED else "proprietary"}
        catalog.write(catalog.begin(execution).model_copy(update=done))
    outcomes = book.outcomes(["r1", "r2", "r3"])
    assert {run: (one.state, one.error) for run, one in outcomes.items()} == {
        "r1": (State.SUCCEEDED, None), "r2": (State.REFUSED, "proprietary"),
    }  # fmt: skip


def test_lists_may_be_long_and_names_strange(book: Book) -> None:
    names = [f"o{number}" for number in range(3_000)]
    strange = ['"quoted"', "it's", "%s :x", "ünï", "a\\b", ""]
    assert len(book.record([ask(name) for name in names + strange], NOON)) == 3_006
    assert len(book.known(names + strange + ["not there"], FLOW)) == 3_006
    reasons = {name: f"why {name}" for name in strange}
    found = book.record([], NOON, reasons, workflow=FLOW)
    assert {change.observation: change.reason for change in found} == reasons
    assert ACTIVE.isdisjoint(states(book, *strange))

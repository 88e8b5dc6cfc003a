"""What people do with requests: they are shown in the order in which they come, and many are moved at once."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.catalog.book import Book
from tasks.catalog.catalog import Catalog
from tasks.catalog.connection import Database
from tasks.catalog.desk import Chosen, Desk, Done
from tasks.catalog.request import SWEEP, Ask
from tasks.catalog.request_states import RequestState

FLOW, PROJECT, OTHER = "restore-ous", "2017.1.00886.L", "2019.1.00001.S"
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)
ALL = Chosen()
_R = RequestState


@pytest.fixture(scope="module")
def template() -> Iterator[Path]:
    """An empty catalog, since making one takes most of the time."""
    with tempfile.TemporaryDirectory() as folder:
        Catalog(Database(f"sqlite:///{Path(folder, 'catalog.db')}"), "site-test")
        yield Path(folder, "catalog.db")


@pytest.fixture
def database(template: Path, tmp_path: Path) -> Database:
    return Database(f"sqlite:///{shutil.copyfile(template, tmp_path / 'catalog.db')}")


@pytest.fixture
def desk(database: Database) -> Desk:
    return desk_of(database)


def desk_of(database: Database) -> Desk:
    return Desk(database, "operator", lambda: LATER)


def ask(database: Database, project: str | None, *observations: str, priority: int = 0) -> None:
    asks = (
        Ask(workflow=FLOW, observation=each, project=project, origin=SWEEP, priority=priority)
        for each in observations
    )
    Book(database).record([*asks], NOON)


def bring(database: Database, observation: str, *states: RequestState) -> None:
    """Launch a request, and have its run come to states."""
    book = Book(database)
    (request,) = desk_of(database).look_up(named(observation))
    book.launch([request.id], 10**6, NOON)
    for state in states:
        (request,) = desk_of(database).look_up(named(observation))
        book.settle(request, state, NOON, f"it is {state}")


def named(*observations: str) -> Chosen:
    return Chosen(observations=frozenset(observations))


def names(desk: Desk, chosen: Chosen = ALL) -> list[str]:
    return [request.observation for request in desk.look_up(chosen)]


def states(desk: Desk) -> dict[str, str]:
    return {request.observation: request.state.value for request in desk.look_up(ALL)}


def of(done: Done) -> tuple[list[str], list[str]]:
    return [request.observation for request in done.done], [request.observation for request in done.left]


def test_requests_are_shown_in_the_order_in_which_they_come(database: Database, desk: Desk) -> None:
    ask(database, PROJECT, "a1", "a2", "a3")
    ask(database, OTHER, "b1", "b2")
    ask(database, OTHER, "urgent", priority=5)
    bring(database, "a1", _R.RUNNING)
    bring(database, "a2", _R.FAILED)
    bring(database, "b1")
    desk.hold(named("a3"))
    ask(database, PROJECT, "a4")
    shown = [(request.observation, request.place) for request in desk.look_up(ALL)]
    assert shown == [("a1", None), ("b1", None), ("urgent", 1), ("b2", 2), ("a4", 3), ("a3", None), ("a2", None)]
    candidates = [request.observation for request in Book(database).candidates(FLOW, 9, LATER)]
    assert candidates == ["urgent", "b2", "a4"], "as a sweep has it"
    assert names(desk, Chosen(project=OTHER)) == ["b1", "urgent", "b2"]
    assert names(desk, Chosen(states=frozenset({_R.HELD, _R.FAILED}))) == ["a3", "a2"]
    assert names(desk, Chosen(project=PROJECT, observations=frozenset({"a1", "b1"}))) == ["a1"]
    assert [request.place for request in desk.look_up(named("a4"))] == [3], "its place is among all"
    assert len(desk.look_up(ALL, 2)) == 2
    assert desk.counts() == {_R.RUNNING: 1, _R.LAUNCHED: 1, _R.WAITING: 3, _R.HELD: 1, _R.FAILED: 1}


def test_what_waits_is_held_and_released_by_project(database: Database, desk: Desk) -> None:
    ask(database, PROJECT, "a1", "a2", "a3")
    ask(database, OTHER, "b1")
    bring(database, "a1")
    held = desk.hold(Chosen(project=PROJECT))
    assert of(held) == (["a2", "a3"], ["a1"])
    assert [(change.before, change.state) for change in held.changes] == [(_R.WAITING, _R.HELD)] * 2
    assert states(desk) == {"a1": "launched", "b1": "waiting", "a2": "held", "a3": "held"}
    assert [request.reason for request in desk.look_up(named("a2"))] == ["held by operator"]
    assert of(desk.release(ALL)) == (["a2", "a3"], ["a1", "b1"])
    assert [request.reason for request in desk.look_up(named("a2"))] == ["released by operator"]


@pytest.mark.parametrize("state", _R)
def test_what_is_still_to_come_to_an_end_is_cancelled(database: Database, desk: Desk, state: RequestState) -> None:
    _have(database, desk, state)
    done = desk.cancel(named("a1"))
    is_open = state in (_R.WAITING, _R.HELD, _R.LAUNCHED, _R.RUNNING)
    assert of(done) == ((["a1"], []) if is_open else ([], ["a1"]))
    assert states(desk)["a1"] == ("cancelled" if is_open else state.value)


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("state", _R)
def test_what_was_given_up_waits_again_with_all_its_tries(
    database: Database, desk: Desk, state: RequestState, again: bool
) -> None:
    _have(database, desk, state)
    done = desk.retry(named("a1"), again=again)
    may = {_R.FAILED, _R.WITHDRAWN, _R.CANCELLED, _R.WAITING} | ({_R.SUCCEEDED} if again else set())
    assert of(done) == ((["a1"], []) if state in may else ([], ["a1"]))
    (request,) = desk.look_up(named("a1"))
    if state in may:
        assert (request.state, request.tries, request.due) == (_R.WAITING, 0, LATER)
    else:
        assert request.state is state
    assert len(done.changes) == (1 if state in may - {_R.WAITING} else 0)


def _have(database: Database, desk: Desk, state: RequestState) -> None:
    """Have a request in a state; one that waits does so after a try, and for tomorrow."""
    ask(database, PROJECT, "a1")
    if state is _R.HELD:
        desk.hold(ALL)
    elif state is _R.WAITING:
        bring(database, "a1")
        (request,) = desk.look_up(ALL)
        Book(database).settle(request, state, NOON, "busy", due=NOON + timedelta(days=1))
    else:
        bring(
            database,
            "a1",
            *{_R.LAUNCHED: ()}.get(state, (_R.RUNNING, state) if state is not _R.RUNNING else (state,)),
        )
    assert states(desk)["a1"] == state.value


def test_priority_decides_before_turns(database: Database, desk: Desk) -> None:
    ask(database, PROJECT, "a1", "a2", "a3")
    assert of(desk.prioritise(named("a3", "unknown"), 5)) == (["a3"], [])
    assert of(desk.prioritise(named("a1"), -1))[0] == ["a1"]
    assert names(desk) == ["a3", "a2", "a1"]


def test_nothing_chosen_is_nothing_done(desk: Desk) -> None:
    for action in (desk.hold, desk.release, desk.cancel, desk.retry):
        assert action(named("unknown")) == Done((), ())


@pytest.mark.parametrize("back", ["released", "retried"])
def test_many_that_come_back_take_no_other_project_s_turn(database: Database, desk: Desk, back: str) -> None:
    """What was held or failed long ago would else come before all that waited since."""
    many = [f"a{number:03}" for number in range(30)]
    ask(database, PROJECT, *many)
    desk.hold(ALL) if back == "released" else desk.cancel(ALL)
    served = [f"s{number:03}" for number in range(50)]
    ask(database, "2021.1.00001.S", *served)
    for name in served[:40]:
        bring(database, name, _R.SUCCEEDED)
    desk.release(ALL) if back == "released" else desk.retry(Chosen(project=PROJECT))
    ask(database, OTHER, "b1", "b2")
    first = names(desk)[:6]
    assert {"b1", "b2"} <= set(first), first
    assert len([name for name in first if name.startswith("a")]) == 2


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["hold", "release", "cancel", "retry", "launch"]), st.integers(0, 3)), max_size=8
    )
)
def test_every_request_is_done_or_left_and_done_again_is_left(
    template: Path, actions: list[tuple[str, int]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{shutil.copyfile(template, Path(folder, 'catalog.db'))}")
        desk = desk_of(database)
        ask(database, PROJECT, "m0", "m1")
        ask(database, OTHER, "m2")
        for action, number in actions:
            chosen = named(f"m{number}") if number < 3 else ALL
            if action == "launch":
                Book(database).launch([request.id for request in desk.look_up(chosen)], 2, NOON)
                continue
            done = getattr(desk, action)(chosen)
            assert sorted([*of(done)[0], *of(done)[1]]) == sorted(names(desk, chosen))
            assert getattr(desk, action)(chosen).changes == ()
            places = [request.place for request in desk.look_up(ALL) if request.state is _R.WAITING]
            assert places == [*range(1, len(places) + 1)]

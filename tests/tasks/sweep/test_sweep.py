"""What a sweep finds, asks for, launches and settles; in how many queries; and what it tells of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from sweep_world import ALLOWED, FLOW, HOUR, NOON, World, counted, mous, project

from tasks.alma.access import Standing
from tasks.catalog.request import ANNOUNCEMENT, TRIES, Ask
from tasks.catalog.request_states import RequestState
from tasks.catalog.states import State
from tasks.errors import Missing, Refused, Transient
from tasks.sweep import RunEnd, backfill, look, sweep

MakeWorld = Callable[..., World]
MOST_QUERIES = 12


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    return make_world(audit_size=100)


def test_what_may_be_restored_is_asked_for_and_launched_within_limits(world: World) -> None:
    world.put(*range(8))
    world.put(8, calibration=False)
    world.put(9, release=NOON + HOUR)
    world.put(11, release=NOON + HOUR)
    assert project(11) == ALLOWED
    swept = world.sweep()
    assert {ask.observation for ask in swept.asked} == {mous(number) for number in (*range(8), 11)}
    assert swept.asked[0].reason == "restorable: public since 2026-05-04"
    assert swept.standings == {Standing.RESTORABLE: 9, Standing.NOT_CALIBRATED: 1, Standing.PROPRIETARY: 1}
    assert len(swept.runs) == world.terms.most_runs
    assert [change.state for change in swept.changes] == ["waiting"] * 9 + ["launched"] * 3
    again = world.sweep()
    assert (again.asked, again.runs, again.changes, again.looked) == ([], {}, [], 11)


def test_a_dry_run_changes_nothing(world: World) -> None:
    world.put(*range(3))
    swept = world.sweep(dry_run=True)
    assert len(swept.asked) == 3
    assert (swept.changes, swept.runs, world.requests(), world.book.marks()) == ([], {}, {}, {})
    assert {row["what"] for row in swept.rows()} == {"asked for"}


def test_without_a_server_it_is_only_recorded(world: World) -> None:
    world.put(0)
    swept = sweep(world.archive, world.book, world.terms, world.now, None, lambda _: False)
    assert (len(swept.asked), swept.runs) == (1, {})
    assert world.requests() == {mous(0): RequestState.WAITING}


def test_a_release_is_found_when_its_time_comes_whatever_page_is_looked_at(make_world: MakeWorld) -> None:
    world = make_world(audit_size=1)
    world.put(*range(40), release=NOON + HOUR)
    world.put(30, release=NOON + 2 * HOUR)
    world.sweep()
    world.now = NOON + 2 * HOUR
    assert len(world.sweep().asked) == 40 - sum(project(number) == ALLOWED for number in range(2))


def test_what_comes_late_is_found_by_turns(make_world: MakeWorld) -> None:
    world = make_world(audit_size=3)
    world.put(*range(10), release=None)
    world.sweep()
    world.put(8, release=NOON - 1000 * HOUR)
    found = [len(world.sweep().asked) for _ in range(5)]
    assert sum(found) >= 1
    assert mous(8) in world.requests()


def test_a_clock_that_went_wrong_loses_nothing(make_world: MakeWorld) -> None:
    world = make_world(audit_size=1)
    world.put(*range(20), release=NOON + 5 * HOUR)
    world.now = NOON + 1000 * HOUR
    world.sweep()
    world.now = NOON
    world.sweep()
    assert world.book.marks()["releases"].moment == NOON
    world.now = NOON + 6 * HOUR
    world.sweep()
    assert len(world.requests()) == 20
    assert len(world.book.candidates(FLOW, 100, world.now)) == 20 - world.terms.most_runs


def test_what_is_clawed_back_is_withdrawn_and_waits_again_when_it_is_given_back(make_world: MakeWorld) -> None:
    world = make_world(audit_size=100, most_runs=1)
    world.put(0, 1, 2)
    world.sweep()
    world.put(0, 1, 2, release=None)
    swept = world.sweep()
    assert sorted(swept.withdrawn) == [mous(1), mous(2)]
    assert "proprietary" in swept.withdrawn[mous(1)]
    world.put(2, release=NOON - HOUR)
    assert [ask.observation for ask in world.sweep().again] == [mous(2)]
    assert world.requests()[mous(2)] is RequestState.WAITING
    assert world.requests()[mous(0)] is RequestState.LAUNCHED


def test_what_a_person_holds_stays_held(world: World) -> None:
    world.put(0)
    sweep(world.archive, world.book, world.terms, world.now, None, lambda _: False)
    with world.database.writing() as connection:
        connection.exec_driver_sql("UPDATE request SET state = 'held'")
    world.put(0, release=None)
    assert world.sweep().changes == []
    assert world.requests() == {mous(0): RequestState.HELD}


def test_what_was_announced_is_looked_at_before_it_is_launched(make_world: MakeWorld) -> None:
    world = make_world(audit_size=1, most_runs=10)
    world.put(*range(5))
    world.put(5, 6, 9, calibration=False)
    asks = [Ask(workflow=FLOW, observation=mous(n), origin=ANNOUNCEMENT) for n in (3, 5, 20)]
    world.book.record(asks, world.now)
    world.book.record((), world.now, marks=[*world.book.marks().values()])
    swept = world.sweep()
    assert {mous(5), mous(20)} == set(swept.withdrawn)
    assert "not calibrated yet" in swept.withdrawn[mous(5)]
    assert "do not have it" in swept.withdrawn[mous(20)]
    assert mous(3) in swept.runs


def test_what_became_public_before_a_day_is_left_to_people(make_world: MakeWorld) -> None:
    world = make_world(audit_size=100, since=NOON.date())
    world.put(0, 1, release=NOON - 48 * HOUR)
    world.put(2, release=NOON - HOUR)
    swept = world.sweep()
    assert ([ask.observation for ask in swept.asked], swept.left) == ([mous(2)], 2)
    filled = backfill(world.archive, world.book, world.terms, NOON - 72 * HOUR, NOON - 24 * HOUR, NOON)
    assert sorted(ask.observation for ask in filled.asked) == [mous(0), mous(1)]
    assert (filled.runs, filled.more) == ({}, False)


def test_a_backfill_is_of_its_time_only_and_may_be_dry(world: World) -> None:
    for number in range(6):
        world.put(number, release=NOON - number * HOUR)
    arguments = (world.archive, world.book, world.terms, NOON - 4 * HOUR, NOON - 2 * HOUR, NOON)
    dry = backfill(*arguments, dry_run=True)
    assert world.requests() == {}
    filled = backfill(*arguments)
    assert [ask.observation for ask in dry.asked] == [ask.observation for ask in filled.asked]
    assert sorted(world.requests()) == [mous(2), mous(3), mous(4)]
    assert backfill(*arguments).asked == []


@pytest.mark.parametrize("size", [1, 100, 3000])
def test_a_sweep_takes_so_many_queries_however_much_is_new(make_world: MakeWorld, size: int) -> None:
    world = make_world(audit_size=1)
    world.put(4000)
    world.sweep()
    world.book.settle(world.book.active()[0], RequestState.SUCCEEDED, world.now, "done")
    world.put(*range(size), release=world.now + HOUR)
    world.now += 2 * HOUR
    with counted() as sent:
        swept = world.sweep()
    assert len(swept.asked) == size
    assert len(swept.runs) == min(size, world.terms.most_runs)
    assert len(sent) <= MOST_QUERIES, "\n".join(sent)


def test_withdrawing_and_taking_back_many_takes_a_few_more(make_world: MakeWorld) -> None:
    numbers = []
    for size in (20, 500):
        world = make_world(audit_size=1000, most_runs=1)
        world.put(*range(size))
        world.put(0, release=None)
        world.sweep()
        world.put(*range(size // 2), release=NOON - HOUR)
        world.put(*range(size // 2, size), calibration=False)
        world.sweep()
        world.put(*range(0, size, 2), calibration=True)
        world.put(*range(1, size, 2), calibration=False)
        with counted() as sent:
            swept = world.sweep()
        assert len(swept.again) > 1
        assert len(swept.withdrawn) > 1
        numbers.append(len(sent))
    assert numbers[0] == numbers[1] <= MOST_QUERIES + 6


@pytest.mark.parametrize(
    ("how", "state"),
    [
        (State.SUCCEEDED, RequestState.SUCCEEDED),
        (State.FAILED, RequestState.FAILED),
        (State.REFUSED, RequestState.WITHDRAWN),
        (RunEnd.CRASHED, RequestState.WAITING),
        (RunEnd.UNKNOWN, RequestState.WAITING),
        (RunEnd.FAILED, RequestState.WAITING),
        (RunEnd.COMPLETED, RequestState.WAITING),
        (RunEnd.CANCELLED, RequestState.CANCELLED),
    ],
)
def test_what_a_run_could_not_say_is_settled(world: World, how: State | RunEnd, state: RequestState) -> None:
    world.put(0)
    world.sweep()
    (request,) = world.book.active()
    world.end(request, how)
    world.put(0, calibration=False)
    world.sweep()
    found = world.requests()[mous(0)]
    assert found is (RequestState.WITHDRAWN if state is RequestState.WAITING else state)


def test_what_crashes_is_tried_again_later_and_not_for_ever(world: World) -> None:
    world.put(0)
    for number in range(TRIES):
        assert len(world.sweep().runs) == 1
        world.end(world.book.active()[0], RunEnd.CRASHED)
        swept = world.sweep()
        assert [change.state for change in swept.settled] == ["waiting" if number + 1 < TRIES else "failed"]
        assert swept.runs == {}, "it is not tried again at once"
        world.now += timedelta(hours=2)
    assert "after 3 tries: its run crashed" in (swept.settled[0].reason or "")
    assert len(world.runs.by_key) == TRIES
    assert world.sweep().runs == {}


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.FAILED, State.REFUSED])
def test_what_the_catalog_knows_of_a_run_counts_more_than_how_it_ended(world: World, state: State) -> None:
    """The request was not moved with it: as by an older PPI, or by hand."""
    world.put(0)
    world.sweep()
    (request,) = world.book.active()
    world.end(request, state)
    with world.database.writing() as connection:
        connection.exec_driver_sql("UPDATE request SET state = 'running'")
    swept = world.sweep()
    expected = {State.SUCCEEDED: "succeeded", State.FAILED: "failed", State.REFUSED: "withdrawn"}
    assert [change.state for change in swept.settled] == [expected[state]]


def test_what_is_worked_on_is_left_alone(world: World) -> None:
    world.put(0)
    world.sweep()
    world.end(world.book.active()[0], RunEnd.UNKNOWN)
    swept = sweep(world.archive, world.book, world.terms, world.now, world.runs, lambda held: held == mous(0))
    assert (swept.settled, world.requests()[mous(0)]) == ([], RequestState.LAUNCHED)


@pytest.mark.parametrize("away", [Transient("the Prefect server", "away"), Missing("the deployment", "none")])
def test_without_a_server_or_a_deployment_it_is_asked_again_with_the_same_key(
    world: World, away: Exception
) -> None:
    world.put(0, 1)
    world.runs.refusal = away
    for _ in range(TRIES + 1):
        swept = world.sweep()
        assert (swept.runs, len(swept.failures)) == ({}, 1), "no request is the worse for it"
    assert set(world.requests().values()) == {RequestState.LAUNCHED}
    world.runs.refusal = None
    assert set(world.sweep().runs) == {mous(0), mous(1)}
    assert {key.rpartition("/")[2] for key in world.runs.by_key} == {"1"}


def test_what_cannot_be_launched_waits_and_then_fails(world: World) -> None:
    world.put(0)
    world.runs.refusal = Refused("its name", "the Prefect server does not take it")
    for _ in range(TRIES):
        assert len(world.sweep().failures) == 1
        assert world.sweep().failures == [], "it waits for a while"
        world.now += timedelta(hours=2)
    assert world.requests()[mous(0)] is RequestState.FAILED


def test_what_is_wrong_with_the_archive_stops_the_sweep_and_not_what_was_launched(world: World) -> None:
    world.put(0)
    world.sweep()
    with world.database.reading() as connection:
        before = connection.exec_driver_sql("SELECT * FROM mark").all()
    world.end(world.book.active()[0], RunEnd.CRASHED)
    gone = type(world.archive)("sqlite:////nowhere/alma.db")
    with pytest.raises(Missing):
        sweep(gone, world.book, world.terms, world.now, world.runs, lambda _: False)
    assert world.requests()[mous(0)] is RequestState.WAITING, "it was settled before"
    with world.database.reading() as connection:
        assert connection.exec_driver_sql("SELECT * FROM mark").all() == before


def test_the_account_is_told_in_numbers_and_rows(make_world: MakeWorld) -> None:
    world = make_world(audit_size=10, most_runs=1)
    world.put(0, 1)
    swept = world.sweep()
    counts = swept.counts()
    assert (counts["looked at"], counts["asked for"], counts["launched"]) == (2, 2, 1)
    assert counts["of these restorable"] == 2
    rows = swept.rows()
    assert {tuple(row) for row in rows} == {("observation", "project", "what", "reason")}
    assert sorted(row["what"] for row in rows) == ["asked for", "asked for", "launched: run-0"]
    assert {row["project"] for row in rows} == {project(0), project(1)}


def test_a_look_by_a_new_environment_goes_on_where_it_was(make_world: MakeWorld) -> None:
    world = make_world(audit_size=2)
    world.put(*range(5))
    seen = []
    for _ in range(3):
        found = look(world.archive, world.book, world.terms, world.now)
        world.book.record((), world.now, marks=found.marks)
        seen.append(next(mark.place for mark in found.marks if mark.name == "audit"))
    assert seen == [mous(1), mous(3), None]

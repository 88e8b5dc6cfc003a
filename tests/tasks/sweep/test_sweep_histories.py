"""Whatever happens, and whenever sweeps are killed: what may be restored is asked for once, nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sweep_world import HOUR, NOON, Killed, World, at_statement, mous

from tasks.catalog.request_states import ACTIVE, RequestState
from tasks.catalog.states import State
from tasks.sweep import RunEnd, launch, look, record

MANY = 6
QUIET = MANY
"""So many sweeps look at everything once, two at a time, and then again at what the first of them found."""
_NUMBER = st.integers(0, MANY - 1)
_FACT = st.one_of(
    st.tuples(st.sampled_from(["archived", "status", "calibration", "science", "hand_calibrated"]), st.booleans()),
    st.tuples(st.just("release"), st.sampled_from([-1000, -1, 0, 1, 4, 1000, None])),
)
_END = st.sampled_from([State.SUCCEEDED, State.FAILED, State.REFUSED, *RunEnd])
_HAPPENING = st.one_of(
    st.tuples(st.just("archive"), _NUMBER, _FACT),
    st.tuples(st.just("archive"), _NUMBER, _FACT),
    st.tuples(st.just("clock"), st.sampled_from([1, 3, 24, -2, -24])),
    st.tuples(st.just("sweep")),
    st.tuples(st.just("killed"), st.integers(1, 30)),
    st.tuples(st.just("overlap"), st.integers(1, 8)),
    st.tuples(st.just("stale")),
    st.tuples(st.just("end"), _NUMBER, _END),
)


class History:
    """What happens to a world, one thing after another."""

    def __init__(self, world: World) -> None:
        self.world = world

    def happens(self, what: str, *details: Any) -> None:
        getattr(self, f"_{what}")(*details)

    def _archive(self, number: int, fact: tuple[str, Any]) -> None:
        name, value = fact
        if name == "release" and value is not None:
            value = self.world.now + value * HOUR
        self.world.put(number, **{name: value})

    def _clock(self, hours: int) -> None:
        self.world.now += timedelta(hours=hours)

    def _sweep(self) -> None:
        self.world.sweep()

    def _killed(self, moment: int) -> None:
        def kill() -> None:
            raise Killed

        try:
            with at_statement(moment, kill, self.world.runs):
                self.world.sweep()
        except Killed:
            pass

    def _overlap(self, moment: int) -> None:
        """Begin and end a second sweep between two transactions of the first."""
        with at_statement(moment, lambda: (self.world.sweep(), None)[1], self.world.runs, only="BEGIN"):
            self.world.sweep()

    def _stale(self) -> None:
        """Let a sweep write down and launch what it has found before another one did all of that."""
        world = self.world
        found = look(world.archive, world.book, world.terms, world.now)
        world.sweep()
        record(world.book, found, world.terms, world.now)
        launch(world.archive, world.book, world.runs, world.terms, world.now, found.decisions)

    def _end(self, number: int, how: State | RunEnd) -> None:
        active = self.world.active()
        if mous(number) in active:
            self.world.end(active[mous(number)], how)


def _balances(world: World) -> None:
    requests = world.requests()
    for number in range(MANY):
        state = requests.get(mous(number))
        if world.may_be_restored(number):
            assert state is not None, f"{number} was missed"
            assert state is not RequestState.WITHDRAWN or _was_refused_often(world, number)
        else:
            assert state not in (RequestState.WAITING, RequestState.HELD), f"{number} is asked for"


def _was_refused_often(world: World, number: int) -> bool:
    return len(world.runs.of(mous(number))) >= 3


def _each_run_is_of_one_launch(world: World) -> None:
    for request in world.book.active():
        assert len(world.runs.of(request.observation)) <= request.launches
    running = [request for request in world.book.active() if request.processing_id]
    assert len({request.processing_id for request in running}) == len(running)
    for observation in world.requests():
        under_way = [run for run in world.runs.of(observation) if run not in world.runs.ended]
        assert len(under_way) <= 1, f"{observation} is worked on twice"
    assert len(world.book.active()) <= world.terms.most_runs


@given(history=st.lists(_HAPPENING, max_size=20))
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
def test_the_account_balances_after_any_history(make_world: Callable[..., World], history: list[Any]) -> None:
    world = make_world()
    world.put(*range(MANY - 2))
    world.put(1, release=NOON + HOUR)
    told = History(world)
    for what, *details in history:
        told.happens(what, *details)
        _each_run_is_of_one_launch(world)
    for pause in (6 * HOUR, 0 * HOUR):  # so that whatever waits for a later try comes to it
        for _ in range(QUIET):
            world.now += pause
            world.sweep()
    _balances(world)
    _each_run_is_of_one_launch(world)
    for number in range(MANY):
        if world.requests().get(mous(number)) in ACTIVE:
            assert world.runs.of(mous(number)), f"{number} has no run"


def test_a_kill_at_any_moment_is_healed_by_the_next_sweep(make_world: Callable[..., World]) -> None:
    """Every moment of a sweep that settles, asks for, withdraws, takes back and launches."""

    def kill() -> None:
        raise Killed

    moment = 0
    while True:
        moment += 1
        world = make_world(audit_size=10, most_runs=2)
        world.put(*range(4))
        world.sweep()
        first, second = world.book.active()
        world.end(first, RunEnd.CRASHED)
        world.end(second, State.SUCCEEDED)
        world.put(2, release=None)
        world.put(4, 5)
        try:
            with at_statement(moment, kill, world.runs):
                world.sweep()
        except Killed:
            world.sweep()
            assert set(world.requests()) == {mous(number) for number in range(6)}
            assert world.requests()[mous(2)] is RequestState.WITHDRAWN
            assert world.requests()[second.observation] is RequestState.SUCCEEDED
            active = world.book.active()
            assert len(active) == 2
            assert all(request.processing_id in world.runs.of(request.observation) for request in active)
            assert [number for number in range(6) if len(world.runs.of(mous(number))) > 1] == []
        else:
            break
    assert moment > 20

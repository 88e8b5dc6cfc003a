"""Requests follow the runs that work on them: in one transaction with the record, as drawn, and told of once."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.catalog.book import Book, Filed
from tasks.catalog.catalog import KILLED, Catalog, Wanted
from tasks.catalog.connection import Database
from tasks.catalog.desk import Chosen, Desk
from tasks.catalog.following import Following, Remark
from tasks.catalog.model import Execution, Record, Stage
from tasks.catalog.outbox import Outbox
from tasks.catalog.request import ANNOUNCEMENT, SWEEP, TRIES, Ask, Change
from tasks.catalog.request_states import RequestState, before
from tasks.catalog.states import State
from tasks.errors import Refused

FLOW, ONE, OTHER, PROJECT = "restore-ous", "uid://A001/X1284/X265f", "uid://A001/X1284/X2660", "2017.1.00886.L"
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
PERSON, RUN, LATER_RUN = "almapipe", "1" * 36, "2" * 36
PASSING, CANCELLED = Remark(may_pass=True), Remark(cancelled=True)
_R = RequestState
ENDS = sorted(set(State) - {State.RUNNING})


@dataclass
class Place:
    """An environment's catalog, with what was told of it."""

    database: Database
    announces: bool = True
    told: list[Change] = field(default_factory=list)

    @property
    def catalog(self) -> Catalog:
        return Catalog(self.database, "site-test", announces=self.announces, tell=self.told.extend)

    @property
    def book(self) -> Book:
        return Book(self.database)

    @property
    def desk(self) -> Desk:
        return Desk(self.database, "operator", lambda: NOON + timedelta(hours=1))

    def request(self, observation: str = ONE) -> Filed:
        (found,) = self.desk.look_up(Chosen(observations=frozenset({observation})))
        return found

    def asked(self, origin: str = SWEEP) -> int:
        self.book.record([Ask(workflow=FLOW, observation=ONE, project=PROJECT, origin=origin)], NOON)
        return self.request().id

    def launched(self, tries: int = 1, origin: str = SWEEP, run: str | None = None) -> None:
        """Have a request that was launched so often, by a run that has not begun."""
        number = self.asked(origin)
        for _ in range(tries - 1):
            self.book.launch([number], 1, NOON)
            self.book.settle(self.request(), _R.WAITING, NOON, "its run is gone")
        self.book.launch([number], 1, NOON)
        if run:
            self.book.note_runs({number: run})

    def begun(
        self, run: str | None = RUN, observation: str = ONE, minutes: float = 0, by_sweep: bool = False
    ) -> Record:
        started = NOON + timedelta(minutes=minutes)
        known = {"flow": FLOW, "profile": "site-test", "observation": observation, "account": PERSON}
        return self.catalog.begin(Execution(started=started, flow_run=run, **known), by_sweep=by_sweep)

    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(message.body) for message in Outbox(self.database).unsent()]


@pytest.fixture(scope="module")
def template() -> Iterator[Path]:
    """An empty catalog, since making one takes most of the time."""
    with tempfile.TemporaryDirectory() as folder:
        Catalog(Database(f"sqlite:///{Path(folder, 'catalog.db')}"), "site-test")
        yield Path(folder, "catalog.db")


@pytest.fixture
def place(template: Path, tmp_path: Path) -> Place:
    return copied(template, tmp_path)


def copied(template: Path, folder: Path) -> Place:
    return Place(Database(f"sqlite:///{shutil.copyfile(template, folder / 'catalog.db')}"))


def ended(record: Record, state: State = State.SUCCEEDED, **known: Any) -> Record:
    return record.model_copy(update={"state": state, "finished": record.started + timedelta(minutes=1), **known})


def test_a_run_that_nobody_asked_for_has_a_request_of_its_own(place: Place) -> None:
    record = place.begun()
    request = place.request()
    assert (request.workflow, request.observation, request.state) == (FLOW, ONE, _R.RUNNING)
    assert (request.origin, request.reason, request.processing_id) == (PERSON, f"run by {PERSON}", RUN)
    assert (request.tries, request.launches, request.asked) == (0, 0, NOON)
    place.catalog.write(ended(record, project=PROJECT, verdict="success with caveats", reasons=("one", "other")))
    request = place.request()
    assert (request.state, request.project) == (_R.SUCCEEDED, PROJECT)
    assert (request.reason, request.changed) == ("success with caveats: one; other", NOON + timedelta(minutes=1))
    assert [(change.before, change.state) for change in place.told] == [
        (None, _R.RUNNING),
        (_R.RUNNING, _R.SUCCEEDED),
    ]


def test_what_was_launched_is_running_when_its_run_begins(place: Place) -> None:
    place.launched(run=RUN)
    place.begun()
    request = place.request()
    assert (request.state, request.processing_id, request.tries, request.origin) == (_R.RUNNING, RUN, 1, SWEEP)


@pytest.mark.parametrize("prepared", ["waiting", "held", "failed", "cancelled", "succeeded", "withdrawn"])
def test_a_run_that_a_person_starts_has_the_request_whatever_its_state(place: Place, prepared: str) -> None:
    number = place.asked()
    if prepared == "held":
        place.desk.hold(Chosen(observations=frozenset({ONE})))
    elif prepared != "waiting":
        place.book.launch([number], 1, NOON)
        place.book.settle(place.request(), _R.RUNNING, NOON, "x")
        place.book.settle(place.request(), _R(prepared), NOON, "x")
    assert place.request().state.value == prepared
    before_it = place.request()
    place.begun(LATER_RUN)
    request = place.request()
    assert (request.state, request.processing_id, request.tries) == (_R.RUNNING, LATER_RUN, before_it.tries)
    assert (request.launches, request.reason) == (before_it.launches, f"run by {PERSON}")


@pytest.mark.parametrize(
    ("origin", "tries", "end", "remark", "state", "minutes"),
    [
        (SWEEP, 1, State.SUCCEEDED, Remark(), _R.SUCCEEDED, 0),
        (PERSON, 0, State.UNCHANGED, Remark(), _R.SUCCEEDED, 0),
        (SWEEP, 1, State.REFUSED, Remark(), _R.WITHDRAWN, 0),
        (PERSON, 0, State.REFUSED, Remark(), _R.WITHDRAWN, 0),
        (SWEEP, TRIES, State.REFUSED, Remark(), _R.FAILED, 0),
        (SWEEP, 0, State.FAILED, PASSING, _R.WAITING, 5),
        (ANNOUNCEMENT, 1, State.FAILED, PASSING, _R.WAITING, 10),
        (SWEEP, 2, State.FAILED, PASSING, _R.WAITING, 20),
        (SWEEP, TRIES, State.FAILED, PASSING, _R.FAILED, 0),
        (SWEEP, 1, State.FAILED, Remark(), _R.FAILED, 0),
        (PERSON, 0, State.FAILED, PASSING, _R.FAILED, 0),
        (PERSON, 1, State.FAILED, PASSING, _R.WAITING, 10),
        (SWEEP, 1, State.INTERRUPTED, Remark(), _R.WAITING, 0),
        (SWEEP, TRIES, State.INTERRUPTED, Remark(), _R.FAILED, 0),
        (SWEEP, 1, State.INTERRUPTED, CANCELLED, _R.CANCELLED, 0),
        (PERSON, 0, State.INTERRUPTED, Remark(), _R.CANCELLED, 0),
        (PERSON, 1, State.INTERRUPTED, Remark(), _R.WAITING, 0),
    ],
)
def test_what_becomes_of_a_request_when_its_run_ends(
    place: Place, origin: str, tries: int, end: State, remark: Remark, state: RequestState, minutes: int
) -> None:
    """`tries` of a person's request: it was put into the queue again by `ppi queue retry`."""
    if tries:
        place.launched(tries, origin, run=RUN)
    else:
        place.asked(origin)
    record = ended(place.begun(), end, error="the archive is busy")
    place.catalog.write(record, remark)
    place.catalog.write(record, remark)
    request = place.request()
    assert request.state is state
    assert request.due == NOON + timedelta(minutes=1 + minutes)
    assert "the archive is busy" in (request.reason or "") or end is State.UNCHANGED
    assert [change.state for change in place.told] == [_R.RUNNING, state], "written twice, told once"
    assert len(place.messages()) == 1


def test_what_a_person_has_cancelled_stays_so_unless_it_was_done(place: Place) -> None:
    place.launched(run=RUN)
    for number, end in enumerate((State.INTERRUPTED, State.FAILED, State.REFUSED, State.SUCCEEDED)):
        record = place.begun(f"{number:036}")
        assert [change.state for change in place.desk.cancel(Chosen(project=PROJECT)).changes] == [_R.CANCELLED]
        place.catalog.write(ended(record, end, error="x"), PASSING)
        assert place.request().state is (_R.SUCCEEDED if end is State.SUCCEEDED else _R.CANCELLED)


@pytest.mark.parametrize("noted", [None, RUN])
def test_what_is_cancelled_before_its_run_is_known_or_has_begun_is_not_done(
    place: Place, noted: str | None
) -> None:
    place.launched(run=noted)
    place.desk.cancel(Chosen(project=PROJECT))
    place.book.note_runs({place.request().id: RUN})
    with pytest.raises(Refused, match=r"cancelled by operator\. Next: .* ppi queue retry"):
        place.begun(RUN, by_sweep=True)
    assert place.request().state is _R.CANCELLED
    assert place.catalog.look_up(Wanted(), lambda _: True) == ()
    place.begun(LATER_RUN)
    assert place.request().state is _R.RUNNING, "a person says again"


def test_only_the_run_that_holds_the_request_moves_it(place: Place) -> None:
    first = place.begun(RUN)
    place.begun(LATER_RUN, minutes=1)
    with pytest.raises(Refused, match="it is interrupted and cannot become failed"):
        place.catalog.write(ended(first, State.FAILED))
    place.catalog.write(ended(first, State.SUCCEEDED))
    assert (place.request().state, place.request().processing_id) == (_R.RUNNING, LATER_RUN)


@pytest.mark.parametrize(("cancelled", "state"), [(False, _R.WAITING), (True, _R.CANCELLED)])
def test_a_run_that_is_gone_is_settled_with_its_request(
    place: Place, cancelled: bool, state: RequestState
) -> None:
    place.launched(run=RUN)
    record = place.begun()
    for _ in range(2):
        place.catalog.interrupt(record.id, cancelled=cancelled)
    assert (place.request().state, place.request().reason) == (state, KILLED)
    assert [(message["state"], message["reason"]) for message in place.messages()] == [("failed", KILLED)]


def test_the_next_run_settles_a_killed_one_and_has_its_request(place: Place) -> None:
    place.launched(run=RUN)
    place.begun(RUN)
    place.begun(LATER_RUN, minutes=1)
    assert [change.state for change in place.told] == [_R.RUNNING, _R.WAITING, _R.RUNNING]
    assert (place.request().processing_id, place.request().tries) == (LATER_RUN, 1)


def test_a_request_whose_execution_is_lost_is_had_by_the_next_run(place: Place) -> None:
    place.launched(run=RUN)
    place.book.settle(place.request(), _R.RUNNING, NOON, "x")
    place.begun(LATER_RUN)
    assert (place.request().processing_id, place.told) == (LATER_RUN, [])


def test_what_was_refused_before_it_began_is_nothing_to_requests(place: Place) -> None:
    place.asked()
    refused = Execution(
        flow=FLOW, profile="site-test", observation=ONE, started=NOON, state=State.REFUSED, error="proprietary"
    )
    place.catalog.add(refused)
    place.catalog.add(refused.model_copy(update={"observation": OTHER}))
    assert (place.request().state, place.told, len(place.desk.look_up(Chosen()))) == (_R.WAITING, [], 1)


def stages(*names: str) -> tuple[Stage, ...]:
    return tuple(Stage(name=name, started=NOON + timedelta(seconds=at)) for at, name in enumerate(names, 1))


def test_the_stages_and_the_end_are_told_once_with_all_that_concerns_others(place: Place) -> None:
    place.launched(run=RUN)
    record, remark = place.begun().model_copy(update={"project": PROJECT}), Remark(directory="area/2017.1_x")
    place.catalog.write(record.model_copy(update={"stages": stages("plan")}), remark)
    assert place.messages() == []
    for names in (("plan", "gather"), ("plan", "gather"), ("plan", "gather", "process", "finish")):
        place.catalog.write(record.model_copy(update={"stages": stages(*names)}), remark)
    assert (place.request().stage, place.request().told) == ("post casa", NOON + timedelta(seconds=4))
    known = {"verdict": "success", "delivery": "area/delivered/x"}
    place.catalog.write(ended(record, stages=stages("plan", "gather", "process", "finish"), **known), remark)
    told = place.messages()
    assert [(message["state"], message["stage"], message["time"]) for message in told] == [
        ("running", "gathering data", "2026-05-04T12:00:02+00:00"),
        ("running", "running casa", "2026-05-04T12:00:03+00:00"),
        ("running", "post casa", "2026-05-04T12:00:04+00:00"),
        ("complete", "post casa", "2026-05-04T12:01:00+00:00"),
    ]
    assert told[1]["directory"] == "area/2017.1_x"
    assert told[-1] == {
        "profile": "site-test", "workflow": FLOW, "observation": ONE, "project": PROJECT, "request": 1,
        "execution": record.id, "flow_run": RUN, "state": "complete", "stage": "post casa",
        "directory": "area/delivered/x", "verdict": "success", "reason": "success",
        "time": "2026-05-04T12:01:00+00:00",
    }  # fmt: skip
    assert {message.routing_key for message in Outbox(place.database).unsent()} == {"workflow-status.restore-ous"}


def test_stages_are_told_late_if_the_catalog_was_away_when_they_began(place: Place) -> None:
    place.catalog.write(ended(place.begun(), State.FAILED, error="x", stages=stages("plan", "gather", "process")))
    assert [(message["state"], message["stage"]) for message in place.messages()] == [
        ("running", "gathering data"),
        ("running", "running casa"),
        ("failed", "running casa"),
    ]


def test_without_a_broker_nothing_is_written_for_it(place: Place) -> None:
    place.announces = False
    place.catalog.write(ended(place.begun(), stages=stages("gather")))
    assert (place.messages(), place.request().stage) == ([], "gathering data")


def test_nothing_is_told_of_what_is_not_written(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.launched(run=RUN)
    record = place.begun()
    place.told.clear()

    def cut_off(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("tasks.catalog.following.Following._move", cut_off)
        with pytest.raises(KeyboardInterrupt):
            place.catalog.write(ended(record))
    assert (place.told, place.messages(), place.request().state) == ([], [], _R.RUNNING)
    assert place.catalog.find(record.id, lambda _: True).state is State.RUNNING


def test_a_request_that_is_made_at_the_same_moment_is_the_run_s(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.asked()
    look, looks = Following._request, []

    def too_early(following: Following, execution: Any) -> Any:
        looks.append(1)
        return None if len(looks) == 1 else look(following, execution)

    monkeypatch.setattr(Following, "_request", too_early)
    place.begun()
    assert (place.request().state, place.request().origin) == (_R.RUNNING, SWEEP)


OPERATIONS = st.lists(
    st.sampled_from(
        ["ask", "launch", "begin", "begin late", "kill", "interrupt", "hold", "release", "cancel", "retry", *ENDS]
    ),
    max_size=20,
)


@settings(max_examples=40, deadline=None)
@given(OPERATIONS, st.sampled_from([Remark(), PASSING, CANCELLED]))
def test_in_any_history_there_is_one_request_that_changes_as_drawn(
    template: Path, operations: list[str], remark: Remark
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = copied(template, Path(folder))
        history = _History(place, remark)
        for minute, operation in enumerate(operations):
            history.do(operation, minute)
            history.check()


class _History:
    """What operators, sweeps and one run at a time do to one observation."""

    def __init__(self, place: Place, remark: Remark) -> None:
        self.place, self.remark, self.minute = place, remark, 0
        self.record: Record | None = None
        self.seen: RequestState | None = None

    def do(self, operation: str, minute: int) -> None:
        self.minute = minute
        acts: dict[str, Callable[[], object]] = {
            "ask": self._ask,
            "launch": self._launch,
            "begin": lambda: self._begin(f"{minute:036}"),
            "begin late": lambda: self._begin(RUN, by_sweep=True),
            "kill": lambda: setattr(self, "record", None),
            "interrupt": lambda: self.record and self.place.catalog.interrupt(self.record.id),
        }
        if operation in acts:
            acts[operation]()
        elif operation in ENDS:
            self._end(State(operation))
        else:
            done = getattr(self.place.desk, operation)(Chosen(observations=frozenset({ONE})))
            self.place.told.extend(done.changes)

    def _ask(self) -> None:
        ask = Ask(workflow=FLOW, observation=ONE, project=PROJECT, origin=SWEEP)
        self.place.told.extend(self.place.book.record([ask], NOON))

    def _launch(self) -> None:
        numbers = [request.id for request in self.place.desk.look_up(Chosen())]
        self.place.told.extend(self.place.book.launch(numbers, 1, NOON))

    def _begin(self, run: str, by_sweep: bool = False) -> None:
        if self.record is None:
            with suppress(Refused):
                self.record = self.place.begun(run, minutes=self.minute, by_sweep=by_sweep)

    def _end(self, state: State) -> None:
        record, self.record = self.record, None
        if record and self.place.catalog.find(record.id, lambda _: True).state is State.RUNNING:
            self.place.catalog.write(ended(record, state), self.remark)

    def check(self) -> None:
        """Each change is drawn and goes on from the one before; the catalog has what the last one says."""
        requests = self.place.desk.look_up(Chosen())
        assert len(requests) <= 1
        for change in self.place.told:
            assert change.before is self.seen
            assert change.before is None or change.before in before(change.state)
            self.seen = change.state
        self.place.told.clear()
        assert [request.state for request in requests] == ([self.seen] if self.seen else [])
        if requests and requests[0].state is _R.RUNNING and self.record:
            assert requests[0].processing_id == self.record.flow_run

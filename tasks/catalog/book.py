"""The requests of an environment: each is asked for once, launched in fair order, and no more at once than may be.

Who asks for what is asked for already changes nothing. The order is by priority; among equals each project has its
turn, however many requests another one has: a request's turn is one after the last open one of its project, or the
turn that is being served, whichever is later. So the next one is found in an index, however many wait.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import BigInteger, ColumnElement, Integer, case, func, literal, or_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select, update

from tasks.catalog.connection import Database
from tasks.catalog.lists import field, rows_of, words_of
from tasks.catalog.model import Utc
from tasks.catalog.moves import change_of, move
from tasks.catalog.request import TRIES, Ask, Change, Request
from tasks.catalog.request_states import ACTIVE, RequestState
from tasks.catalog.states import State
from tasks.catalog.tables import EnvironmentRow, ExecutionRow, MarkRow, RequestRow
from tasks.catalog.turns import new_turns

__all__ = ["Book", "Filed", "Mark", "Outcome"]

_AGAIN: Final = "it may be processed again"
_LONGEST_PAUSE: Final = timedelta(days=1)
"""No request is put off for longer: one that is was put off by a clock that went wrong."""
_TABLE = RequestRow.__table__  # type: ignore[attr-defined]
_MARKS = MarkRow.__table__  # type: ignore[attr-defined]


class Filed(Request):
    """A request with its number."""

    id: int


@dataclass(frozen=True)
class Mark:
    """How far something has come.

    Parameters
    ----------
    name
        What.
    moment, place
        Up to when, and where in an order; None for the beginning.
    """

    name: str
    moment: datetime | None = None
    place: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What the catalog says of a run: its execution's state, and the error that ended it."""

    state: State
    error: str | None


class Book:
    """The requests in an environment's catalog.

    Parameters
    ----------
    database
        Of a catalog that is up to date; see `tasks.catalog.catalog.Catalog`.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def marks(self) -> dict[str, Mark]:
        """Return how far things have come, by name."""
        with self._database.reading() as connection, Session(connection) as session:
            return {row.name: Mark(row.name, row.moment, row.place) for row in session.exec(select(MarkRow))}

    def known(self, observations: Collection[str], workflow: str) -> dict[str, RequestState]:
        """Return the states of the requests for some observations; those without one are left out."""
        with self._database.reading() as connection, Session(connection) as session:
            words = words_of(session, observations)
            chosen = select(RequestRow.observation, RequestRow.state).where(
                col(RequestRow.workflow) == workflow, col(RequestRow.observation).in_(select(words.c.value))
            )
            return {name: RequestState(state) for name, state in session.exec(chosen)}

    def record(
        self,
        asks: Sequence[Ask],
        now: datetime,
        withdrawn: Mapping[str, str] | None = None,
        marks: Iterable[Mark] = (),
        workflow: str = "",
    ) -> tuple[Change, ...]:
        """Write down what is asked for and what is not any more, and how far one has come, in one transaction.

        Parameters
        ----------
        asks
            What is asked for, all of one workflow. What was withdrawn waits again, unless it has been launched too
            often to no avail; whatever else is known stays as it is.
        withdrawn
            Observations that may not be processed now, each with the reason: what waits for them is withdrawn.
            What a person holds is left to that person.
        marks
            How far one has come.
        workflow
            Whose requests are withdrawn.
        """
        with self._database.writing() as connection, Session(connection) as session:
            changes = (*_asked(session, asks, now), *_withdrawn(session, withdrawn or {}, workflow, now))
            _put(session, [vars(mark) for mark in marks])
            return changes

    def candidates(self, workflow: str, most: int, now: datetime) -> tuple[Filed, ...]:
        """Return what is to be launched next: waiting, due, in order."""
        waiting = (
            col(RequestRow.state) == RequestState.WAITING,
            col(RequestRow.workflow) == workflow,
            or_(col(RequestRow.due) <= now, col(RequestRow.due) > now + _LONGEST_PAUSE),
        )
        with self._database.reading() as connection, Session(connection) as session:
            rows = session.exec(select(RequestRow).where(*waiting).order_by(*_order(RequestRow)).limit(most))
            return tuple(map(_filed, rows))

    def active(self) -> tuple[Filed, ...]:
        """Return what was launched and has not come to an end."""
        with self._database.reading() as connection, Session(connection) as session:
            chosen = select(RequestRow).where(col(RequestRow.state).in_(ACTIVE)).order_by(col(RequestRow.id))
            return tuple(map(_filed, session.exec(chosen)))

    def launch(self, numbers: Sequence[int], most: int, now: datetime) -> tuple[Change, ...]:
        """Take requests as launched, as long as no more are active than may be; return those that were.

        They have no run until it is noted. Whoever else does so at the same time gets others.

        Parameters
        ----------
        numbers
            Those that are to be; the first of them are, in the order in which they are to be.
        most
            How many of all may be active at once.
        """
        with self._database.writing() as connection, Session(connection) as session:
            _lock(session, numbers)
            launched = (
                update(RequestRow)
                .where(col(RequestRow.id).in_(_launchable(numbers, most)))
                .values(
                    state=RequestState.LAUNCHED,
                    changed=now,
                    tries=col(RequestRow.tries) + 1,
                    launches=col(RequestRow.launches) + 1,
                    processing_id=None,
                    stage=None,
                    told=None,
                )
                .returning(RequestRow)
            )
            rows = session.scalars(launched, execution_options={"synchronize_session": False}).all()
            changes = [change_of(row, RequestState.WAITING, row.state, row.reason) for row in rows]
            return tuple(sorted(changes, key=lambda change: numbers.index(change.number)))

    def note_runs(self, runs: Mapping[int, str]) -> None:
        """Note which run works on each of some requests that were launched, unless it has said so itself."""
        if not runs:
            return
        with self._database.writing() as connection, Session(connection) as session:
            listed = rows_of(session, [{"id": number, "run": run} for number, run in runs.items()])
            mine = col(RequestRow.id) == field(listed, "id", Integer)
            unnoted = col(RequestRow.state) == RequestState.LAUNCHED, col(RequestRow.processing_id).is_(None)
            noted = update(RequestRow).where(mine, *unnoted).values(processing_id=field(listed, "run"))
            session.exec(noted, execution_options={"synchronize_session": False})

    def outcomes(self, runs: Collection[str]) -> dict[str, Outcome]:
        """Return what the catalog says of runs; those that it has no execution of are left out."""
        with self._database.reading() as connection, Session(connection) as session:
            words = words_of(session, runs)
            chosen = (
                select(ExecutionRow.flow_run, ExecutionRow.state, ExecutionRow.error)
                .where(col(ExecutionRow.flow_run).in_(select(words.c.value)))
                .order_by(col(ExecutionRow.id))
            )
            return {run or "": Outcome(State(state), error) for run, state, error in session.exec(chosen)}

    def settle(
        self, request: Filed, state: RequestState, now: datetime, reason: str, due: datetime | None = None
    ) -> tuple[Change, ...]:
        """Bring a request that is active to a state, because its run will not; unless another run has it by now.

        Parameters
        ----------
        request
            As it was when that was found.
        due
            Before then it is not launched again.
        """
        with self._database.writing() as connection, Session(connection) as session:
            this = (
                (col(RequestRow.id) == request.id)
                & (col(RequestRow.launches) == request.launches)
                & col(RequestRow.processing_id).is_not_distinct_from(request.processing_id)
            )
            return move(session, this, state, now, among=ACTIVE, reason=reason, values={"due": due or now})


def _order(table: type[RequestRow]) -> tuple[Any, ...]:
    return col(table.priority).desc(), col(table.turn), col(table.id)


def _lock(session: Session, numbers: Sequence[int]) -> None:
    """Keep others from launching, and from moving some requests; what they did before is seen next.

    Requests are locked in the order of `move`.
    """
    mine = select(RequestRow.id).select_from(EnvironmentRow).join(RequestRow, col(RequestRow.id).in_(numbers))
    session.exec(mine.order_by(col(RequestRow.id)).with_for_update()).all()


def _launchable(numbers: Sequence[int], most: int) -> Any:
    """Select those that still wait, as many as there is room for."""
    waiting, active = aliased(RequestRow), aliased(RequestRow)
    many = select(func.count(col(active.id))).where(col(active.state).in_(ACTIVE)).scalar_subquery()
    room = case((many < most, most - many), else_=0)
    mine = col(waiting.id).in_(numbers), col(waiting.state) == RequestState.WAITING
    return select(waiting.id).where(*mine).order_by(*_order(waiting)).limit(room)


def _asked(session: Session, asks: Sequence[Ask], now: datetime) -> tuple[Change, ...]:
    wanted = {ask.observation: ask for ask in asks}
    if not wanted:
        return ()
    added = _added(session, tuple(wanted.values()), now)
    there = wanted.keys() - {change.observation for change in added}
    return (*added, *(_reinstated(session, there, asks[0].workflow, now) if there else ()))


def _put(session: Session, marks: list[dict[str, Any]]) -> None:
    if marks:
        insert = _insert(session)(_MARKS).values(marks)
        new = {name: insert.excluded[name] for name in ("moment", "place")}
        session.execute(insert.on_conflict_do_update(index_elements=["name"], set_=new))


def _insert(session: Session) -> Any:
    return postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert


def _added(session: Session, asks: Sequence[Ask], now: datetime) -> tuple[Change, ...]:
    turns = new_turns(session, [ask.project for ask in asks])
    rows = [{**ask.model_dump(), "turn": turn} for ask, turn in zip(asks, turns, strict=True)]
    listed = rows_of(
        session, sorted(rows, key=lambda row: str(row["observation"]))
    )  # who asks at once waits in turn
    constant = {
        "state": literal(RequestState.WAITING, _TABLE.c.state.type),
        **{name: literal(now, Utc) for name in ("asked", "changed", "due")},
        "tries": literal(0, Integer),
        "launches": literal(0, Integer),
    }
    text = {name: field(listed, name) for name in ("workflow", "observation", "project", "origin", "reason")}
    number = {"priority": field(listed, "priority", Integer), "turn": field(listed, "turn", BigInteger)}
    values = constant | text | number
    selected = select(*values.values()).where(listed.c.value.is_not(None))
    new = _insert(session)(_TABLE).from_select(list(values), selected).on_conflict_do_nothing()
    done = session.execute(new.returning(_TABLE.c.observation, _TABLE.c.id)).all()
    of = {ask.observation: ask for ask in asks}
    return tuple(_new(of[observation], number) for observation, number in sorted(done, key=lambda row: row[1]))


def _new(ask: Ask, number: int) -> Change:
    return Change(
        number=number,
        workflow=ask.workflow,
        observation=ask.observation,
        project=ask.project,
        before=None,
        state=RequestState.WAITING,
        reason=ask.reason,
    )


def _reinstated(
    session: Session, observations: Collection[str], workflow: str, now: datetime
) -> tuple[Change, ...]:
    chosen = _of(session, observations, workflow) & (col(RequestRow.tries) < TRIES)
    among, values = {RequestState.WITHDRAWN}, {"due": now}
    return move(session, chosen, RequestState.WAITING, now, among=among, reason=_AGAIN, values=values)


def _withdrawn(session: Session, reasons: Mapping[str, str], workflow: str, now: datetime) -> tuple[Change, ...]:
    if not reasons:
        return ()
    chosen, among = _of(session, reasons, workflow), {RequestState.WAITING}
    return move(session, chosen, RequestState.WITHDRAWN, now, among=among, reason=reasons)


def _of(session: Session, observations: Collection[str], workflow: str) -> ColumnElement[bool]:
    words = words_of(session, observations)
    named = col(RequestRow.observation).in_(select(words.c.value))
    return (col(RequestRow.workflow) == workflow) & named


def _filed(row: RequestRow) -> Filed:
    return Filed.model_validate(row.model_dump())

"""The requests of an environment: each is asked for once, launched in fair order, and no more at once than may be.

Who asks for what is asked for already changes nothing. The order is by priority; among equals each project has its
turn, however many requests another one has: a request's turn is one after the last open one of its project, or the
turn that is being served, whichever is later. So the next one is found in an index, however many wait.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import BigInteger, Integer, cast, func, literal
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col, select, update

from tasks.catalog.connection import Database
from tasks.catalog.lists import field, rows_of, words_of
from tasks.catalog.model import Utc
from tasks.catalog.moves import change_of, move
from tasks.catalog.request import TRIES, Ask, Change, Request
from tasks.catalog.request_states import ACTIVE, OPEN, RequestState
from tasks.catalog.tables import EnvironmentRow, MarkRow, RequestRow

__all__ = ["Book", "Filed", "Mark"]

_AGAIN: Final = "it may be processed again"
_TABLE = RequestRow.__table__  # type: ignore[attr-defined]


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
    ) -> tuple[Change, ...]:
        """Write down what is asked for and what is not any more, and how far one has come, in one transaction.

        Parameters
        ----------
        asks
            What is asked for, all of one workflow. What was withdrawn waits again, unless it has been launched too
            often to no avail; whatever else is known stays as it is.
        withdrawn
            Observations that may not be processed now, each with the reason: what waits for them is withdrawn.
        marks
            How far one has come.
        """
        with self._database.writing() as connection, Session(connection) as session:
            changes = (*self._asked(session, asks, now), *_withdrawn(session, withdrawn or {}, now))
            for mark in marks:
                session.merge(MarkRow(name=mark.name, moment=mark.moment, place=mark.place))
            session.flush()
            return changes

    def candidates(self, workflow: str, most: int, now: datetime) -> tuple[Filed, ...]:
        """Return what is to be launched next: waiting, due, in order."""
        order = (col(RequestRow.priority).desc(), col(RequestRow.turn), col(RequestRow.id))
        waiting = (
            col(RequestRow.state) == RequestState.WAITING,
            col(RequestRow.workflow) == workflow,
            col(RequestRow.due) <= now,
        )
        with self._database.reading() as connection, Session(connection) as session:
            rows = session.exec(select(RequestRow).where(*waiting).order_by(*order).limit(most))
            return tuple(map(_filed, rows))

    def active(self) -> tuple[Filed, ...]:
        """Return what was launched and has not come to an end."""
        with self._database.reading() as connection, Session(connection) as session:
            chosen = select(RequestRow).where(col(RequestRow.state).in_(ACTIVE)).order_by(col(RequestRow.id))
            return tuple(map(_filed, session.exec(chosen)))

    def launch(self, numbers: Sequence[int], most: int, now: datetime) -> tuple[Change, ...]:
        """Take requests as launched, as long as no more are active than may be; return those that were.

        Whoever else does so at the same time gets others.

        Parameters
        ----------
        numbers
            Those that are to be, in order.
        most
            How many of all may be active at once.
        """
        with self._database.writing() as connection, Session(connection) as session:
            session.exec(select(EnvironmentRow).with_for_update()).one()
            active = col(RequestRow.state).in_(ACTIVE)
            room = most - session.exec(select(func.count()).select_from(RequestRow).where(active)).one()
            waiting = col(RequestRow.state) == RequestState.WAITING
            still = session.exec(select(RequestRow.id).where(col(RequestRow.id).in_(numbers), waiting)).all()
            chosen = [number for number in numbers if number in set(still)][: max(room, 0)]
            tries = {"tries": col(RequestRow.tries) + 1, "launches": col(RequestRow.launches) + 1}
            return move(session, col(RequestRow.id).in_(chosen), RequestState.LAUNCHED, now, values=tries)

    def note_run(self, number: int, run: str) -> None:
        """Note which run works on a request that was launched."""
        with self._database.writing() as connection, Session(connection) as session:
            session.exec(update(RequestRow).where(col(RequestRow.id) == number).values(processing_id=run))

    def settle(
        self, number: int, state: RequestState, now: datetime, reason: str, due: datetime | None = None
    ) -> tuple[Change, ...]:
        """Bring a request that is active to a state, because its run will not.

        Parameters
        ----------
        due
            Before then it is not launched again.
        """
        with self._database.writing() as connection, Session(connection) as session:
            this = col(RequestRow.id) == number
            return move(session, this, state, now, among=ACTIVE, reason=reason, values={"due": due or now})

    def _asked(self, session: Session, asks: Sequence[Ask], now: datetime) -> tuple[Change, ...]:
        if not asks:
            return ()
        words = words_of(session, [ask.observation for ask in asks])
        chosen = select(RequestRow.observation, RequestRow.id, RequestRow.state, RequestRow.tries).where(
            col(RequestRow.workflow) == asks[0].workflow, col(RequestRow.observation).in_(select(words.c.value))
        )
        there = {row[0]: row for row in session.exec(chosen)}
        back = [row[1] for row in there.values() if row[2] is RequestState.WITHDRAWN and row[3] < TRIES]
        fresh = {ask.observation: ask for ask in asks if ask.observation not in there}
        added = _added(session, tuple(fresh.values()), now) if fresh else ()
        return (*added, *_reinstated(session, back, now))


def _added(session: Session, asks: Sequence[Ask], now: datetime) -> tuple[Change, ...]:
    rows = [{**ask.model_dump(), "turn": turn} for ask, turn in zip(asks, _turns(session, asks), strict=True)]
    listed = rows_of(session, rows)
    constant = {
        "state": literal(RequestState.WAITING, _TABLE.c.state.type),
        **{name: literal(now, Utc) for name in ("asked", "changed", "due")},
        "tries": literal(0, Integer),
        "launches": literal(0, Integer),
    }
    text = {name: field(listed, name) for name in ("workflow", "observation", "project", "origin", "reason")}
    number = {"priority": field(listed, "priority", Integer), "turn": field(listed, "turn", BigInteger)}
    values = constant | text | number
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    selected = select(*values.values()).where(listed.c.value.is_not(None))
    new = insert(_TABLE).from_select(list(values), selected).on_conflict_do_nothing()
    done = session.execute(new.returning(_TABLE.c.observation, _TABLE.c.id)).all()
    of = {ask.observation: ask for ask in asks}
    return tuple(
        _new(of[observation], number, now) for observation, number in sorted(done, key=lambda row: row[1])
    )


def _new(ask: Ask, number: int, now: datetime) -> Change:
    row = RequestRow(id=number, **ask.model_dump(), asked=now, changed=now, due=now)
    return change_of(row, None, RequestState.WAITING, ask.reason)


def _turns(session: Session, asks: Sequence[Ask]) -> list[int]:
    """Return each one's turn: after its project's last open one, and not before the turn that is being served."""
    projects = words_of(session, {ask.project or "" for ask in asks})
    of_open = (
        select(RequestRow.project, func.max(RequestRow.turn))
        .where(col(RequestRow.project).in_(select(projects.c.value)), col(RequestRow.state).in_(OPEN))
        .group_by(col(RequestRow.project))
    )
    last: dict[str, int] = defaultdict(int, {project or "": turn for project, turn in session.exec(of_open)})
    served, turns = _served(session), []
    for ask in asks:
        project = ask.project or ""
        last[project] = max(last[project] + 1, served)
        turns.append(last[project])
    return turns


def _served(session: Session) -> int:
    waiting = select(func.min(RequestRow.turn)).where(col(RequestRow.state) == RequestState.WAITING)
    active = select(func.max(RequestRow.turn)).where(col(RequestRow.state).in_(ACTIVE))
    found = session.exec(select(func.coalesce(waiting.scalar_subquery(), active.scalar_subquery(), 0))).one()
    return int(found)


def _reinstated(session: Session, numbers: Collection[int | None], now: datetime) -> tuple[Change, ...]:
    if not numbers:
        return ()
    ids = words_of(session, [str(number) for number in numbers])
    chosen = col(RequestRow.id).in_(select(cast(ids.c.value, Integer)))
    return move(
        session,
        chosen,
        RequestState.WAITING,
        now,
        among={RequestState.WITHDRAWN},
        reason=_AGAIN,
        values={"due": now},
    )


def _withdrawn(session: Session, reasons: Mapping[str, str], now: datetime) -> tuple[Change, ...]:
    if not reasons:
        return ()
    words = words_of(session, reasons)
    among = {RequestState.WAITING, RequestState.HELD}
    chosen = col(RequestRow.observation).in_(select(words.c.value))
    return move(session, chosen, RequestState.WITHDRAWN, now, among=among, reason=reasons)


def _filed(row: RequestRow) -> Filed:
    return Filed.model_validate(row.model_dump())

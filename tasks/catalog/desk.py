"""What people do with requests: look at them in the order in which they come, and move many at once.

Each action says of what it was asked to do what it did, and what it left as it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel, ConfigDict
from sqlalchemy import ColumnElement, case, func, true
from sqlmodel import Session, col, select, update

from tasks.catalog.book import Filed
from tasks.catalog.connection import Database
from tasks.catalog.lists import words_of
from tasks.catalog.moves import move
from tasks.catalog.request import Change
from tasks.catalog.request_states import OPEN, RequestState
from tasks.catalog.tables import RequestRow
from tasks.catalog.turns import catch_up

__all__ = ["Chosen", "Desk", "Done", "Listed"]

_R = RequestState
_GIVEN_UP: Final = frozenset({_R.FAILED, _R.WITHDRAWN, _R.CANCELLED})
_PLAIN: Final = {"synchronize_session": False}
_ORDER: Final = (_R.RUNNING, _R.LAUNCHED, _R.WAITING, _R.HELD, _R.FAILED, _R.WITHDRAWN, _R.CANCELLED, _R.SUCCEEDED)


class Chosen(BaseModel):
    """Which requests: those that agree with all that is given.

    Parameters
    ----------
    observations
        One of these; empty for any.
    project
        Of this project.
    states
        In one of these; empty for any.
    """

    model_config = ConfigDict(frozen=True)

    observations: frozenset[str] = frozenset()
    project: str | None = None
    states: frozenset[RequestState] = frozenset()

    def condition(self, session: Session) -> ColumnElement[bool]:
        """Return that as a condition on requests."""
        chosen: ColumnElement[bool] = true()
        if self.observations:
            words = words_of(session, sorted(self.observations))
            chosen &= col(RequestRow.observation).in_(select(words.c.value))
        if self.project is not None:
            chosen &= col(RequestRow.project) == self.project
        if self.states:
            chosen &= col(RequestRow.state).in_(self.states)
        return chosen


class Listed(Filed):
    """A request with its place in the queue, 1 for the next; None for one that is not waiting."""

    place: int | None


@dataclass(frozen=True)
class Done:
    """What an action came to.

    Parameters
    ----------
    done
        The requests that it was done to, as they were before.
    left
        Those that it was not done to, since their state does not allow it.
    changes
        The changes of state.
    """

    done: tuple[Filed, ...]
    left: tuple[Filed, ...]
    changes: tuple[Change, ...] = ()


class Desk:
    """Where people see and move the requests of an environment.

    Parameters
    ----------
    database
        Of a catalog that is up to date.
    who
        The person's account.
    now
        Tells the time.
    """

    def __init__(self, database: Database, who: str, now: Callable[[], datetime]) -> None:
        self._database, self._who, self._now = database, who, now

    def look_up(self, chosen: Chosen, most: int | None = None) -> tuple[Listed, ...]:
        """Return requests: what runs, what waits in its order, what is held, and then the newest of the others."""
        next_first = (col(RequestRow.priority).desc(), col(RequestRow.turn), col(RequestRow.id))
        place = func.row_number().over(order_by=next_first).label("place")
        waiting = select(RequestRow.id, place).where(col(RequestRow.state) == _R.WAITING).subquery()
        ranks = case({state.value: rank for rank, state in enumerate(_ORDER)}, value=col(RequestRow.state))
        with self._database.reading() as connection, Session(connection) as session:
            rows = session.exec(
                select(RequestRow, waiting.c.place)
                .outerjoin(waiting, waiting.c.id == RequestRow.id)
                .where(chosen.condition(session))
                .order_by(ranks, waiting.c.place, col(RequestRow.changed).desc(), col(RequestRow.id))
                .limit(most)
            )
            return tuple(Listed(**row.model_dump(), place=place) for row, place in rows)

    def counts(self) -> dict[RequestState, int]:
        """Return how many requests there are in each state that there are any in."""
        with self._database.reading() as connection, Session(connection) as session:
            counted = select(RequestRow.state, func.count()).group_by(col(RequestRow.state))
            found = Counter({RequestState(state): count for state, count in session.exec(counted)})
            return {state: found[state] for state in _ORDER if found[state]}

    def hold(self, chosen: Chosen) -> Done:
        """Have requests that wait wait for a person."""
        return self._move(chosen, {_R.WAITING}, _R.HELD, f"held by {self._who}")

    def release(self, chosen: Chosen) -> Done:
        """Have requests that are held wait for their turn."""
        return self._move(chosen, {_R.HELD}, _R.WAITING, f"released by {self._who}", due=self._now())

    def cancel(self, chosen: Chosen) -> Done:
        """Give requests up; the runs that work on them do not end by it."""
        return self._move(chosen, OPEN, _R.CANCELLED, f"cancelled by {self._who}")

    def retry(self, chosen: Chosen, *, again: bool = False) -> Done:
        """Have requests that were given up wait again, with all their tries; those that wait are due now.

        Parameters
        ----------
        again
            Also those that have succeeded.
        """
        with self._acting(chosen) as (session, condition, rows):
            anew = {"tries": 0, "due": self._now()}
            waiting = col(RequestRow.state) == _R.WAITING
            session.exec(update(RequestRow).where(condition, waiting).values(**anew), execution_options=_PLAIN)
            among = _GIVEN_UP | {_R.SUCCEEDED} if again else _GIVEN_UP
            reason = f"asked for again by {self._who}"
            done = self._moved(session, condition, rows, among, _R.WAITING, reason, **anew)
        already = tuple(row for row in rows if row.state is _R.WAITING)
        left = tuple(row for row in done.left if row.state is not _R.WAITING)
        return Done((*already, *done.done), left, done.changes)

    def prioritise(self, chosen: Chosen, priority: int) -> Done:
        """Give requests another priority; the higher, the sooner."""
        with self._acting(chosen) as (session, condition, rows):
            each = update(RequestRow).where(condition).values(priority=priority)
            session.exec(each, execution_options=_PLAIN)
        return Done(done=rows, left=())

    def _move(
        self, chosen: Chosen, among: Collection[RequestState], state: RequestState, reason: str, **values: Any
    ) -> Done:
        with self._acting(chosen) as (session, condition, rows):
            return self._moved(session, condition, rows, among, state, reason, **values)

    def _moved(
        self,
        session: Session,
        condition: ColumnElement[bool],
        rows: tuple[Filed, ...],
        among: Collection[RequestState],
        state: RequestState,
        reason: str,
        **values: Any,
    ) -> Done:
        if state is _R.WAITING:
            catch_up(session, [row.id for row in rows if row.state in among])
        changes = move(session, condition, state, self._now(), among=among, reason=reason, values=values)
        moved = {change.number for change in changes}
        done = tuple(row for row in rows if row.id in moved)
        return Done(done, tuple(row for row in rows if row.id not in moved), changes)

    @contextmanager
    def _acting(self, chosen: Chosen) -> Iterator[tuple[Session, ColumnElement[bool], tuple[Filed, ...]]]:
        with self._database.writing() as connection, Session(connection) as session:
            condition = chosen.condition(session)
            found = select(RequestRow).where(condition).order_by(col(RequestRow.id)).with_for_update()
            rows = tuple(Filed.model_validate(row.model_dump()) for row in session.exec(found))
            yield session, condition, rows
            session.flush()

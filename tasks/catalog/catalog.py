"""The catalog itself: executions are begun, written as they go, ended, and looked up.

Who begins an execution holds its observation. So whatever the catalog still shows as running on it is not: it was
killed, and is settled as interrupted. Requests follow in the same transactions: see `tasks.catalog.following`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from pydantic import BaseModel, ConfigDict, PositiveInt
from sqlmodel import Session, col, delete, select
from sqlmodel.sql.expression import SelectOfScalar

from tasks.catalog.connection import Database
from tasks.catalog.following import Following, Remark
from tasks.catalog.model import Execution, Record
from tasks.catalog.request import Change
from tasks.catalog.schema import prepare
from tasks.catalog.states import State, require_change
from tasks.catalog.tables import ExecutionRow, PartRow, PieceRow, ProductRow, StageRow, StepRow
from tasks.errors import Missing

__all__ = ["KILLED", "Catalog", "IsHeld", "Tell", "Wanted"]

KILLED = "it ended without a word: it was killed, or its host went down"
IsHeld = Callable[[str], bool]
"""Tells whether somebody works on an observation now."""
Tell = Callable[[tuple[Change, ...]], object]
"""Is told how requests have changed, after that is written; must not fail."""

_PARTS: dict[str, type[PartRow]] = {
    "stages": StageRow,
    "steps": StepRow,
    "pieces": PieceRow,
    "products": ProductRow,
}
_ROWS_AT_ONCE = 100
_OWN = {*Execution.model_fields}
_OF_ITS_RUN = ("host", "account", "owner", "error", "pieces")
"""What a delivery does not say of the run that made it."""


class Wanted(BaseModel):
    """Which executions to look up: those that agree with all that is given.

    Parameters
    ----------
    observation
        Of this one only.
    states
        In one of these; empty for any.
    since, until
        Started then or later; started before.
    limit
        The newest so many.
    """

    model_config = ConfigDict(frozen=True)

    observation: str | None = None
    states: frozenset[State] = frozenset()
    since: datetime | None = None
    until: datetime | None = None
    limit: PositiveInt | None = None


class Catalog:
    """An open catalog; no connection is kept between calls.

    Parameters
    ----------
    database
        Where it is.
    profile
        The environment whose catalog it must be.
    upgrade
        Whether an older one on a server is brought up to date; an older file always is.
    announces
        Whether there is a broker, for which messages are written to the outbox.
    tell
        Is told how requests have changed.

    Raises
    ------
    Transient
        It cannot be reached.
    Refused
        It is another environment's, or of a revision that this PPI does not work with.
    Missing
        There is no such database.
    """

    def __init__(
        self,
        database: Database,
        profile: str,
        *,
        upgrade: bool = False,
        announces: bool = False,
        tell: Tell | None = None,
    ) -> None:
        self._database, self._announces, self._tell = database, announces, tell
        prepare(database, profile, upgrade=upgrade)

    def begin(self, execution: Execution, *, by_sweep: bool = False) -> Record:
        """Write down that an execution has begun; what a kill left running on its observation is settled.

        Its request is running from now on.

        Parameters
        ----------
        by_sweep
            Whether a sweep launched it, and no person started it.

        Raises
        ------
        Refused
            A sweep launched it for a request that was cancelled since then; nothing is written.
        """
        running = col(ExecutionRow.state) == State.RUNNING
        same = col(ExecutionRow.observation) == execution.observation
        with self._moving() as (session, requests):
            for killed in session.exec(select(ExecutionRow).where(running, same).with_for_update()).all():
                _kill(session, killed, requests, Remark(), execution.started)
            begun = _added(session, execution)
            record = Record(id=begun.id or 0, **execution.model_dump())
            requests.begun(begun, by_sweep=by_sweep)
            return record

    def interrupt(self, number: int, *, cancelled: bool = False) -> None:
        """Settle an execution that is still running to the catalog, and whose process is gone.

        Parameters
        ----------
        cancelled
            Whether a person has ended it.
        """
        with self._moving() as (session, requests):
            row = session.get(ExecutionRow, number, with_for_update=True)
            if row and row.state is State.RUNNING:
                _kill(session, row, requests, Remark(cancelled=cancelled), datetime.now(UTC))

    def add(self, execution: Execution) -> None:
        """Write down an execution that has ended already; who does so need not hold its observation.

        Requests do not follow, since nothing was begun.
        """
        with self._writing() as session:
            _added(session, execution)

    def write(self, record: Record, remark: Remark | None = None) -> None:
        """Write an execution's present content with all its parts, in the place of what was there.

        Parameters
        ----------
        remark
            What its request's fate depends on besides.

        Raises
        ------
        Refused
            Its state cannot follow the one that it has.
        Missing
            There is no such execution.
        """
        with self._moving() as (session, requests):
            row = session.get(ExecutionRow, record.id, with_for_update=True)
            if row is None:
                raise self._missing(record.id)
            before = row.state
            _put(session, row, record)
            if before is State.RUNNING:
                requests.went_on(row, record.stages, remark or Remark())
            if before is not record.state:
                requests.ended(row, remark or Remark(), record.finished or datetime.now(UTC))

    def deliver_late(self, record: Record) -> None:
        """Write down a delivery that was found, if a kill came between it and its record; it has no number yet.

        The request is that of the run that found it, which moves it when it ends.
        """
        same = col(ExecutionRow.observation) == record.observation
        then = col(ExecutionRow.started) == record.started
        with self._writing() as session:
            row = session.exec(select(ExecutionRow).where(same, then).with_for_update()).first()
            if row and row.state is State.SUCCEEDED:
                return
            row = row or _added(session, record)
            there = _records(session, [row], lambda _: True)[0]
            _put(session, row, record.model_copy(update={name: getattr(there, name) for name in _OF_ITS_RUN}))

    def find(self, number: int, is_held: IsHeld) -> Record:
        """Return one execution.

        Parameters
        ----------
        is_held
            Tells whether somebody works on an observation now.

        Raises
        ------
        Missing
            There is none of this number.
        """
        with self._reading() as session:
            row = session.get(ExecutionRow, number)
            if row is None:
                raise self._missing(number)
            return _records(session, [row], is_held)[0]

    def look_up(self, wanted: Wanted, is_held: IsHeld) -> tuple[Record, ...]:
        """Return executions, the newest first; one that nobody works on is interrupted, whatever its row says."""
        with self._reading() as session:
            rows = session.exec(_selection(wanted), execution_options={"yield_per": _ROWS_AT_ONCE})
            fitting = (row for row in rows if not wanted.states or _state(row, is_held) in wanted.states)
            return _records(session, list(islice(fitting, wanted.limit)), is_held)

    @contextmanager
    def _moving(self) -> Iterator[tuple[Session, Following]]:
        with self._writing() as session:
            requests = Following(session, announces=self._announces)
            yield session, requests
        if requests.changes and self._tell:
            self._tell(tuple(requests.changes))

    @contextmanager
    def _writing(self) -> Iterator[Session]:
        with self._database.writing() as connection, Session(connection) as session:
            yield session
            session.flush()

    @contextmanager
    def _reading(self) -> Iterator[Session]:
        with self._database.reading() as connection, Session(connection) as session:
            yield session

    def _missing(self, number: int) -> Missing:
        return Missing(f"execution {number}", f"{self._database.location.where} has none", "see `ppi history`")


def _added(session: Session, execution: Execution) -> ExecutionRow:
    row = ExecutionRow(**execution.model_dump(include=_OWN))
    session.add(row)
    session.flush()
    return row


def _kill(session: Session, row: ExecutionRow, requests: Following, remark: Remark, now: datetime) -> None:
    row.state, row.error = State.INTERRUPTED, KILLED
    session.add(row)
    session.flush()
    requests.ended(row, remark, now)


def _put(session: Session, row: ExecutionRow, record: Record) -> None:
    require_change(row.id or 0, row.state, record.state)
    row.sqlmodel_update(record.model_dump(include=_OWN))
    session.add(row)
    for name, table in _PARTS.items():
        session.exec(delete(table).where(col(table.execution_id) == row.id))
        for position, part in enumerate(getattr(record, name)):
            session.add(table(execution_id=row.id or 0, position=position, **part.model_dump()))


def _selection(wanted: Wanted) -> SelectOfScalar[ExecutionRow]:
    """Select what may be wanted: of those written as running, only a look at who holds them tells."""
    chosen = select(ExecutionRow).order_by(col(ExecutionRow.started).desc(), col(ExecutionRow.id).desc())
    if wanted.observation:
        chosen = chosen.where(col(ExecutionRow.observation) == wanted.observation)
    if wanted.since:
        chosen = chosen.where(col(ExecutionRow.started) >= wanted.since)
    if wanted.until:
        chosen = chosen.where(col(ExecutionRow.started) < wanted.until)
    if State.INTERRUPTED in wanted.states:
        return chosen.where(col(ExecutionRow.state).in_(wanted.states | {State.RUNNING}))
    if wanted.states:
        chosen = chosen.where(col(ExecutionRow.state).in_(wanted.states))
    return chosen if State.RUNNING in wanted.states else chosen.limit(wanted.limit)


def _state(row: ExecutionRow, is_held: IsHeld) -> State:
    gone = row.state is State.RUNNING and not is_held(row.observation)
    return State.INTERRUPTED if gone else row.state


def _records(session: Session, rows: list[ExecutionRow], is_held: IsHeld) -> tuple[Record, ...]:
    parts = {name: _parts(session, table, rows) for name, table in _PARTS.items()}
    return tuple(
        Record.model_validate(
            row.model_dump()
            | {"state": _state(row, is_held)}
            | {name: tuple(of[row.id or 0]) for name, of in parts.items()}
        )
        for row in rows
    )


def _parts(session: Session, table: type[PartRow], rows: list[ExecutionRow]) -> dict[int, list[dict[str, Any]]]:
    owned = col(table.execution_id).in_([row.id for row in rows])
    found: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for part in session.exec(select(table).where(owned).order_by(col(table.position))):
        found[part.execution_id].append(part.model_dump(exclude={"execution_id", "position"}))
    return found

"""What runs say of themselves, wherever they are: the newest of it is kept with their requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, select

from tasks.catalog.connection import Database
from tasks.catalog.lists import words_of
from tasks.catalog.tables import RequestRow

__all__ = ["Heard", "Status"]


@dataclass(frozen=True)
class Status:
    """How far the work on an observation has come.

    Parameters
    ----------
    workflow, observation
        Of which request.
    run
        Which run says so, if it says that.
    stage
        What it does; None where that is not said.
    time
        Since when.
    """

    workflow: str
    observation: str
    run: str | None
    stage: str | None
    time: datetime


class Heard:
    """The stages in an environment's catalog.

    Parameters
    ----------
    database
        Of a catalog that is up to date.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(self, statuses: tuple[Status, ...]) -> int:
        """Write down what is newer than what is known; return how many are of no request that we have.

        A run that is not the request's own changes nothing, and no status changes a request's state: that is for
        the run itself to say, in the catalog.
        """
        with self._database.writing() as connection, Session(connection) as session:
            rows = _rows(session, statuses)
            for status in sorted(statuses, key=lambda each: each.time):
                _note(rows, status)
            session.commit()
            return sum((each.workflow, each.observation) not in rows for each in statuses)


def _rows(session: Session, statuses: tuple[Status, ...]) -> Mapping[tuple[str, str], RequestRow]:
    words = words_of(session, {each.observation for each in statuses})
    chosen = select(RequestRow).where(col(RequestRow.observation).in_(select(words.c.value)))
    found = session.exec(chosen.order_by(col(RequestRow.id)).with_for_update()).all()
    return {(row.workflow, row.observation): row for row in found}


def _note(rows: Mapping[tuple[str, str], RequestRow], status: Status) -> None:
    row = rows.get((status.workflow, status.observation))
    if row is None or status.run not in (None, row.processing_id) or (row.told and row.told >= status.time):
        return
    row.told = status.time
    row.stage = status.stage or row.stage

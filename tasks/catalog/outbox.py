"""Messages that are told if a transaction is done, and not if it is not: they are written in it, and sent later.

Each has an id of its own, by which who hears it twice knows it again.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

from sqlalchemy import func
from sqlmodel import Session, col, delete, select, update

from tasks.catalog.connection import Database
from tasks.catalog.tables import OutboxRow

__all__ = ["Message", "Outbox", "write"]

_AT_ONCE: Final = 100


@dataclass(frozen=True)
class Message:
    """A message that is to be sent.

    Parameters
    ----------
    number
        Its place among the others.
    message_id
        Unlike that of any other message.
    routing_key
        By which those hear it who want to.
    body
        JSON.
    written
        When what it tells came to be so.
    """

    number: int
    message_id: str
    routing_key: str
    body: str
    written: datetime


def write(session: Session, routing_key: str, body: Mapping[str, Any], now: datetime) -> None:
    """Write a message in the transaction of what it tells."""
    session.add(
        OutboxRow(
            id=None,
            sent=None,
            message_id=str(uuid4()),
            routing_key=routing_key,
            body=json.dumps(body),
            written=now,
        )
    )
    session.flush()  # a session on a connection of its own does not do so when it is closed


class Outbox:
    """The messages of an environment's catalog.

    Parameters
    ----------
    database
        Of a catalog that is up to date.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def unsent(self, most: int = _AT_ONCE) -> tuple[Message, ...]:
        """Return the oldest that were not sent yet."""
        chosen = select(OutboxRow).where(col(OutboxRow.sent).is_(None)).order_by(col(OutboxRow.id)).limit(most)
        with self._database.reading() as connection, Session(connection) as session:
            return tuple(
                Message(row.id or 0, row.message_id, row.routing_key, row.body, row.written)
                for row in session.exec(chosen)
            )

    def backlog(self) -> int:
        """Return how many were not sent yet."""
        with self._database.reading() as connection, Session(connection) as session:
            count = select(func.count()).select_from(OutboxRow).where(col(OutboxRow.sent).is_(None))
            return session.exec(count).one()

    def mark_sent(self, numbers: Collection[int], now: datetime) -> None:
        """Note that the broker has taken some."""
        with self._database.writing() as connection, Session(connection) as session:
            session.exec(update(OutboxRow).where(col(OutboxRow.id).in_(numbers)).values(sent=now))

    def forget(self, before: datetime, *, dry_run: bool = False) -> int:
        """Delete those that were sent before a time; return how many they are."""
        old = col(OutboxRow.sent) < before
        with self._database.writing() as connection, Session(connection) as session:
            count = session.exec(select(func.count()).select_from(OutboxRow).where(old)).one()
            if not dry_run:
                session.exec(delete(OutboxRow).where(old))
            return count

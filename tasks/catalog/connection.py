"""The way to the catalog's database: short transactions, each on a connection of its own.

An SQLite file is its owner's alone (0600) and journals ahead (WAL), so that reading never waits for writing; its
transactions are begun by us, because Python's driver would leave changes of tables out of them. One that is gone
is not made anew by looking at it: an empty file in its place would hide that.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from sqlalchemy import URL, Connection, event, text
from sqlalchemy.exc import DBAPIError

from tasks import disk
from tasks.database import Location
from tasks.errors import Missing, Refused

__all__ = ["Database"]

_BUSY_SECONDS = 30
"""So long one waits for another's transaction; whoever holds it open has died, or forgotten it."""
_WRITES = "ppi_writes"
_MIGRATION_LOCK = 7065747
"""The number of PostgreSQL's advisory lock; it only has to be the same in every PPI."""


class Database:
    """The database of one environment's catalog.

    Parameters
    ----------
    url
        Its SQLAlchemy URL: SQLite or PostgreSQL.
    username, password
        Its login, if it has one.

    Raises
    ------
    Refused
        The URL cannot be used.
    """

    def __init__(self, url: str, username: str = "", password: str = "") -> None:
        self.location = Location("the catalog", "ppi.catalog", url, username, password)
        if self.location.url.get_backend_name() not in ("sqlite", "postgresql"):
            todo = "set ppi.catalog.url to sqlite or postgresql+psycopg"
            raise Refused("the catalog cannot be opened", "it is kept in SQLite or PostgreSQL only", todo)
        self._engine = self.location.engine(*self._as_sqlite())
        if self.location.file:
            event.listen(self._engine, "connect", _leave_transactions_to_us)
            event.listen(self._engine, "begin", _begin)
        else:
            event.listen(self._engine, "connect", _wait_no_longer)

    @property
    def exists(self) -> bool:
        """Whether there is a file; a server's database is taken to be there."""
        return not self.location.file or self.location.file.is_file()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a transaction that reads.

        Raises
        ------
        Transient
            The database cannot be reached.
        Refused, Missing
            It cannot be used, or is not there.
        """
        with self._transaction(writes=False) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open a transaction that writes; it raises as `reading` does."""
        with self._transaction(writes=True) as connection:
            yield connection

    @contextmanager
    def alone(self) -> Iterator[Connection]:
        """Open a transaction that makes or changes the tables: one at a time, from whichever process."""
        with ExitStack() as stack:
            if file := self.location.file:
                if not file.parent.is_dir():
                    todo = "make it, or correct ppi.catalog.url in the profile"
                    raise Missing(f"the catalog {file}", "there is no such directory", todo)
                stack.enter_context(disk.explained(f"the catalog {file}"))
                stack.enter_context(disk.locked(file.with_name(f".{file.name}.lock"), wait=True))
                self._make_file()
            connection = stack.enter_context(self.writing())
            if not file:
                connection.execute(text("SET LOCAL lock_timeout = 0"))
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
            yield connection

    @contextmanager
    def _transaction(self, *, writes: bool) -> Iterator[Connection]:
        try:
            with self._engine.connect().execution_options(**{_WRITES: writes}) as connection, connection.begin():
                yield connection
        except DBAPIError as error:
            raise self.location.explained(error) from error

    def _make_file(self) -> None:
        descriptor = os.open(str(self.location.file), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not os.fstat(descriptor).st_size:
            os.fchmod(descriptor, 0o600)
        os.close(descriptor)
        try:
            raw = self._engine.raw_connection()
        except DBAPIError as error:
            raise self.location.explained(error) from error
        try:
            raw.cursor().execute("PRAGMA journal_mode = WAL")
        finally:
            raw.close()

    def _as_sqlite(self) -> tuple[URL, ...]:
        if not (file := self.location.file):
            return ()
        query = {"mode": "rw", "uri": "true", "timeout": str(_BUSY_SECONDS)}
        return (URL.create(self.location.url.drivername, database=file.as_uri(), query=query),)


def _leave_transactions_to_us(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")


def _wait_no_longer(connection: Any, _record: object) -> None:
    """Let a server wait no longer for others' locks than SQLite does."""
    connection.autocommit = True
    connection.execute(f"SET lock_timeout = '{int(1000 * _BUSY_SECONDS)}ms'")
    connection.autocommit = False


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

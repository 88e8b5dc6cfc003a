"""The way to the ALMA metadata database: read only, whichever kind it is, with errors that a person can use.

SQLite is opened with ``mode=ro``, PostgreSQL with read-only transactions; for Oracle nothing but SELECT is ever
sent. No connection is kept between readings: the database is the observatory's, and many runs share it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, NullPool, Row, Table, create_engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, NoSuchModuleError, OperationalError
from sqlalchemy.sql import visitors

from tasks.alma.statements import Question
from tasks.errors import Missing, PpiError, Refused, Transient

__all__ = ["Database", "Reader"]

_DATABASE = "the ALMA metadata database"
_CONNECT_SECONDS = 15
_ABSENT = re.compile(
    r"no such (?:table|column)|(?:relation|column|schema|database) .* does not exist|ORA-00942|ORA-00904", re.I
)
_REFUSED = re.compile(
    r"authentication failed|permission denied|no password supplied|role .* does not exist|no pg_hba\.conf entry"
    r"|ORA-01017|ORA-01031",
    re.I,
)


class Reader:
    """An open connection, for SELECTs."""

    def __init__(self, connection: Connection, where: str) -> None:
        self._connection, self._where = connection, where

    def rows(self, statement: Question) -> Sequence[Row[Any]]:
        """Return all rows of a statement; its failure is explained by the tables that it reads."""
        try:
            return self._connection.execute(statement).all()
        except DBAPIError as error:
            raise _explained(error, self._where, statement) from error

    def first(self, statement: Question) -> Row[Any] | None:
        """Return a statement's first row, if it has any."""
        return next(iter(self.rows(statement)), None)


class Database:
    """The ALMA metadata database, by its SQLAlchemy URL.

    Parameters
    ----------
    url
        ``sqlite:///file``, ``postgresql+psycopg://host/name`` or ``oracle+oracledb://host/?service_name=name``.
    schema
        Where the tables are; empty for the connection's own.
    username, password
        Used instead of those in the URL, if not empty; SQLite has no login, and none is used for it.

    Raises
    ------
    Refused
        The URL cannot be used.
    """

    def __init__(self, url: str, schema: str = "", username: str = "", password: str = "") -> None:
        location = _location(url, username, password)
        self._file = _sqlite_file(location)
        self._where = str(self._file) if self._file else _where(location)
        self._engine = _engine(location, self._file, schema)

    @contextmanager
    def reading(self) -> Iterator[Reader]:
        """Open one connection for reading.

        Raises
        ------
        Missing
            There is no such database file, table or column.
        Transient
            The database cannot be reached.
        Refused
            The database does not let this account in.
        """
        if self._file and not self._file.is_file():
            raise Missing(
                f"{_DATABASE} {self._file}", "there is no such file", "correct ppi.metadata.url in the profile"
            )
        try:
            connection = self._engine.connect()
        except DBAPIError as error:
            raise _explained(error, self._where) from error
        with connection:
            yield Reader(connection, self._where)


def _location(text: str, username: str, password: str) -> URL:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise Refused(  # the cause is not chained, because it may quote the password
            f"{_DATABASE} cannot be opened",
            "ppi.metadata.url is not an SQLAlchemy URL",
            "write it like postgresql+psycopg://host:5432/name",
        ) from None
    return url.set(username=username or url.username, password=password or url.password)


def _sqlite_file(url: URL) -> Path | None:
    if url.get_backend_name() != "sqlite":
        return None
    if url.host or not url.database or url.database.startswith((":memory:", "file:")):
        raise Refused(
            f"{_DATABASE} cannot be opened",
            "its SQLite URL names no file",
            "write it like sqlite:////path/to/file",
        )
    return Path(url.database).absolute()


def _where(url: URL) -> str:
    port = f":{url.port}" if url.port else ""
    return f"{url.host or 'localhost'}{port}" + (f"/{url.database}" if url.database else "")


def _engine(url: URL, file: Path | None, schema: str) -> Engine:
    if file:
        query = {"mode": "ro", "uri": "true"}
        url = URL.create(url.drivername, database=f"file:{quote(str(file))}", query=query)
    if url.get_backend_name() == "postgresql" and "connect_timeout" not in url.query:
        url = url.update_query_dict({"connect_timeout": str(_CONNECT_SECONDS)})
    options = {"postgresql_readonly": True, "schema_translate_map": {None: schema or None}}
    try:
        return create_engine(url, poolclass=NullPool, execution_options=options)
    except (NoSuchModuleError, ModuleNotFoundError):
        raise Refused(
            f"{_DATABASE} cannot be opened",
            f"there is no driver for {url.drivername}",
            "use sqlite, postgresql+psycopg or oracle+oracledb",
        ) from None


def _explained(error: DBAPIError, where: str, statement: Question | None = None) -> PpiError:
    what, why = f"{_DATABASE} at {where}", str(error.orig).strip().partition("\n")[0]
    if _ABSENT.search(why):
        lacks = f" lacks what is read of {_tables(statement)}" if statement is not None else ""
        return Missing(what + lacks, why, "correct ppi.metadata.url and .schema in the profile, or the database")
    if _REFUSED.search(str(error.orig)):
        return Refused(f"{what} does not let us in", why, "correct ppi.metadata.username and .password")
    if isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated:
        return Transient(f"{what} cannot be reached", why, "try again, or ask whether it is up")
    return Refused(f"{what} cannot be read", why, "correct ppi.metadata.url in the profile")


def _tables(statement: Question) -> str:
    return ", ".join(sorted({part.name for part in visitors.iterate(statement) if isinstance(part, Table)}))

"""The way to the ALMA metadata database: read only, whichever kind it is, with errors that a person can use.

SQLite is opened with ``mode=ro``, PostgreSQL with read-only transactions; for Oracle nothing but SELECT is ever
sent. No connection is kept between readings: the database is the observatory's, and many runs share it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, Row, Table, func, select, true
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql import visitors

from tasks.alma.statements import Question, Questions
from tasks.database import Location
from tasks.errors import Missing

__all__ = ["Database", "Reader"]


class Reader:
    """An open connection, for SELECTs."""

    def __init__(self, connection: Connection, location: Location) -> None:
        self._connection, self._location = connection, location

    def rows(self, statement: Question | Questions) -> Sequence[Row[Any]]:
        """Return all rows of a statement; its failure is explained by the tables that it reads."""
        try:
            return self._connection.execute(statement).all()
        except DBAPIError as error:
            raise self._location.explained(error, f"what is read of {_tables(statement)}") from error

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
        self._location = Location("the ALMA metadata database", "ppi.metadata", url, username, password)
        self._engine = _engine(self._location, schema)

    @contextmanager
    def reading(self, *, many: bool = False) -> Iterator[Reader]:
        """Open one connection for reading.

        Parameters
        ----------
        many
            Whether many rows are to be looked up one by one. PostgreSQL thinks that dear, and would compile the
            statement first, for longer than it runs.

        Raises
        ------
        Missing
            There is no such database file, table or column.
        Transient
            The database cannot be reached.
        Refused
            The database does not let this account in.
        """
        location = self._location
        if location.file and not location.file.is_file():
            todo = f"correct {location.keys}.url in the profile"
            raise Missing(f"{location.what} {location.file}", "there is no such file", todo)
        try:
            connection = self._engine.connect()
        except DBAPIError as error:
            raise location.explained(error) from error
        with connection:
            reader = Reader(connection, location)
            if many and connection.dialect.name == "postgresql":
                reader.rows(select(func.set_config("jit", "off", true())))
            yield reader


def _engine(location: Location, schema: str) -> Engine:
    url = location.url
    if location.file:
        query = {"mode": "ro", "uri": "true"}
        url = URL.create(url.drivername, database=f"file:{quote(str(location.file))}", query=query)
    options = {"postgresql_readonly": True, "schema_translate_map": {None: schema or None}}
    return location.engine(url, execution_options=options)


def _tables(statement: Question | Questions) -> str:
    return ", ".join(sorted({part.name for part in visitors.iterate(statement) if isinstance(part, Table)}))

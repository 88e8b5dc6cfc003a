"""Opening a database that a profile names, whichever kind it is, with errors that a person can use."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from sqlalchemy import URL, Engine, NullPool, create_engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, NoSuchModuleError, OperationalError

from tasks.errors import Missing, PpiError, Refused, Transient

__all__ = ["Location"]

_PATIENCE = {
    "connect_timeout": "15",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}
"""How long libpq waits for a server that is away: a minute, and not the kernel's two hours."""
_ABSENT = re.compile(
    r"no such (?:table|column)|(?:relation|column|schema|database) .* does not exist|ORA-00942|ORA-00904", re.I
)
_REFUSED = re.compile(
    r"authentication failed|permission denied|no password supplied|role .* does not exist|no pg_hba\.conf entry"
    r"|ORA-01017|ORA-01031",
    re.I,
)


class Location:
    """Where a database is, and what to tell of it.

    Parameters
    ----------
    what
        What it is called in errors, as in "the ALMA metadata database".
    keys
        The beginning of its keys in the profile, as in "ppi.metadata".
    url
        Its SQLAlchemy URL.
    username, password
        Used instead of those in the URL, if not empty; SQLite has no login, and none is used for it.

    Raises
    ------
    Refused
        The URL cannot be used.
    """

    def __init__(self, what: str, keys: str, url: str, username: str = "", password: str = "") -> None:
        self.what, self.keys = what, keys
        self.url = self._read(url, username, password)
        self.file = self._sqlite_file()

    @property
    def where(self) -> str:
        """The file, or the server and the database's name on it."""
        if self.file:
            return str(self.file)
        port = f":{self.url.port}" if self.url.port else ""
        return f"{self.url.host or 'localhost'}{port}" + (f"/{self.url.database}" if self.url.database else "")

    def engine(self, url: URL | None = None, **options: Any) -> Engine:
        """Make an engine that keeps no connection, since the database is shared and a run is long.

        Parameters
        ----------
        url
            Another form of the location's own URL.

        Raises
        ------
        Refused
            There is no driver for it.
        """
        url = self.url if url is None else url
        if url.get_backend_name() == "postgresql":
            url = url.update_query_dict({**_PATIENCE, **url.query})
        try:
            return create_engine(url, poolclass=NullPool, **options)
        except (NoSuchModuleError, ModuleNotFoundError):
            raise Refused(
                f"{self.what} cannot be opened",
                f"there is no driver for {url.drivername}",
                "use sqlite, postgresql+psycopg or oracle+oracledb",
            ) from None

    def explained(self, error: DBAPIError, lacks: str = "") -> PpiError:
        """Return the error to raise for one of the driver's.

        Parameters
        ----------
        lacks
            What the database would lack, in words, if that is the reason.
        """
        what, why = f"{self.what} at {self.where}", str(error.orig).strip().partition("\n")[0]
        if _ABSENT.search(why):
            todo = f"correct {self.keys}.url and .schema in the profile, or the database"
            return Missing(what + (f" lacks {lacks}" if lacks else ""), why, todo)
        if _REFUSED.search(str(error.orig)):
            return Refused(f"{what} does not let us in", why, f"correct {self.keys}.username and .password")
        if isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated:
            todo = "see that the file is there and its folder can be used" if self.file else "ask whether it is up"
            return Transient(f"{what} cannot be reached", why, f"try again, or {todo}")
        return Refused(f"{what} cannot be read", why, f"correct {self.keys}.url in the profile")

    def _read(self, text: str, username: str, password: str) -> URL:
        try:
            url = make_url(text)
        except (ArgumentError, ValueError):
            raise Refused(  # the cause is not chained, because it may quote the password
                f"{self.what} cannot be opened",
                f"{self.keys}.url is not an SQLAlchemy URL",
                "write it like postgresql+psycopg://host:5432/name",
            ) from None
        return url.set(
            username=username or url.username,
            password=password or url.password,
            database=url.database and unquote(url.database),
        )

    def _sqlite_file(self) -> Path | None:
        if self.url.get_backend_name() != "sqlite":
            return None
        if self.url.host or not self.url.database or self.url.database.startswith((":memory:", "file:")):
            raise Refused(
                f"{self.what} cannot be opened",
                "its SQLite URL names no file",
                "write it like sqlite:////path/to/file",
            )
        return Path(self.url.database).absolute()

"""Which tables a catalog has, and whose it is: made, brought up to date, or refused, before anything is written.

Alembic is imported only where tables are made or changed: a catalog that is up to date is opened without it.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, inspect, text
from sqlmodel import Session

from tasks.catalog.connection import Database
from tasks.catalog.tables import EnvironmentRow
from tasks.errors import Refused

__all__ = ["MIGRATIONS", "REVISION", "VERSION_TABLE", "prepare", "require_own", "revision"]

REVISION = "0004"
"""The revision that this PPI works with: the last of the migrations."""
VERSION_TABLE = "ppi_catalog_version"
MIGRATIONS = Path(__file__).with_name("_migrations")
_alone = threading.Lock()
"""Held while alembic works: it keeps in the module which database it is at."""


def prepare(database: Database, profile: str, *, upgrade: bool) -> None:
    """See that a catalog is of this revision and of this profile; an empty one is made so.

    Parameters
    ----------
    upgrade
        Whether an older one on a server may be changed; an older file always is.

    Raises
    ------
    Refused
        It is older, newer, another profile's, or no catalog at all.
    """
    if not database.exists or _is_behind(database):
        with database.alone() as connection:
            _bring_up(connection, database, profile, upgrade=upgrade or database.location.file is not None)
    with database.reading() as connection:
        require_own(connection, database, profile)


def revision(connection: Connection, where: str) -> str | None:
    """Return the revision of a catalog, None for a database that is empty.

    Raises
    ------
    Refused
        The database holds something else.
    """
    tables = inspect(connection).get_table_names()
    if VERSION_TABLE in tables:
        return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608 - constant
    if tables:
        raise Refused(
            f"the catalog {where}",
            f"the database is not empty and is no catalog: it holds {', '.join(sorted(tables)[:3])}",
            "set ppi.catalog.url to a database of its own",
        )
    return None


def _is_behind(database: Database) -> bool:
    with database.reading() as connection:
        return revision(connection, database.location.where) != REVISION


def _bring_up(connection: Connection, database: Database, profile: str, *, upgrade: bool) -> None:
    where = database.location.where
    found = revision(connection, where)
    if found == REVISION:
        return  # another process was quicker
    if found is not None:
        _require_known(found, where)
        require_own(connection, database, profile)
    if found is not None and not upgrade:
        why = f"it is of revision {found}, and this PPI works with {REVISION}"
        raise Refused(f"the catalog {where}", why, f"ppi deploy {profile}")
    _migrate(connection)
    if found is None:
        with Session(connection) as session:
            session.add(EnvironmentRow(id=1, profile=profile, created=datetime.now(UTC)))
            session.flush()


def require_own(connection: Connection, database: Database, profile: str) -> None:
    """Refuse a catalog that is stamped as another profile's.

    Raises
    ------
    Refused
        It is.
    """
    with Session(connection) as session:
        stamp = session.get(EnvironmentRow, 1)
    owner = stamp.profile if stamp else "nobody"
    if owner != profile:
        raise Refused(
            f"the catalog {database.location.where}",
            f"it belongs to profile {owner}, and this is profile {profile}",
            f"give profile {profile} a catalog of its own: ppi.catalog.url",
        )


def _require_known(found: str, where: str) -> None:
    from alembic.script import ScriptDirectory

    known = {script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()}
    if found not in known:
        why = f"it is of revision {found}, and this PPI knows none after {REVISION}"
        raise Refused(f"the catalog {where}", why, "use the PPI that made it, or a newer one")


def _migrate(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    with _alone:
        command.upgrade(config, "head")

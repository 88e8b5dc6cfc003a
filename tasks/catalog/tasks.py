"""The catalog of a profile: what the profile says of it, or a file in its area; and what can be learnt from it."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from urllib.parse import quote

from blocks.profile import Profile
from tasks.catalog.catalog import Catalog, Tell
from tasks.catalog.connection import Database
from tasks.catalog.sizes import Sizes, learn
from tasks.errors import PpiError
from tasks.usage import Work
from tasks.workspace.layout import Area

__all__ = ["catalog_of", "database_of", "known_database_of", "sizes_of"]

_FILE = "catalog.db"
_log = logging.getLogger("ppi.catalog")


def database_of(profile: Profile) -> Database:
    """Return where a profile keeps its catalog; touches nothing."""
    catalog = profile.catalog
    if catalog.url:
        return Database(catalog.url, catalog.username, catalog.password.get_secret_value())
    return Database(f"sqlite:///{quote(str(profile.processing.root_directory / _FILE))}")


def catalog_of(profile: Profile, *, upgrade: bool = False, tell: Tell | None = None) -> Catalog:
    """Open a profile's catalog; one that is not there yet is made.

    Parameters
    ----------
    upgrade
        Whether an older one on a server is brought up to date, which is for `ppi deploy` to do.
    tell
        Is told how requests have changed.

    Raises
    ------
    Transient
        It cannot be reached.
    Refused
        It is another profile's, or of a revision that this PPI does not work with.
    Missing
        There is no such database.
    """
    if not profile.catalog.url:
        Area(profile.processing.root_directory).make()
    announces = profile.broker.url is not None
    return Catalog(database_of(profile), profile.name, upgrade=upgrade, announces=announces, tell=tell)


def known_database_of(profile: Profile) -> Database | None:
    """Return the database of a profile's catalog, up to date; None where none was made yet.

    It raises as `catalog_of` does.
    """
    if not database_of(profile).exists:
        return None
    catalog_of(profile)
    return database_of(profile)


def sizes_of(profile: Profile, works: Iterable[Work]) -> Sizes:
    """Learn what a profile's catalog knows of some work; one that cannot be asked knows nothing."""
    database = database_of(profile)
    try:
        return learn(database, works) if database.exists else Sizes()
    except PpiError as error:
        _log.warning("sizes of work are not known: %s", error)
        return Sizes()

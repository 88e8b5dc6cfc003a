"""The catalog of a profile: what the profile says of it, or a file in its area."""

from __future__ import annotations

from urllib.parse import quote

from blocks.profile import Profile
from tasks.catalog.catalog import Catalog
from tasks.catalog.connection import Database
from tasks.workspace.layout import Area

__all__ = ["catalog_of", "database_of"]

_FILE = "catalog.db"


def database_of(profile: Profile) -> Database:
    """Return where a profile keeps its catalog; touches nothing."""
    catalog = profile.catalog
    if catalog.url:
        return Database(catalog.url, catalog.username, catalog.password.get_secret_value())
    return Database(f"sqlite:///{quote(str(profile.processing.root_directory / _FILE))}")


def catalog_of(profile: Profile, *, upgrade: bool = False) -> Catalog:
    """Open a profile's catalog; one that is not there yet is made.

    Parameters
    ----------
    upgrade
        Whether an older one on a server is brought up to date, which is for `ppi deploy` to do.

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
    return Catalog(database_of(profile), profile.name, upgrade=upgrade)

"""An environment's own databases: those named must answer, or on loopback are made in a private cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import psycopg
from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError

from blocks.profile import Profile
from deployments import postgresql
from deployments.lifeline import Command
from deployments.postgresql import Wanted
from deployments.serve.part import Part
from deployments.serve.place import Place
from tasks.database import Location
from tasks.errors import Refused

__all__ = ["for_prefect", "parts"]

_LOOPBACK: Final = "127.0.0.1"
_PORT: Final = 5432
_STOP: Final = (("SIGINT", 30.0), ("SIGQUIT", 10.0))
"""To PostgreSQL: disconnect everybody and write all to disk; then: leave at once, and recover at the next."""
_DRIVERS: Final = {"postgresql": "postgresql+asyncpg", "sqlite": "sqlite+aiosqlite"}


def parts(profile: Profile, environment: Mapping[str, str]) -> Iterator[Part]:
    """Return a part for each PostgreSQL server that the environment's own databases are on."""
    named = sorted(_named(profile), key=lambda location: str(_place(location.url)))
    for _, group in groupby(named, key=lambda location: _place(location.url)):
        yield _part(profile, list(group), environment)


def for_prefect(profile: Profile) -> str | None:
    """Return the URL of the Prefect server's own database as that wants it, with its login; None for its default.

    Raises
    ------
    Refused
        Prefect cannot use such a database.
    """
    location = _of_prefect(profile)
    if location is None:
        return None
    backend = location.url.get_backend_name()
    if backend not in _DRIVERS:
        why = f"Prefect keeps nothing in {backend}"
        raise Refused(f"{location.keys}.url", why, "name a postgresql+psycopg or sqlite database")
    url = location.url.set(drivername=_DRIVERS[backend])
    if mode := url.query.get("sslmode"):  # libpq's word for what asyncpg calls `ssl`
        url = url.difference_update_query(["sslmode"]).update_query_dict({"ssl": mode})
    return url.render_as_string(hide_password=False)


def _named(profile: Profile) -> list[Location]:
    catalog = profile.catalog
    found = [_of_prefect(profile), _location("the catalog's database", "ppi.catalog", catalog)]
    return [each for each in found if each and each.url.get_backend_name() == "postgresql"]


def _of_prefect(profile: Profile) -> Location | None:
    return _location("the Prefect server's database", "ppi.prefect.database", profile.prefect.database)


def _location(what: str, keys: str, named: Any) -> Location | None:
    if named.url is None:
        return None
    return Location(what, keys, named.url, named.username, named.password.get_secret_value())


def _place(url: URL) -> Place:
    place = Place(url.host or "localhost", url.port or _PORT)
    return Place(_LOOPBACK, place.port) if place.is_loopback else place


def _part(profile: Profile, locations: list[Location], environment: Mapping[str, str]) -> Part:
    place = _place(locations[0].url)

    def command() -> Command:
        _require_logins(locations)
        return Command(cluster().command(), environment, Path("/"), _STOP, account=postgresql.account())

    def cluster() -> postgresql.Cluster:
        return postgresql.Cluster(postgresql.home_for(profile.processing.root_directory, place.port), place.port)

    return Part(
        "database",
        f"postgresql-{place.port}",
        "PostgreSQL",
        str(place),
        place.host == _LOOPBACK,
        lambda: place.is_taken and _lets_in(locations),
        command,
        lambda: _is_made(cluster(), locations),
    )


def _lets_in(locations: Iterable[Location]) -> bool:
    for location in locations:
        try:
            location.engine().connect().close()
        except DBAPIError as error:
            raise location.explained(error) from error
    return True


def _is_made(cluster: postgresql.Cluster, locations: Iterable[Location]) -> bool:
    try:
        cluster.make(_wanted(locations))
    except psycopg.OperationalError:  # it is not up yet
        return False
    return True


def _require_logins(locations: Iterable[Location]) -> None:
    for location in locations:
        if not (location.url.username and location.url.password and location.url.database):
            why = "a private PostgreSQL is made with its database, its account and its password"
            todo = f"set {location.keys}.url with a database's name, .username and .password"
            raise Refused(location.what, why, todo)


def _wanted(locations: Iterable[Location]) -> list[Wanted]:
    urls = [location.url for location in locations]
    return [Wanted(url.database or "", url.username or "", str(url.password or "")) for url in urls]

"""The environment's own Prefect server: its address, its login, its database, and how long it keeps what."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import requests

from blocks.profile import Profile
from deployments import prefect_server
from deployments.lifeline import Command
from deployments.serve import database
from deployments.serve.part import Part
from deployments.serve.place import Place
from tasks.errors import Refused

__all__ = ["home_of", "part", "variables"]

_API: Final = "/api"
_KEY: Final = "PREFECT_SERVER_ENCRYPTION_KEY"
"""With which blocks are encrypted, if the operator gives one; else Prefect makes it, and keeps it beside them."""
_SECONDS: Final = 3.0
_START_SECONDS: Final = 300.0
"""A first start makes a database, and one of a new version changes it."""


def home_of(profile: Profile) -> Path:
    """Return where the server has its files, and all parts their logs."""
    return profile.processing.root_directory / ".prefect-server"


def part(profile: Profile, environment: Mapping[str, str]) -> Part:
    """Return the Prefect server as a part of its environment.

    Raises
    ------
    Refused
        The profile names none.
    """
    if not (api := profile.prefect.api_url):
        why = "it names no Prefect server, so that each of its commands has one of its own"
        raise Refused(f"profile {profile.name}", why, "set ppi.prefect.apiUrl")
    place = Place.of(api)
    return Part(
        "server",
        "server",
        "Prefect server",
        _site(api),
        urlsplit(api).scheme == "http" and place.is_here,
        lambda: place.is_taken and _is_well(api),
        lambda: _command(profile, api, environment),
        lambda: place.is_taken and _is_well(api),
        _START_SECONDS,
    )


def variables(profile: Profile, api: str) -> dict[str, str]:
    """Return what a server is told by its environment, its secrets too, since nobody else on the host can read it.

    Raises
    ------
    Refused
        Prefect cannot use the database that the profile names.
    """
    kept = f"P{profile.prefect.retention_days}D"  # ISO 8601: neither setting takes every other form
    home = home_of(profile)
    return {
        "PREFECT_HOME": str(home),
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(home / "ui"),
        "PREFECT_SERVER_UI_API_URL": api.rstrip("/"),
        "PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED": "true",
        "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": ",".join(_origins(api)),
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": kept,
        "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": kept,
    } | _secrets(profile)


def _secrets(profile: Profile) -> dict[str, str]:
    given = {}
    if address := database.for_prefect(profile):
        given["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = address
    if login := prefect_server.login(profile):
        given["PREFECT_SERVER_API_AUTH_STRING"] = login
    return given


def _command(profile: Profile, api: str, environment: Mapping[str, str]) -> Command:
    _require_shut(profile, api)
    place = Place.of(api)
    start = ("-m", "prefect", "server", "start", "--host", place.host, "--port", str(place.port))
    common = {
        name: value for name, value in environment.items() if not name.startswith("PREFECT_") or name == _KEY
    }
    return Command((sys.executable, *start), common | variables(profile, api), home_of(profile))


def _require_shut(profile: Profile, api: str) -> None:
    """Refuse to open a server to the network that would let everybody in."""
    if urlsplit(api).path.rstrip("/") != _API:
        todo = f"write it like http://{Place.of(api)}{_API}"
        raise Refused(f"ppi.prefect.apiUrl = {api}", f"a server started here has its API at {_API}", todo)
    if not Place.of(api).is_loopback and not prefect_server.login(profile):
        why = "it would let in anybody who can reach it, and tell them what blocks hold"
        todo = "set ppi.prefect.username and .password, or let it listen on 127.0.0.1 only"
        raise Refused(f"the Prefect server {api} of profile {profile.name}", why, todo)


def _origins(api: str) -> list[str]:
    """Return whose pages may talk to the API: its own, under each name that loopback has."""
    place = Place.of(api)
    names = (
        {place, Place("127.0.0.1", place.port), Place("localhost", place.port)} if place.is_loopback else {place}
    )
    return sorted(f"http://{each}" for each in names)


def _is_well(api: str) -> bool:
    """Tell whether the server is well; not yet is no, and something else there is an error."""
    try:
        with requests.Session() as session:
            session.trust_env = False
            answer = session.get(f"{api.rstrip('/')}/health", timeout=_SECONDS)
    except requests.RequestException:
        return False
    if answer.status_code == requests.codes.ok and answer.text.strip() == "true":
        return True
    what, why = f"what answers at {api}", f"it is no Prefect server (HTTP {answer.status_code})"
    raise Refused(what, why, "end it, or name another port in ppi.prefect.apiUrl")


def _site(api: str) -> str:
    return api.rstrip("/").removesuffix(_API)

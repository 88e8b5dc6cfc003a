"""The reports of what was delivered, and the logs of jobs, as a part of their environment."""

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
from deployments.serve.part import Part
from deployments.serve.place import Place
from tasks.cluster.tasks import log_directory
from tasks.errors import Refused
from tasks.workspace.layout import Area

__all__ = ["LOGIN", "greeting", "part"]

_SECONDS: Final = 3.0
LOGIN: Final = "PPI_REPORTS_LOGIN"
"""The variable in which the program is told whom to let in, as ``username:password``."""


def part(profile: Profile, environment: Mapping[str, str]) -> Part | None:
    """Return the reports as a part of their environment; None where the profile names no place for them."""
    if not (url := profile.reports.url):
        return None
    place = Place.of(url)
    return Part(
        "reports",
        "reports",
        "reports",
        url.rstrip("/"),
        urlsplit(url).scheme == "http" and place.is_here,
        lambda: place.is_taken and _is_well(profile.name, url),
        lambda: _command(profile, url, environment),
    )


def greeting(profile: str) -> str:
    """Return what the program says to who asks how it is, so that it is known whose reports it has."""
    return f"the reports of {profile}"


def _command(profile: Profile, url: str, environment: Mapping[str, str]) -> Command:
    place, login = Place.of(url), prefect_server.login(profile)
    if not place.is_loopback and not login:
        todo = "set ppi.prefect.username and .password, or let them be served on 127.0.0.1 only"
        raise Refused(f"the reports at {url}", "anybody who can reach them could read what is proprietary", todo)
    deliveries = str(Area(profile.processing.root_directory).deliveries)
    logs, base = str(log_directory(profile)), urlsplit(url).path.rstrip("/")
    words = (profile.name, deliveries, logs, place.host, str(place.port), base)
    given = {LOGIN: login} if login else {}
    return Command(
        (sys.executable, "-m", "deployments.serve.report_pages", *words), {**environment, **given}, Path("/")
    )


def _is_well(profile: str, url: str) -> bool:
    try:
        with requests.Session() as session:
            session.trust_env = False
            answer = session.get(f"{url.rstrip('/')}/health", timeout=_SECONDS)
    except requests.RequestException:
        return False
    if answer.text == greeting(profile):
        return True
    why = f"it does not serve the reports of {profile}"
    raise Refused(f"what answers at {url}", why, "end it, or name another port in ppi.reports.url")

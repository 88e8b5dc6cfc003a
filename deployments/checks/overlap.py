"""What a profile has in common with another one, and should not: two environments that write to one place."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from blocks import capo
from blocks.errors import ProfileError
from blocks.profile import Profile
from deployments.checks.finding import Probe
from tasks.errors import Refused

__all__ = ["overlaps", "probes"]


def probes(profile: Profile) -> Iterator[Probe]:
    """Return what is to be looked at."""
    yield Probe("other profiles", partial(_apart, profile))


def _apart(profile: Profile) -> str:
    others = tuple(_others(profile))
    if shared := [each for other in others for each in overlaps(profile, other)]:
        todo = "give each environment its own"
        raise Refused(f"profile {profile.name}", "; ".join(shared), todo)
    return f"nothing that should be its own is also of one of {len(others)} others"


def _others(profile: Profile) -> Iterator[Profile]:
    for name in capo.profiles():
        if name != profile.name:
            with suppress(ProfileError):  # it cannot be used, so nothing is written by it
                yield Profile.load(name)


def overlaps(one: Profile, other: Profile) -> Iterator[str]:
    """Return what two profiles have in common and should not, as a few words each.

    The metadata database, NGAS and the store are common on purpose, and so is the Prefect server of two profiles
    of the same environment, such as `dsoc-test` and `vlass.test`, as long as each has its own work pool.
    """
    if _nested(one.processing.root_directory, other.processing.root_directory):
        yield f"its processing area overlaps that of {other.name}"
    if one.catalog.url and one.catalog.url == other.catalog.url:
        yield f"its catalog is that of {other.name}"
    if one.reports.url and _bare(one.reports.url) == _bare(other.reports.url):
        yield f"its reports are served where those of {other.name} are"
    yield from _of_prefect(one, other)


def _of_prefect(one: Profile, other: Profile) -> Iterator[str]:
    same_server = bool(one.prefect.api_url) and _bare(one.prefect.api_url) == _bare(other.prefect.api_url)
    if same_server and one.prefect.work_pool == other.prefect.work_pool:
        yield f"its work pool is that of {other.name}"
    if same_server and one.environment != other.environment:
        yield f"its Prefect server is that of {other.name}, which is of another environment"
    database = one.prefect.database.url
    if not same_server and database and database == other.prefect.database.url:
        yield f"its Prefect server's database is that of {other.name}"


def _nested(one: Path, other: Path) -> bool:
    a, b = Path(os.path.realpath(one)), Path(os.path.realpath(other))
    return a.is_relative_to(b) or b.is_relative_to(a)


def _bare(url: str | None) -> str:
    return (url or "").rstrip("/")

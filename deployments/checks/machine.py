"""What a profile needs of the host that it is checked on: CASA, directories that take files, room."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

from humanize import naturalsize

from blocks.profile import Casa, Profile
from deployments.checks.finding import Probe
from tasks.casa import pipeline
from tasks.casa.environment import measures_directory
from tasks.casa.versions import casa_for
from tasks.errors import Missing

__all__ = ["probes", "usable"]

_LEAST_FREE: Final = 2 * 10**9
"""Bytes; with less, not even a small observation is sure to fit."""
_DATE: Final = re.compile(rb"\d{4}/\d\d/\d\d(?=/\d\d:\d\d)")
"""As CASA's tables write when they were made, among their keywords."""


def probes(profile: Profile) -> Iterator[Probe]:
    """Return what is to be looked at."""
    yield Probe("CASA", partial(_casa, profile.casa))
    yield Probe("measures", partial(_measures, profile.casa))
    area, store = profile.processing.root_directory, profile.processing.store_directory
    yield Probe("processing area", partial(usable, area))
    yield Probe("store", partial(usable, store))


def _casa(named: Casa) -> str:
    if named.executor == "casatasks":
        return f"{casa_for(named.executor, named.default_version, '')} (casatasks)"
    if named.default_version:
        found = pipeline.find(named.home, named.default_version)
        return f"{found.version} (pipeline) in {found.root}"
    versions = [each.version for each in pipeline.installed(named.home)] if named.home else []
    if not versions:
        where = str(named.home or "ppi.casa.home, which is not set")
        raise Missing(where, "no CASA with a pipeline is installed there", "set ppi.casa.home")
    return f"{', '.join(versions)} (pipeline); the one that calibrated is taken"


def _measures(named: Casa) -> str:
    directory = measures_directory(named.measures_directory)
    table = directory / "geodetic" / "IERSpredict" / "table.dat"
    dates = _DATE.findall(table.read_bytes()) if table.exists() else []
    return f"{directory}, of {max(dates).decode() if dates else 'an unknown date'}"


def usable(directory: Path) -> str:
    """Write a file and remove it; nothing else tells, on a shared file system.

    Raises
    ------
    Missing
        It takes no file, or hardly any.
    """
    place = next(each for each in (directory, *directory.parents) if each.exists())
    if place == Path(place.anchor):
        raise Missing(str(directory), "no part of it is there", "see whether its file system is mounted")
    if place != directory and not (place.is_dir() and os.access(place, os.W_OK | os.X_OK)):
        raise Missing(str(directory), f"it is not there, and {place} does not let us make it", "make it")
    if place == directory:
        _write_and_remove(directory)
    free = shutil.disk_usage(place).free
    if free < _LEAST_FREE:
        raise Missing(str(directory), f"only {naturalsize(free)} are free", "make room")
    made = "" if place == directory else ", made when it is needed"
    return f"{directory}{made}; {naturalsize(free)} free"


def _write_and_remove(directory: Path) -> None:
    try:
        with tempfile.NamedTemporaryFile(dir=directory, prefix=".ppi-check-") as file:
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        why = f"it takes no file ({error.strerror})"
        raise Missing(str(directory), why, "let the account that runs PPI write there") from error

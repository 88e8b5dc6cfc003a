"""What a profile needs of the host that it is checked on: CASA, directories that take files, room, a cluster."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

import psutil
from humanize import naturalsize

from blocks.profile import Casa, Cluster, Profile
from deployments.checks.finding import Probe, Unknown
from tasks.casa import pipeline
from tasks.casa.environment import measures_directory
from tasks.casa.versions import casa_for
from tasks.errors import Missing, Transient

__all__ = ["probes"]

_LEAST_FREE: Final = 2 * 10**9
"""Bytes; with less, not even a small observation is sure to fit."""
_DATE: Final = re.compile(rb"\d{4}/\d\d/\d\d(?=/\d\d:\d\d)")
"""As CASA's tables write when they were made, among their keywords."""
_CONDOR: Final = ("condor_status", "-total")
_CONDOR_SECONDS: Final = 3.0


def probes(profile: Profile) -> Iterator[Probe]:
    """Return what is to be looked at."""
    yield Probe("CASA", partial(_casa, profile.casa))
    yield Probe("measures", partial(_measures, profile.casa))
    area, store = profile.processing.root_directory, profile.processing.store_directory
    yield Probe("processing area", partial(_usable, area))
    yield Probe("store", partial(_usable, store))
    yield Probe("cluster", partial(_cluster, profile.cluster))


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


def _usable(directory: Path) -> str:
    """Write a file and remove it; nothing else tells, on a shared file system."""
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


def _cluster(named: Cluster) -> str:
    if named.kind == "local":
        memory = naturalsize(psutil.virtual_memory().total)
        return f"this machine: {os.cpu_count()} cores, {memory}; {named.max_workers or 'one job a core'} at once"
    if shutil.which(_CONDOR[0]) is None:
        raise Unknown(f"{_CONDOR[0]} is not on this host's PATH", "check it on a host that submits jobs")
    try:
        ended = subprocess.run(_CONDOR, capture_output=True, text=True, timeout=_CONDOR_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise Transient("HTCondor", "its collector does not answer", "ask the cluster's operators") from error
    if ended.returncode:
        why = ended.stderr.strip().partition("\n")[0] or f"{_CONDOR[0]} ended with {ended.returncode}"
        raise Transient("HTCondor", why, "ask the cluster's operators")
    return _total(ended.stdout)


def _total(table: str) -> str:
    """Read the last line of HTCondor's table: how many slots there are, and in which state."""
    words = (table.strip().splitlines() or [""])[-1].split()
    if words[:1] != ["Total"] or not words[1:2] or not words[1].isdigit():
        raise Unknown(f"{_CONDOR[0]} told no total", "run it by hand")
    if int(words[1]) == 0:
        raise Transient("HTCondor", "it has no slots", "ask the cluster's operators")
    return f"{words[1]} slots"

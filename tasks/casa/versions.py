"""Which CASA does the work, and whether it may: a restore takes the calibration's CASA or a later one."""

from __future__ import annotations

import importlib.metadata
import re

from tasks.errors import Refused

__all__ = ["casa_for", "require_restorable_with", "same_version", "version_key", "wheels_version"]


def wheels_version() -> str:
    """Return the version of the casatasks wheel that is installed here."""
    return importlib.metadata.version("casatasks")


def casa_for(executor: str, default: str | None, calibrated: str) -> str:
    """Return the version that an executor is to use.

    Parameters
    ----------
    executor
        ``casatasks`` has only the wheels' version; ``pipeline`` may have any that is installed.
    default
        The profile's ``ppi.casa.defaultVersion``, if it names one.
    calibrated
        `casaversion` of the pipeline manifest, which the pipeline uses where the profile names none.

    Raises
    ------
    Refused
        The profile asks the wheels for another version than theirs, or nobody says which to use.
    """
    if executor == "casatasks":
        version = wheels_version()
        if default and not same_version(default, version):
            raise Refused(
                f"CASA {default}, which the profile asks for",
                f"its executor is casatasks, and the installed wheels are {version}",
                "set ppi.casa.executor = pipeline, or take ppi.casa.defaultVersion away",
            )
        return version
    if not (default or version_key(calibrated)):
        raise Refused("the CASA to use", "neither profile nor manifest names one", "set ppi.casa.defaultVersion")
    return default or calibrated


def version_key(version: str) -> tuple[int, ...]:
    """Return the numbers of a version in order: ``5.1.1-5r40896`` is (5, 1, 1, 5, 40896)."""
    return tuple(int(number) for number in re.findall(r"\d+", version))


def same_version(one: str, other: str) -> bool:
    """Tell whether two versions agree as far as the less precise one goes: 6.7.0 agrees with 6.7.0-31."""
    pairs = zip(version_key(one), version_key(other), strict=False)
    return bool(version_key(one)) and bool(version_key(other)) and all(a == b for a, b in pairs)


def require_restorable_with(running: str, calibrated: str) -> tuple[str, ...]:
    """Check the CASA that would restore against the one that calibrated.

    Parameters
    ----------
    running
        The version that would do the restore.
    calibrated
        `casaversion` of the pipeline manifest.

    Returns
    -------
    Caveats: one when the versions differ, or when the calibration's is not known.

    Raises
    ------
    Refused
        The running version is earlier than the calibration's.
    """
    if not version_key(calibrated):
        return (f"the manifest does not say which CASA calibrated it ({calibrated!r}); restored with {running}",)
    if same_version(running, calibrated):
        return ()
    if version_key(running) < version_key(calibrated):
        raise Refused(
            f"CASA {running} cannot restore what CASA {calibrated} calibrated",
            "a restore needs the same CASA or a later one",
            "set ppi.casa.defaultVersion to one that is installed and not earlier",
        )
    return (f"calibrated with CASA {calibrated}, restored with {running}",)

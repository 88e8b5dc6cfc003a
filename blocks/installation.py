"""Which profile an installation is for: the one that its marker names, which is written when it is whole."""

from __future__ import annotations

import sys
from pathlib import Path

from blocks.errors import Problem, ProfileError
from blocks.names import is_name

__all__ = ["MARKER", "installed_profile"]

MARKER = "share/ppi/profile"
"""Where the marker is, below the prefix of the virtual environment."""


def installed_profile(prefix: Path | None = None) -> str | None:
    """Return the profile that an installation was made for.

    Parameters
    ----------
    prefix
        The installation's directory; by default that of the Python that runs.

    Returns
    -------
    name
        The profile's name; None for what is no installation of one profile, such as a checkout.

    Raises
    ------
    ProfileError
        There is a marker, but what it says cannot be told.
    """
    marker = (prefix or Path(sys.prefix)) / MARKER
    try:
        name = marker.read_text(encoding="utf-8").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(marker, f"cannot be read: {type(error).__name__}") from error
    if not is_name(name):
        raise _unusable(marker, "does not hold the name of a profile")
    return name


def _unusable(marker: Path, reason: str) -> ProfileError:
    todo = "move that installation away, then install anew: ppi install NAME --prefix DIR"
    return ProfileError("", (Problem(f"the installation's marker {marker}", reason, todo),))

"""What should be looked at in a profile that can be used, since it may not be what its reader thinks it is.

The copy of the CAPO files at one site takes precedence, and overwrites those at the other from time to time: an
edit of such a copy is lost, and one that is behind is not yet what it will be.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from blocks.capo import SHIPPED, Properties, parse
from blocks.errors import Problem

if TYPE_CHECKING:
    from blocks.profile import Profile

_ENVIRONMENTS, _SITES = ("prod", "test", "dev"), ("dsoc", "naasc")
_UNKNOWN = "unknown"


def warnings_about(profile: Profile, properties: Properties) -> tuple[Problem, ...]:
    """Return what is suspicious about a profile and the files that it was read from."""
    return (*_misnamed(profile), *_copies(profile.authoritative_directory, properties.files))


def _misnamed(profile: Profile) -> list[Problem]:
    """Compare what a profile's name says with what its keys say, where both say anything."""
    words = re.split(r"[._-]", profile.name.lower())
    said = (
        ("ppi.profile.environment", profile.environment, _ENVIRONMENTS),
        ("ppi.profile.site", profile.site, _SITES),
    )
    todo = "correct that line, or give the profile another name"
    named = ((key, value, word) for key, value, known in said for word in known if word in words)
    return [
        Problem(key, f"it is '{value}', but the profile's name says {word}", todo, profile.origins.get(key))
        for key, value, word in named
        if value != _UNKNOWN and not value.lower().startswith(word)
    ]


def _copies(authority: Path | None, files: tuple[Path, ...]) -> list[Problem]:
    """Compare each file that is overwritten from the authoritative directory with its original."""
    if authority is None:
        return []
    of_their_own = {SHIPPED, Path.home() / ".capo", authority}
    compared = (_compared(file, authority / file.name) for file in files if file.parent not in of_their_own)
    return [problem for problem in compared if problem]


def _compared(copy: Path, original: Path) -> Problem | None:
    try:
        theirs, ours = original.read_bytes(), copy.read_bytes()
        later = copy.stat().st_mtime - original.stat().st_mtime
    except OSError as error:
        reason = f"cannot be compared with the authoritative {original}: {error.strerror or type(error).__name__}"
        return Problem(str(copy), reason, "make that readable, or correct ppi.profile.authoritativeDirectory")
    return None if theirs == ours else _differing(copy, original, later, _keys(ours, theirs))


def _differing(copy: Path, original: Path, later: float, keys: list[str]) -> Problem:
    age = "is newer than" if later > 0 else "is older than" if later < 0 else "is not"
    where = f"differs in {', '.join(keys)}" if keys else "has other comments or blanks"
    todo = f"make changes in {original}" if later > 0 else "wait until it is copied here, or copy it"
    return Problem(str(copy), f"{age} the authoritative {original}, and {where}; it will be overwritten", todo)


def _keys(ours: bytes, theirs: bytes) -> list[str]:
    """Return the keys that do not have the same value in two files."""
    here, there = (_entries(text.decode("utf-8-sig", "replace")) for text in (ours, theirs))
    differing = {key for key in here | there if here.get(key, ("", None))[1] != there.get(key, ("", None))[1]}
    return sorted((here | there)[key][0] for key in differing)


def _entries(text: str) -> dict[str, tuple[str, str | None]]:
    """Return each key as it is written, with its value, by the key in the form in which keys are compared."""
    return {entry.key: (entry.origin.key, entry.value) for entry in parse(text, Path())[0]}

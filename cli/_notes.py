"""What an operator should know about the profile that a command is about to use, before it does."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

from blocks.installation import installed_profile
from blocks.profile import Profile

__all__ = ["say", "why_this_one"]


def why_this_one(named: str | None) -> tuple[str | None, str]:
    """Return the profile that is current, as far as one is named, and what names it."""
    return next((known for known in _named(named) if known[0]), (None, "nothing names one"))


def say(named: str | None, profile: Profile) -> None:
    """Tell, on standard error, whom a choice of profile overrules, and what is suspicious about the profile."""
    notes = (*_overruled(named), *map(str, profile.warnings))
    sys.stderr.writelines(f"ppi: note: {note}\n" for note in notes)


def _named(named: str | None) -> Iterator[tuple[str | None, str]]:
    """Return what names a profile, from the strongest down."""
    yield named, "the command names it"
    yield os.environ.get("CAPO_PROFILE"), "CAPO_PROFILE names it"
    yield installed_profile(), f"the installation in {sys.prefix} is for it"


def _overruled(named: str | None) -> Iterator[str]:
    used, reason = why_this_one(named)
    for name, other_reason in _named(named):
        if name and name != used:
            yield f"profile {used} is used ({reason}), not {name} ({other_reason})"

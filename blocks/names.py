"""A profile's name: it names files and, as a slug, things on a Prefect server, so not every text will do."""

from __future__ import annotations

import re

from blocks.errors import Problem, ProfileError

__all__ = ["checked", "is_name", "slug"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def is_name(text: str) -> bool:
    """Return whether a text can be a profile's name: nothing in it leads out of a directory."""
    return bool(_NAME.fullmatch(text)) and ".." not in text


def checked(name: str) -> str:
    """Return a profile's name.

    Raises
    ------
    ProfileError
        It cannot be the name of a file.
    """
    if not is_name(name):
        reason = "a name is letters, digits, '.', '-' and '_', begins with a letter or digit, and has no '..'"
        raise ProfileError(name, (Problem("profile", reason, "give the name alone, e.g. -P dsoc-test"),))
    return name


def slug(name: str) -> str:
    """Return a profile's name as Prefect can take it for blocks and profiles: `vlass.test` becomes `vlass-test`.

    Two profiles may have one slug, so what is found under it is asked for its own name.
    """
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")

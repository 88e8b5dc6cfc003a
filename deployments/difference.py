"""What differs on a server from what is wanted there, told part by part, and how it is made so."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

__all__ = ["Change", "Thing", "compared", "new"]


class Change(NamedTuple):
    """One thing that differs on the server from what is wanted; secrets are masked.

    Parameters
    ----------
    what, part
        The thing, as in ``work pool dsoc-test``, and which part of it.
    now, wanted
        What it is, and what it will be.
    """

    what: str
    part: str
    now: str
    wanted: str


class Thing(NamedTuple):
    """All that differs of one thing, and what makes it as it is wanted."""

    changes: tuple[Change, ...]
    write: Callable[[], object]


def new(what: str) -> tuple[Change, ...]:
    """Return what is told of a thing that is not there yet."""
    return (Change(what, "all", "none", "new"),)


def compared(what: str, there: Mapping[str, Any], wanted: Mapping[str, Any]) -> tuple[Change, ...]:
    """Compare part by part; nothing, an empty text and an empty list are one."""
    differing = {part: value for part, value in wanted.items() if (there[part] or None) != (value or None)}
    return tuple(Change(what, part, _text(there[part]), _text(value)) for part, value in differing.items())


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)

"""Markdown that shows every name as it is, and can be broken by none: for all that Prefect's pages are told."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

__all__ = ["plain", "table"]

_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~&:@$=\"^])")


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a table, or nothing if it has no rows; cells are Markdown."""
    body = [_row(row) for row in rows]
    return "\n".join([_row(head), _row("---" for _ in head), *body]) if body else ""


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def plain(text: str) -> str:
    """Return text that Markdown shows as it is: on one line, no mark of it read as link, HTML or table."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))

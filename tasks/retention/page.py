"""A clean-up as a table on the page of its run."""

from __future__ import annotations

import json
from typing import Final

from tasks.report.marks import plain
from tasks.report.units import count, size
from tasks.retention.model import Account, Line

__all__ = ["rows"]

_MOST: Final = 500
"""So many are shown."""


def rows(account: Account) -> str:
    """Return the table as JSON, whose cells Prefect shows as Markdown."""
    return json.dumps([_row(line) for line in account.lines[:_MOST]])


def _row(line: Line) -> dict[str, str]:
    return {
        "part": plain(line.part),
        "outcome": plain(line.outcome),
        "what": plain(line.what),
        "how many": count(line.count),
        "size": "" if line.size is None else size(line.size),
        "why": plain(line.why),
    }

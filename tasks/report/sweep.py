"""The account of a sweep, for the page of its run: in a sentence, in numbers, and observation by observation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tasks.report.marks import plain
from tasks.sweep import Swept

__all__ = ["numbers", "omitted", "rows", "sentence"]

_MOST_ROWS: Final = 500
_SAID: Final = ("asked for", "waiting again", "withdrawn", "launched", "settled", "failures")
_LAUNCHED: Final = "launched: "


def sentence(swept: Swept) -> str:
    """Return what was done, leaving out what was not."""
    counts = swept.counts()
    done = [f"{counts[what]} {what}" for what in _SAID if counts[what]]
    told = f"{swept.looked} looked at, {', '.join(done) or 'nothing to do'}"
    return f"{told}; there is more for the next sweep" if swept.more else told


def numbers(swept: Swept) -> list[dict[str, str]]:
    """Return the account in numbers, as the rows of a table."""
    return [{"what": what, "how many": f"{many:,}"} for what, many in swept.counts().items()]


def rows(swept: Swept, server: str = "") -> list[Mapping[str, str]]:
    """Return what was done to which observation, the first so many; runs are linked.

    Parameters
    ----------
    server
        Where browsers see the Prefect server; empty for no links.
    """
    return [_row(row, server) for row in swept.rows()[:_MOST_ROWS]]


def omitted(swept: Swept) -> str:
    """Return what the rows show, and how many are left out of them."""
    total = len(swept.rows())
    shown = "what was done to which observation"
    return f"{shown}; the first {_MOST_ROWS} of {total:,}" if total > _MOST_ROWS else shown


def _row(row: Mapping[str, str], server: str) -> dict[str, str]:
    marked = {name: plain(value) for name, value in row.items()}
    if server and row["what"].startswith(_LAUNCHED):
        run = row["what"].removeprefix(_LAUNCHED)
        marked["what"] = f"[launched]({server}/runs/flow-run/{run})"
    return marked

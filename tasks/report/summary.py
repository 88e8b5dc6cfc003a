"""The report in short, as Markdown, for the run's page in Prefect: no pictures, which would fill its database."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from tasks.report.findings import comparison, fetched, pictured, proven, reasons
from tasks.report.units import count, duration, size
from tasks.workspace.provenance import BlockRecord, Provenance

__all__ = ["markdown"]

_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~&:@$=\"^])")
_MOST_REASONS: Final = 12


def markdown(provenance: Provenance, page: str | None = None) -> str:
    """Render the summary.

    Parameters
    ----------
    provenance
        The record of the delivery, or of an attempt that failed.
    page
        Where browsers see the whole report; its URL has no brackets in it.

    Returns
    -------
    Markdown with tables. Every name is escaped, so that none can break a table, or become a link or HTML.
    """
    wall = (provenance.finished - provenance.started).total_seconds()
    made = f"profile {provenance.profile}, CASA {provenance.casa_version}, {provenance.executor}"
    sections = (
        f"# {provenance.verdict.outcome.value.capitalize()}: {_text(provenance.observation)}",
        f"[Open the report](<{page}>)." if page else "",
        f"Project {_text(provenance.project)}. {proven(provenance.blocks)}.",
        f"{pictured(provenance.images)}." if provenance.images else "",
        _reasons(provenance),
        _table(("Execution block", "Session", "Verdict", "Rows", "Reference", "CASA time", "Memory"),
               map(_block, provenance.blocks)),
        _table(("Stage", "Time"), ((_text(stage.stage), duration(stage.seconds)) for stage in provenance.stages)),
        f"{fetched(provenance.inputs)}. {duration(wall)} from start to end; {_text(made)}.",
    )  # fmt: skip
    return "\n\n".join(section for section in sections if section) + "\n"


def _block(block: BlockRecord) -> tuple[str, ...]:
    return (
        _text(block.uid),
        _text(block.session),
        block.verdict.outcome.value,
        count(block.proof.rows) if block.proof else "not known",
        _text(comparison(block.proof)),
        duration(block.exit.wall_seconds),
        size(block.exit.peak_rss_bytes),
    )


def _reasons(provenance: Provenance) -> str:
    given = reasons(provenance).items()
    lines = [f"- {_text(reason)}{f' ({_text(givers)})' if givers else ''}" for reason, givers in given]
    more = len(lines) - _MOST_REASONS
    return "\n".join([*lines[:_MOST_REASONS], *([f"- and {more} more: see the report"] if more > 0 else [])])


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    body = [_row(row) for row in rows]
    return "\n".join([_row(head), _row("---" for _ in head), *body]) if body else ""


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _text(name: str) -> str:
    """Return text that Markdown shows as it is: on one line, no mark of it read as link, HTML or table."""
    return _SPECIAL.sub(r"\\\1", " ".join(name.split()))

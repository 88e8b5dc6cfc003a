"""The report in short, as Markdown, for the run's page in Prefect: no pictures, which would fill its database."""

from __future__ import annotations

from typing import Final

from tasks.report.findings import comparison, fetched, pictured, proven, reasons
from tasks.report.marks import plain, table
from tasks.report.units import count, duration, size
from tasks.workspace.provenance import BlockRecord, Provenance

__all__ = ["markdown"]

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
        f"# {provenance.verdict.outcome.value.capitalize()}: {plain(provenance.observation)}",
        f"[Open the report](<{page}>)." if page else "",
        f"Project {plain(provenance.project)}. {proven(provenance.blocks)}.",
        f"{pictured(provenance.images)}." if provenance.images else "",
        _reasons(provenance),
        table(("Execution block", "Session", "Verdict", "Rows", "Reference", "CASA time", "Memory"),
              map(_block, provenance.blocks)),
        table(("Stage", "Time"), ((plain(stage.stage), duration(stage.seconds)) for stage in provenance.stages)),
        f"{fetched(provenance.inputs)}. {duration(wall)} from start to end; {plain(made)}.",
    )  # fmt: skip
    return "\n\n".join(section for section in sections if section) + "\n"


def _block(block: BlockRecord) -> tuple[str, ...]:
    return (
        plain(block.uid),
        plain(block.session),
        block.verdict.outcome.value,
        count(block.proof.rows) if block.proof else "not known",
        plain(comparison(block.proof)),
        duration(block.exit.wall_seconds),
        size(block.exit.peak_rss_bytes),
    )


def _reasons(provenance: Provenance) -> str:
    given = reasons(provenance).items()
    lines = [f"- {plain(reason)}{f' ({plain(givers)})' if givers else ''}" for reason, givers in given]
    more = len(lines) - _MOST_REASONS
    return "\n".join([*lines[:_MOST_REASONS], *([f"- and {more} more: see the report"] if more > 0 else [])])

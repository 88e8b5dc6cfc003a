"""What was archived, as a table on the page of a run."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tasks.ingest.jobs import Placed
from tasks.report.marks import plain
from tasks.report.units import size

__all__ = ["said", "table"]


def table(files: Sequence[Placed]) -> tuple[str, str]:
    """Return the table as JSON, whose cells Prefect shows as Markdown, and what it says in all."""
    return json.dumps([_row(placed) for placed in files]), plain(said(files))


def said(files: Sequence[Placed]) -> str:
    """Say what it came to: ``7 files, 1.2 GB sent, 3 were there already``."""
    sent = sum(placed.file.size for placed in files if not placed.was_there)
    there = sum(placed.was_there for placed in files)
    told = (
        "1 file" if len(files) == 1 else f"{len(files)} files",
        f"{size(sent)} sent" if sent else "",
        f"{there} {'was' if there == 1 else 'were'} there already" if there else "",
    )
    return ", ".join(filter(None, told))


def _row(placed: Placed) -> dict[str, str | int]:
    file = placed.file
    return {
        "file": plain(file.file_id),
        "version": file.version,
        "of the delivery": plain(file.path),
        "bytes": file.size,
        "checksum": plain(file.checksum),
        "server": plain(file.server),
        "how": "was there already" if placed.was_there else "sent",
    }

"""The jobs of a stage as a table on the page of its run, each with a link to its log."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any, Final
from urllib.parse import quote

from tasks._task_page import Shown
from tasks.cluster.board import JobRow
from tasks.cluster.logs import JOBS, LOGS
from tasks.report.marks import plain
from tasks.report.units import duration, size

__all__ = ["Rows", "jobs_shown"]

Rows = Callable[[], Sequence[JobRow]]
"""Says which jobs there are."""
_LOOK_SECONDS: Final = 1.0


@contextmanager
def jobs_shown(url: str | None) -> Iterator[Callable[[Rows], None]]:
    """Show the jobs of a stage on the page of the run at hand: when all are known, and as they were at the end.

    Parameters
    ----------
    url
        Where browsers see reports and logs, if they do: ``ppi.reports.url``.

    Yields
    ------
    Callable[[Rows], None]
        To be told, once, who says which jobs there are.
    """
    table, over, threads = _Table(url), Event(), list[Thread]()

    def begin(rows: Rows) -> None:
        table.rows = rows
        threads.append(Thread(target=_show_once_known, args=(table, over), daemon=True))
        threads[0].start()

    try:
        yield begin
    finally:
        over.set()
        for thread in threads:
            thread.join()
        table.show(last=True)


class _Table:
    """The table on the page of a run; outside of a run there is none."""

    def __init__(self, url: str | None) -> None:
        self._url, self._shown = url, Shown("table", JOBS)
        self.rows: Rows = tuple

    @property
    def is_known(self) -> bool:
        """Whether every job has been queued."""
        rows = self.rows()
        return bool(rows) and all(row.job for row in rows)

    def show(self, *, last: bool) -> None:
        """Show all jobs as they are now, if there are any."""
        if rows := self.rows():
            self._shown.write(json.dumps([_row(row, self._url) for row in rows]), _summary(rows), last=last)


def _show_once_known(table: _Table, over: Event) -> None:
    while not over.wait(_LOOK_SECONDS):
        if table.is_known:
            table.show(last=False)
            return


def _summary(rows: Sequence[JobRow]) -> str:
    asked = sum(row.requested_memory or 0 for row in rows)
    return plain(f"jobs: {len(rows)}; memory that they asked for: {size(asked)}")


def _row(row: JobRow, url: str | None) -> Mapping[str, Any]:
    """Return a row of the table, whose cells Prefect shows as Markdown."""
    return {
        "job": plain(row.job),
        "did": plain(row.did),
        "slot": plain(row.slot),
        "wall": _said(duration, row.wall_seconds),
        "CPU": _said(duration, row.cpu_seconds),
        "peak memory": _said(size, row.peak_memory),
        "asked for": _said(size, row.requested_memory),
        "attempts": row.attempts,
        "outcome": plain(row.outcome),
        "log": " ".join(_links(row, url)),
    }


def _links(row: JobRow, url: str | None) -> Iterable[str]:
    """Return the names of its logs, linked where browsers see them."""
    for name in (f"{row.name}{ending}" for ending in LOGS):
        page = f"{(url or '').rstrip('/')}/{JOBS}/{quote(row.crew, safe='')}/{quote(name, safe='')}"
        yield f"[{plain(name)}]({page})" if url else plain(name)


def _said(say: Callable[[Any], str], value: float | None) -> str:
    return "" if value is None else say(value)

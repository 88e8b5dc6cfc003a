"""What a person watches while work goes on: stages, bytes and CASA's steps, on standard error."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from tasks.casa.request import RESTORE_STEPS
from tasks.progress import Event, following

__all__ = ["building", "restoring"]


@contextmanager
def building() -> Iterator[Callable[[str, int, int], None]]:
    """Show the building of the embedded observatory: called with (what, done, total)."""
    console = Console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        bar: TaskID | None = None

        def show(what: str, done: int, total: int) -> None:
            nonlocal bar
            if bar is None:
                bar = progress.add_task("", total=total)
            progress.update(bar, description=f"simulating an observatory: {what}", completed=done, total=total)

        yield show


@contextmanager
def restoring() -> Iterator[None]:
    """Show a restore: its stages, the bytes that come, and the step of each execution block."""
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}", justify="left"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        board = _Board(progress)
        with following(board):
            yield
        board.end()


class _Board:
    """One line a stage, and one an execution block while it is worked on."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._lines: dict[str, TaskID] = {}
        self._bytes = self._size = 0
        self._begun = 0.0

    def __call__(self, event: Event) -> None:
        """Show an event."""
        if not event.item:
            self._begin(event)
        elif event.stage == "gather":
            self._count(event.done)
        elif event.stage == "process":
            self._step(event)

    def end(self) -> None:
        """Show every line as done."""
        for line in self._lines.values():
            self._progress.update(line, total=1, completed=1)

    def _begin(self, event: Event) -> None:
        if event.stage not in self._lines:
            self.end()
        self._line(event.stage, event.total or None)
        if event.stage == "gather":
            self._size, self._begun = event.total, time.monotonic()

    def _count(self, done: int) -> None:
        self._bytes += done
        rate = self._bytes / max(1e-3, time.monotonic() - self._begun)
        text = f"gather  {decimal(self._bytes)} of {decimal(self._size)}, {decimal(int(rate))}/s"
        self._progress.update(self._lines["gather"], description=text, advance=done)

    def _step(self, event: Event) -> None:
        self._progress.update(self._lines["process"], advance=event.done)
        line = self._line(event.item, len(RESTORE_STEPS))
        self._progress.update(line, description=f"  {event.item}  {event.step}", advance=event.done)

    def _line(self, key: str, total: int | None) -> TaskID:
        if key not in self._lines:
            self._lines[key] = self._progress.add_task(key, total=total)
        elif total:
            self._progress.update(self._lines[key], total=total)
        return self._lines[key]

"""What a person watches while work goes on: stages, bytes and CASA's steps, on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
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
    """Show a restore: its stage, the bytes that come, and the step of each execution block."""
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}", justify="left"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress, following(_Board(progress)):
        yield


class _Board:
    """One line a stage, and one an execution block while it is worked on."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._lines: dict[str, TaskID] = {}
        self._bytes = 0

    def __call__(self, event: Event) -> None:
        """Show an event."""
        if not event.item:
            self._begin(event.stage)
        elif event.stage == "gather":
            self._bytes += event.done
            self._update("gather", f"gather   {self._bytes / 1e6:,.1f} MB", event.done)
        elif event.stage == "process":
            self._step(event)

    def _begin(self, stage: str) -> None:
        for line in self._lines.values():
            self._progress.update(line, total=1, completed=1)
        self._line(stage, stage, None)

    def _step(self, event: Event) -> None:
        self._line(event.item, event.item, len(RESTORE_STEPS))
        self._update(event.item, f"  {event.item}  {event.step}", event.done)

    def _line(self, key: str, text: str, total: int | None) -> None:
        if key not in self._lines:
            self._lines[key] = self._progress.add_task(text, total=total)

    def _update(self, key: str, text: str, advance: int) -> None:
        self._progress.update(self._lines[key], description=text, advance=advance)

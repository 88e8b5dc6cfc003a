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

from cli._board import watched
from tasks.progress import Event, tell

__all__ = ["building", "fetching", "restoring"]


@contextmanager
def building(doing: str = "simulating an observatory") -> Iterator[Callable[[str, int, int], None]]:
    """Show the making of what the embedded environment needs: called with (what, done, total).

    Parameters
    ----------
    doing
        What takes these steps.
    """
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
            progress.update(bar, description=f"{doing}: {what}", completed=done, total=total)

        yield show


@contextmanager
def restoring() -> Iterator[None]:
    """Show a restore: its stages, the files that come, and the step of each execution block."""
    with watched(Console(stderr=True)):
        yield


@contextmanager
def fetching(stage: str = "gather", total: int = 0, items: int = 0) -> Iterator[None]:
    """Show one stage that moves or reads files, each of them a `tasks.progress.Item` of that stage.

    Parameters
    ----------
    stage
        Its name, such as ``gather`` or ``verify``.
    total, items
        Bytes and files in all; 0 where they are not known.
    """
    with watched(Console(stderr=True)):
        tell(Event(stage, total=total, items=items))
        yield

"""Progress on the page of a run: a figure for a stage while it runs, and a table of the transfers after it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, TypeVar

from prefect.futures import PrefectFuture, wait

from tasks._task_page import Shown
from tasks.progress import Event, following, tell
from tasks.report.findings import came, fetched
from tasks.report.marks import plain
from tasks.report.units import rate
from tasks.transfers import Account, Standing, said, said_in_all
from tasks.workspace.provenance import Input

__all__ = ["bytes_and_files", "results_with_progress", "show_transfers"]

R = TypeVar("R")
_SECONDS: Final = 1.0
_MOST_FILES: Final = 20


def results_with_progress(
    futures: Iterable[PrefectFuture[R]],
    stage: Event,
    description: str,
    say: Callable[[Standing], str] = lambda standing: "",
) -> list[R]:
    """Wait for all futures, showing how far they are; then return their results, or raise the first failure.

    The artifact is updated once a second while they run, and once at their end.

    Parameters
    ----------
    futures
        Those of the stage; one that submits them as they are taken lets no event of theirs go unheard.
    stage
        The stage's own event, which is told first: what there is to do in all.
    description
        What the artifact says that it measures.
    say
        What it says besides, in Markdown.
    """
    account = Account(stage.stage)
    shown = Shown("progress", stage.stage)

    def update(percent: float, *, last: bool) -> None:
        told = "\n\n".join(filter(None, (description, say(account.standing()))))
        shown.write(percent, told, last=last)

    with following(account):
        tell(stage)
        submitted = list(futures)
        update(0.0, last=False)
        while wait(submitted, timeout=_SECONDS).not_done:
            update(min(100.0, 100 * (account.standing().whole.fraction or 0)), last=False)
    results = [future.result() for future in submitted]
    update(100.0, last=True)
    return results


def bytes_and_files(standing: Standing) -> str:
    """Say in Markdown how far transfers are: all of them, and each that is under way."""
    files = [f"- {plain(figures.name)}: {plain(said(figures))}" for figures in standing.under_way]
    more = len(files) - _MOST_FILES
    lines = [*files[:_MOST_FILES], *([f"- and {more} more"] if more > 0 else [])]
    return "\n".join([plain(said_in_all(standing)), *(["", *lines] if lines else [])])


def show_transfers(inputs: Sequence[Input]) -> None:
    """Show every file, and how it came, on the page of the run that calls this."""
    Shown("table", "transfers").write(json.dumps(list(_rows(inputs))), plain(fetched(tuple(inputs))))


def _rows(inputs: Iterable[Input]) -> Iterator[dict[str, Any]]:
    """Yield the rows of the table, whose cells Prefect shows as Markdown."""
    for item in inputs:
        yield {
            "file": plain(item.file_id),
            "bytes": item.size,
            "seconds": round(item.seconds, 3),
            "rate": rate(item.moved, item.seconds),
            "server": plain(item.server or ""),
            "attempts": item.attempts,
            "how": plain(came(item)),
        }

"""Progress as a Prefect artifact: one a stage, updated at most once a second."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, TypeVar

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.futures import PrefectFuture, wait

from tasks.progress import Event, following

__all__ = ["results_with_progress"]

R = TypeVar("R")
_SECONDS = 1.0


class _Tally:
    """Count what is done of one stage."""

    def __init__(self, stage: str, total: int) -> None:
        self._stage, self._total, self._done = stage, max(1, total), 0
        self._guard = threading.Lock()

    def __call__(self, event: Event) -> None:
        if event.stage == self._stage:
            with self._guard:
                self._done += event.done

    @property
    def percent(self) -> float:
        """What is done, in percent."""
        return min(100.0, 100.0 * self._done / self._total)


def results_with_progress(
    futures: Sequence[PrefectFuture[R]], stage: str, total: int, description: str
) -> list[R]:
    """Wait for all futures, showing how far they are; then return their results, or raise the first failure.

    Parameters
    ----------
    stage
        The stage whose events count.
    total
        What the events' `done` add up to.
    description
        What the artifact says that it measures.
    """
    tally = _Tally(stage, total)
    with following(tally):
        artifact: Any = create_progress_artifact(progress=0.0, key=stage, description=description)
        while wait(list(futures), timeout=_SECONDS).not_done:
            update_progress_artifact(artifact, progress=tally.percent)
    results = [future.result() for future in futures]
    update_progress_artifact(artifact, progress=100.0)
    return results

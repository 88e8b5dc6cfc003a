"""What a stage will probably take, told before it begins: from what earlier runs took, and what runs at once."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tasks.catalog.sizes import Sizes
from tasks.cluster.resources import Resources
from tasks.usage import Work

__all__ = ["StageForecast", "StepForecast", "forecast"]

N = TypeVar("N", int, float)


@dataclass(frozen=True)
class StepForecast:
    """What the jobs of one step will take; None where nothing was measured.

    Parameters
    ----------
    step
        Its name.
    jobs
        How many there are.
    requested_memory
        Bytes that the largest of them asks for; None where no job is submitted.
    wall_seconds, peak_memory
        Of the one that takes most.
    cpu_seconds
        Of all together.
    runs
        From how many runs that is known.
    """

    step: str
    jobs: int
    requested_memory: int | None
    wall_seconds: float | None
    cpu_seconds: float | None
    peak_memory: int | None
    runs: int


@dataclass(frozen=True)
class StageForecast:
    """What a stage will take.

    Parameters
    ----------
    stage
        Its name.
    at_once
        How many of its jobs run at once.
    steps
        What each of its steps takes.
    wall_seconds
        From its beginning to its end if no job has to wait for a node; None where that is not known of every job.
    """

    stage: str
    at_once: int
    steps: tuple[StepForecast, ...]
    wall_seconds: float | None


def forecast(
    stage: str, works: Sequence[Work], sizes: Sizes, at_once: int, resources: Resources | None
) -> StageForecast:
    """Forecast a stage.

    Parameters
    ----------
    works
        What it has to do, in its order.
    sizes
        What was learnt.
    at_once
        How many jobs it may have at once.
    resources
        What each of them asks for; None where no job is submitted.
    """
    steps = dict.fromkeys(work.step for work in works)
    done = tuple(_step(step, [work for work in works if work.step == step], sizes, resources) for step in steps)
    return StageForecast(stage, min(at_once, len(works)), done, _length(works, sizes, at_once))


def _step(step: str, works: Sequence[Work], sizes: Sizes, resources: Resources | None) -> StepForecast:
    expected = [sizes.expect(work) for work in works]
    asked = (resources.within(sizes.memory(work) or resources.memory) for work in works) if resources else ()
    return StepForecast(
        step,
        len(works),
        max(asked, default=None),
        _most(each.wall_seconds for each in expected),
        sum(cpu for each in expected if (cpu := each.cpu_seconds) is not None) or None,
        _most(each.peak_memory for each in expected),
        min(each.runs for each in expected),
    )


def _length(works: Sequence[Work], sizes: Sizes, at_once: int) -> float | None:
    """Return how long it takes if each job is given to whoever is free first."""
    free = [0.0] * at_once
    for work in works:
        wall = sizes.expect(work).wall_seconds
        if wall is None:
            return None
        heapq.heapreplace(free, free[0] + wall)
    return max(free)


def _most(values: Iterable[N | None]) -> N | None:
    return max((value for value in values if value is not None), default=None)

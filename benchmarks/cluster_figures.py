"""What the benchmark of the cluster measures, as its processes tell each other."""

from __future__ import annotations

import os
import time

from pydantic import BaseModel

from benchmarks.ratio import median

__all__ = ["FanOut", "Figures", "Start", "Starts", "moment_of"]


class Start(BaseModel):
    """Seconds after the call: to the start of the job's process, and to the first work that it did."""

    process: float
    work: float


class Starts(BaseModel):
    """The starts of one way, in their order."""

    starts: list[Start] = []

    @property
    def process(self) -> float:
        """The median of the seconds to the job's process."""
        return median([start.process for start in self.starts])

    @property
    def work(self) -> float:
        """The median of the seconds to the first work."""
        return median([start.work for start in self.starts])


class FanOut(BaseModel):
    """Many pieces of null work in one go.

    Parameters
    ----------
    items
        How many.
    wall
        Seconds from the call to its end, workers and all.
    span
        Seconds from the first piece of work to the last.
    recorded
        The task runs that the Prefect server knows of; None where nobody asked it.
    """

    items: int
    wall: float
    span: float
    recorded: int | None = None


class Figures(BaseModel):
    """All that is measured.

    Parameters
    ----------
    load
        How many processes wanted to run before anything began.
    starts
        By way.
    ends
        Seconds from the first work of a stage with one piece of it to the stage's end.
    three_stages
        Seconds of a flow of three stages with one piece each.
    blocks, local
        Stages by their number of execution blocks, on the pool and on this machine alone.
    files
        A Prefect task for each file.
    """

    load: float
    starts: dict[str, Starts] = {}
    ends: list[float] = []
    three_stages: list[float] = []
    blocks: dict[int, list[FanOut]] = {}
    local: dict[int, list[FanOut]] = {}
    files: FanOut | None = None


def moment_of(ticks: int) -> float:
    """Return the time of day of a process's birth, which the kernel tells in ticks since the machine's start."""
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + ticks / os.sysconf("SC_CLK_TCK")

"""What a piece of work took: told by whoever ran it, collected by whoever writes it down."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

__all__ = ["Usage", "Work", "collecting", "report"]


@dataclass(frozen=True)
class Work:
    """A piece of work: what is one Prefect task, and runs in one place.

    Parameters
    ----------
    stage, step
        Which step of which stage, as in ``process`` and ``restore``.
    item
        What it is done to: an execution block's uid; empty for what belongs to all.
    kind
        What else decides how much it takes, as in ``casatasks 6.7.0``; sizes are learnt for each kind by itself.
    size
        Bytes that it reads or fetches; 0 where that is not known.
    """

    stage: str
    step: str
    item: str = ""
    kind: str = ""
    size: int = 0

    def __str__(self) -> str:
        return f"{self.step} {self.item}".strip()


@dataclass(frozen=True)
class Usage:
    """What a piece of work took.

    Parameters
    ----------
    work
        Which.
    wall_seconds, cpu_seconds
        CPU of the worker and all its children; None where others worked in the same process.
    peak_memory
        Bytes that the worker and all its children held at most, together; None as above.
    requested_memory
        Bytes that its job had asked for; None where it was no job.
    place
        The slot of its job, or the host.
    attempts
        How often it was begun until it ended.
    """

    work: Work
    wall_seconds: float
    cpu_seconds: float | None = None
    peak_memory: int | None = None
    requested_memory: int | None = None
    place: str = ""
    attempts: int = 1


_collected: ContextVar[list[Usage] | None] = ContextVar("collected", default=None)


@contextmanager
def collecting() -> Iterator[list[Usage]]:
    """Collect what is reported while the block runs, in it and in threads that are given its context."""
    found: list[Usage] = []
    token = _collected.set(found)
    try:
        yield found
    finally:
        _collected.reset(token)


def report(usage: Usage) -> None:
    """Report what a piece of work took; without anybody to collect it, it is forgotten."""
    collected = _collected.get()
    if collected is not None:
        collected.append(usage)

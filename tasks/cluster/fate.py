"""What befell a job, in HTCondor's own words where it has some, and what that means for the work that it did."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

from tasks.cluster.job import Job, Status
from tasks.cluster.logs import tail

__all__ = ["OVERTIME", "Fate", "Kind", "fate_of", "vanished"]

OVERTIME: Final = 75
"""The exit code of a worker whose time is over; HTCondor adds up how long all starts of a job took."""


class Kind(Enum):
    """What befell a job."""

    EVICTED = "evicted"
    """It had to leave its node; HTCondor starts it again."""
    REMOVED = "removed"
    """Somebody took it out of the queue."""
    HELD = "held"
    """HTCondor or somebody has stopped it."""
    OUT_OF_MEMORY = "out of memory"
    """It took more memory than it had asked for."""
    OVERTIME = "out of time"
    """It ran as long as its class may."""
    ENDED = "ended"
    """Its process ended by itself, or by a signal."""
    VANISHED = "lost"
    """Nobody heard from it any more, and HTCondor tells no end of it."""


@dataclass(frozen=True)
class Fate:
    """What befell a job.

    Parameters
    ----------
    kind
        What it means for the work.
    job
        Its id.
    why
        The reason, for people.
    memory
        Bytes that the job had asked for; 0 where that is not known.
    """

    kind: Kind
    job: str
    why: str
    memory: int = 0

    def __str__(self) -> str:
        return f"job {self.job} was {self.kind.value}: {self.why}" if self.kind in _PASSIVE else self._active

    @property
    def _active(self) -> str:
        return (
            f"job {self.job} ran {self.kind.value}: {self.why}"
            if self.kind in _RAN
            else f"job {self.job} {self.why}"
        )


_PASSIVE = {Kind.EVICTED, Kind.REMOVED, Kind.HELD, Kind.VANISHED}
_RAN = {Kind.OUT_OF_MEMORY, Kind.OVERTIME}
_OVERTIME_HOLDS = {46, 47}
"""Hold codes of jobs that lasted, or executed, longer than they are allowed to."""


def fate_of(job: Job, starts: int) -> Fate | None:
    """Return what befell a job; None where nothing did, as far as HTCondor knows.

    Parameters
    ----------
    starts
        How often it had been started when its worker was last heard.
    """
    memory = job.requested_memory or 0
    if job.status is Status.HELD or (job.status is Status.REMOVED and job.before is Status.HELD):
        return Fate(_held(job), job.id, job.hold_reason or "HTCondor does not say why", memory)
    if job.status is Status.REMOVED:
        return Fate(Kind.REMOVED, job.id, job.remove_reason or "HTCondor does not say why", memory)
    if job.status is Status.COMPLETED:
        return _of_ended(job, memory)
    if starts and (job.status is Status.IDLE or job.starts > starts):
        return Fate(Kind.EVICTED, job.id, job.vacate_reason or "it had to leave its node", memory)
    return None


def vanished(job: str, seconds: float) -> Fate:
    """Return the fate of a job whose worker was not heard for some time, and of which HTCondor tells no end."""
    return Fate(
        Kind.VANISHED, job, f"its worker was not heard for {seconds:.0f} s, and HTCondor tells no end of it"
    )


def _held(job: Job) -> Kind:
    if job.exceeded_memory:
        return Kind.OUT_OF_MEMORY
    return Kind.OVERTIME if job.hold_code in _OVERTIME_HOLDS else Kind.HELD


def _of_ended(job: Job, memory: int) -> Fate:
    if job.exit_code == OVERTIME:
        return Fate(Kind.OVERTIME, job.id, "it worked as long as its class may", memory)
    if job.exit_signal is not None:
        how = f"was ended by signal {job.exit_signal}"
    else:
        how = "ended in an unknown way" if job.exit_code is None else f"ended with exit code {job.exit_code}"
    last = tail(Path(job.error)) if job.error else ""
    return Fate(Kind.ENDED, job.id, f"{how}; its log ends with: {last}" if last else how, memory)

"""A job as HTCondor tells it; what it does not tell is None, and an unknown status is unknown."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from math import isfinite
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from tasks.cluster.tag import Tag

__all__ = ["ATTRIBUTES", "Job", "Status"]

_MEGABYTE, _KILOBYTE = 1 << 20, 1 << 10
_NEVER: Final = datetime.max.replace(tzinfo=UTC).timestamp() - 1
_MEMORY_HOLDS: Final = {(21, 102), (34, 0), (34, 102)}
"""Hold codes, with subcodes, of jobs that took more memory than they asked for."""
ATTRIBUTES: Final = (
    "ClusterId", "ProcId", "JobStatus", "LastJobStatus", "EnteredCurrentStatus", "QDate", "JobCurrentStartDate",
    "NumJobStarts", "HoldReason", "HoldReasonCode", "HoldReasonSubCode", "LastHoldReason",
    "LastHoldReasonCode", "LastHoldReasonSubCode", "RemoveReason", "VacateReason", "LastVacateReason",
    "LastRejMatchReason", "RemoteHost", "LastRemoteHost", "RequestMemory",
    "ResidentSetSize_RAW", "RemoteUserCpu", "RemoteSysCpu", "RemoteWallClockTime",
    "ExitCode", "ExitSignal", "ExitBySignal", "Err", "PPIName",
    "PPIProfile", "PPIProject", "PPIObservation", "PPIFlow", "PPIStage", "PPIFlowRun", "PPICrew",
    "PPIOwnerHost", "PPIOwnerMachine", "PPIOwnerPid", "PPIOwnerBorn",
)  # fmt: skip
"""What is asked of a job's ClassAd."""


class Status(Enum):
    """What a job does; the numbers are HTCondor's."""

    UNKNOWN = 0
    """HTCondor does not say, or says what nobody knows."""
    IDLE = 1
    """It waits for a node."""
    RUNNING = 2
    """It runs."""
    REMOVED = 3
    """Somebody took it out of the queue."""
    COMPLETED = 4
    """It ended by itself, well or badly."""
    HELD = 5
    """It is stopped until somebody does something about it; the hold reason says why."""
    TRANSFERRING = 6
    """It has run, and its output is brought."""
    SUSPENDED = 7
    """Its node has stopped it for a while."""

    @classmethod
    def _missing_(cls, value: object) -> Status:
        return cls.UNKNOWN


class Job(BaseModel):
    """A job, in the queue or in the history.

    Parameters
    ----------
    id
        As in ``17.0``.
    name
        The name of the worker that it is, unlike any other's in its crew; empty for a job of another kind.
    tag
        Whose it is; None for a job that is none of ours.
    status, before, since
        What it does, what it did before, and since when it does it, UTC.
    submitted, started, starts
        When it was queued and last started, and how often it was started.
    host
        The slot where it runs, or ran last, as in ``slot1_1@node``.
    hold_reason, hold_code, hold_subcode
        Why it is held, or was held when it was removed.
    remove_reason, vacate_reason, reject_reason
        HTCondor's words on why it was removed, why it had to leave its node, and why it finds none.
    requested_memory, memory
        Bytes that it asked for, and the most that it and all its children held together.
    cpu_seconds, wall_seconds
        What it took so far, as HTCondor last heard.
    exit_code, exit_signal
        How it ended; never both.
    error
        The file with what it said.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    name: str = ""
    tag: Tag | None = None
    status: Status = Status.UNKNOWN
    before: Status = Status.UNKNOWN
    since: datetime | None = None
    submitted: datetime | None = None
    started: datetime | None = None
    starts: int = 0
    host: str | None = None
    hold_reason: str | None = None
    hold_code: int | None = None
    hold_subcode: int | None = None
    remove_reason: str | None = None
    vacate_reason: str | None = None
    reject_reason: str | None = None
    requested_memory: int | None = None
    memory: int | None = None
    cpu_seconds: float | None = None
    wall_seconds: float | None = None
    exit_code: int | None = None
    exit_signal: int | None = None
    error: str | None = None

    @property
    def is_over(self) -> bool:
        """Whether it will not run again."""
        return self.status in (Status.REMOVED, Status.COMPLETED)

    @property
    def exceeded_memory(self) -> bool:
        """Whether HTCondor stopped it because it took more memory than it had asked for."""
        return (self.hold_code, self.hold_subcode) in _MEMORY_HOLDS

    @classmethod
    def of(cls, ad: Mapping[str, Any]) -> Job:
        """Read a ClassAd as ``condor_q -json`` prints it."""
        held = "" if ad.get("HoldReason") else "Last"
        by_signal = ad.get("ExitBySignal") is True
        return cls(
            id=f"{ad['ClusterId']}.{ad['ProcId']}",
            name=_text(ad, "PPIName") or "",
            tag=Tag.of(ad),
            status=Status(ad.get("JobStatus", 0)),
            before=Status(ad.get("LastJobStatus", 0)),
            since=_moment(ad, "EnteredCurrentStatus"),
            submitted=_moment(ad, "QDate"),
            started=_moment(ad, "JobCurrentStartDate"),
            starts=_whole(ad, "NumJobStarts") or 0,
            host=_text(ad, "RemoteHost") or _text(ad, "LastRemoteHost"),
            hold_reason=_text(ad, f"{held}HoldReason"),
            hold_code=_whole(ad, f"{held}HoldReasonCode"),
            hold_subcode=_whole(ad, f"{held}HoldReasonSubCode"),
            remove_reason=_text(ad, "RemoveReason"),
            vacate_reason=_text(ad, "VacateReason") or _text(ad, "LastVacateReason"),
            reject_reason=_text(ad, "LastRejMatchReason"),
            requested_memory=_bytes(ad, "RequestMemory", _MEGABYTE),
            memory=_bytes(ad, "ResidentSetSize_RAW", _KILOBYTE),
            cpu_seconds=_sum(ad, "RemoteUserCpu", "RemoteSysCpu"),
            wall_seconds=_number(ad, "RemoteWallClockTime"),
            exit_code=None if by_signal else _whole(ad, "ExitCode"),
            exit_signal=_whole(ad, "ExitSignal") if by_signal else None,
            error=_text(ad, "Err"),
        )


def _text(ad: Mapping[str, Any], name: str) -> str | None:
    value = ad.get(name)
    return value if isinstance(value, str) and value else None


def _number(ad: Mapping[str, Any], name: str) -> float | None:
    """Return a number; what HTCondor has not evaluated comes as text."""
    value = ad.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool) or not isfinite(value):
        return None
    return float(value)


def _whole(ad: Mapping[str, Any], name: str) -> int | None:
    value = _number(ad, name)
    return None if value is None else int(value)


def _sum(ad: Mapping[str, Any], *names: str) -> float | None:
    """Return the sum of numbers, None unless all are told."""
    told = [_number(ad, name) for name in names]
    known = [value for value in told if value is not None]
    return sum(known) if len(known) == len(told) else None


def _bytes(ad: Mapping[str, Any], name: str, unit: int) -> int | None:
    value = _number(ad, name)
    return None if value is None else int(value * unit)


def _moment(ad: Mapping[str, Any], name: str) -> datetime | None:
    value = _number(ad, name)
    return datetime.fromtimestamp(value, UTC) if value and 0 < value < _NEVER else None

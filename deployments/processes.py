"""Whether the process of a run is gone: known by what its record, its worker and its area say, or not known."""

from __future__ import annotations

import os
import socket
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import psutil
from prefect.client.schemas.objects import FlowRun, StateType

from blocks.profile import Profile
from deployments.runs import worker_of
from tasks.alma.ids import EntityId
from tasks.catalog.model import Record
from tasks.cluster.orphans import is_gone
from tasks.cluster.tag import Owner
from tasks.workspace.layout import Area

__all__ = ["Sight", "of_execution", "of_run", "owner_of"]

_RECORDED: Final = timedelta(minutes=10)
"""A flow is in the catalog before it does anything, and that takes seconds."""


class Sight(NamedTuple):
    """What is known of a process.

    Parameters
    ----------
    gone
        Whether it is gone; None where that is not known.
    why
        How that is known.
    """

    gone: bool | None
    why: str


def owner_of(record: Record) -> Owner | None:
    """Return the process of an execution; None for one of before processes were recorded."""
    try:
        return Owner.read(record.owner) if record.owner else None
    except ValueError:
        return None


def of_execution(record: Record, profile: Profile) -> Sight:
    """Look for the process of an execution that is running to the catalog."""
    owner, is_here = owner_of(record), record.host == os.uname().nodename
    gone = is_gone(owner) if owner else None
    who = str(owner or f"its process on {record.host or 'an unknown host'}")
    if gone is None and is_here:  # of before this host was started, or of before processes were recorded
        gone = not Area(profile.processing.root_directory).is_held(EntityId.parse(record.observation))
    if gone is None:
        return Sight(None, f"{who} cannot be seen from {os.uname().nodename}")
    return Sight(gone, f"{who} {'is gone' if gone else 'lives'}")


def of_run(run: FlowRun, profile: Profile, worker: str) -> Sight:
    """Look for the process of a run that is not in the catalog.

    Parameters
    ----------
    worker
        The worker that is known not to run, and nothing that it started.
    """
    named = worker_of(run)
    if named.rpartition("@")[2] == socket.gethostname() and (run.infrastructure_pid or "").isdecimal():
        gone = not _is_of_prefect(int(run.infrastructure_pid or 0))
        return Sight(gone, f"process {run.infrastructure_pid} of worker {named} {'is gone' if gone else 'lives'}")
    if worker and named == worker:
        return Sight(True, f"worker {worker} ended, and this run with it")
    if _should_be_recorded(run, profile):
        return Sight(True, f"it is in no record {_RECORDED.seconds // 60} minutes after it began")
    return Sight(None, "nothing says yet which process it is")


def _is_of_prefect(pid: int) -> bool:
    """Whether there is such a process, and it may be a run's: its number may be another's by now."""
    try:
        return "prefect" in " ".join(psutil.Process(pid).cmdline())
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def _should_be_recorded(run: FlowRun, profile: Profile) -> bool:
    is_own = run.parameters.get("profile") == profile.name
    began = run.start_time if run.state_type is not StateType.PENDING else None
    return is_own and began is not None and datetime.now(UTC) - began > _RECORDED

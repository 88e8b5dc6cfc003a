"""What is seen of a crew's jobs from outside: how HTCondor says that they fare, and what the crew says they do."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from tasks.cluster.board import Board, Entry
from tasks.cluster.job import Job, Status

__all__ = ["SeenJob", "from_boards", "joined"]


class SeenJob(BaseModel):
    """A job, as both tell it; what neither tells is empty or None.

    Parameters
    ----------
    id, name
        HTCondor's id, as in ``17.0``, and the worker that it is.
    crew, stage, flow_run, observation, project
        Whose it is.
    step, item
        What it does now, and to which execution block.
    state
        What the crew makes of it.
    status
        What HTCondor says that it does: a name of `tasks.cluster.job.Status` in lower case; ``unknown`` where
        HTCondor was not heard.
    since, age_seconds
        Since when, and how long ago it was queued.
    slot
        Where it runs, or ran last.
    starts
        How often it was started.
    memory, requested_memory
        Bytes that it holds, and that it asked for.
    cpu_seconds, wall_seconds
        What it took, as HTCondor last heard.
    reason
        Why it does not run: why it is held, finds no node, or had to leave its last one.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    crew: str
    stage: str
    flow_run: str
    observation: str
    project: str
    step: str = ""
    item: str = ""
    state: str = ""
    status: str = "unknown"
    since: datetime | None = None
    age_seconds: float | None = None
    slot: str | None = None
    starts: int = 0
    memory: int | None = None
    requested_memory: int | None = None
    cpu_seconds: float | None = None
    wall_seconds: float | None = None
    reason: str | None = None


def joined(queue: Iterable[Job], boards: Iterable[Board], now: datetime) -> tuple[SeenJob, ...]:
    """Return the jobs in the queue, with what their crews say; and what crews could not bring there yet.

    Parameters
    ----------
    queue
        What HTCondor says; jobs that are none of ours are left out.
    boards
        What the crews say.
    """
    said = {(board.crew, entry.name): (board, entry) for board in boards for entry in board.entries}
    jobs = [job for job in queue if job.tag]
    queued = tuple(_queued(job, said.get((job.tag.crew, job.name)), now) for job in jobs if job.tag)
    unqueued = (_told(*both) for both in said.values() if not both[1].job and not both[1].is_over)
    return (*queued, *unqueued)


def from_boards(boards: Iterable[Board]) -> tuple[SeenJob, ...]:
    """Return the jobs as their crews tell them, where HTCondor is not heard."""
    return tuple(_told(board, entry) for board in boards for entry in board.entries if not entry.is_over)


def _queued(job: Job, told: tuple[Board, Entry] | None, now: datetime) -> SeenJob:
    seen = _told(*told).model_dump() if told else _tagged(job)
    return SeenJob.model_validate(
        seen
        | {
            "id": job.id,
            "status": job.status.name.lower(),
            "since": job.since,
            "age_seconds": _seconds(job.submitted, now),
            "slot": job.host,
            "starts": job.starts,
            "memory": job.memory,
            "requested_memory": job.requested_memory or seen.get("requested_memory"),
            "cpu_seconds": job.cpu_seconds,
            "wall_seconds": _wall(job, now),
            "reason": _reason(job),
        }
    )


def _tagged(job: Job) -> dict[str, Any]:
    """Return what a job says of itself, where its crew says nothing."""
    tag = job.tag
    names = ("crew", "stage", "flow_run", "observation", "project")
    return {"name": job.name} | ({name: getattr(tag, name) for name in names} if tag else {})


def _told(board: Board, entry: Entry) -> SeenJob:
    return SeenJob(
        id=entry.job,
        name=entry.name,
        crew=board.crew,
        stage=board.stage,
        flow_run=board.flow_run,
        observation=board.observation,
        project=board.project,
        step=entry.step,
        item=entry.item,
        state=entry.state,
        since=entry.since,
        requested_memory=entry.requested_memory or None,
    )


def _wall(job: Job, now: datetime) -> float | None:
    """Return how long it has run: HTCondor counts a start only at its end."""
    return _seconds(job.started, now) if job.status is Status.RUNNING else job.wall_seconds


def _seconds(begun: datetime | None, now: datetime) -> float | None:
    return None if begun is None else max(0.0, (now - begun).total_seconds())


def _reason(job: Job) -> str | None:
    """Return why a job does not run, or no longer where it first ran."""
    match job.status:
        case Status.HELD:
            return job.hold_reason
        case Status.IDLE:
            return job.vacate_reason if job.starts else job.reject_reason
        case Status.REMOVED:
            return job.remove_reason
        case _:
            return job.vacate_reason if job.starts > 1 else None

"""One worker of a crew, from its submission to its end, and the pieces of work that wait for one."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from queue import SimpleQueue
from typing import Any

from distributed import Future

from tasks.cluster.board import Entry, JobRow
from tasks.cluster.budget import Budget
from tasks.cluster.job import Job, Status
from tasks.usage import Usage, Work

__all__ = ["Member", "Ticket"]

_numbers = count(1)


@dataclass(eq=False)
class Ticket:
    """A piece of work that somebody waits for.

    Parameters
    ----------
    work
        What it is.
    call
        Function, positional and named arguments.
    budget
        What it may go through.
    """

    work: Work
    call: tuple[Any, ...]
    budget: Budget
    mail: SimpleQueue[Future[Any] | Exception] = field(default_factory=SimpleQueue)
    """What who waits is told: its result is there, or it failed."""
    number: int = field(default_factory=lambda: next(_numbers))
    future: Future[Any] | None = None
    member: Member | None = None
    """Who works on it now."""
    given: float = 0.0
    """Since when."""

    @property
    def key(self) -> str:
        """The name of its present attempt for Dask, unlike any other."""
        return f"{self.work.step.replace(' ', '-')}-{self.number}-{self.budget.attempts}"


@dataclass(eq=False)
class Member:
    """A worker: a job of the pool.

    Parameters
    ----------
    name
        Unlike any other's in its crew.
    memory
        Bytes that its job asks for.
    """

    name: str
    memory: int
    id: str = ""
    submitted: float = field(default_factory=time.monotonic)
    address: str = ""
    """Where it is reached; empty while it is not."""
    joins: int = 0
    """How often it has come."""
    joined: float = 0.0
    """When it came last."""
    losses: int = 0
    """How often it had come when it was last known to be lost."""
    silent_since: float = 0.0
    """When it was found to be gone, or nowhere, and HTCondor had no word for it yet; 0 while all is well."""
    ticket: Ticket | None = None
    idle_since: float = field(default_factory=time.monotonic)
    """Since when it has had nothing to do."""
    job: Job | None = None
    """What HTCondor last said of it."""
    outcome: str = ""
    """How it ended; empty while it lives."""
    did: list[Work] = field(default_factory=list)
    usages: list[Usage] = field(default_factory=list)
    """What that took, as far as it came to an end."""
    told: str = ""
    """The last reason that people were told why it does not run."""
    _state: str = ""
    _since: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def lives(self) -> bool:
        """Whether it may still do something."""
        return not self.outcome

    @property
    def is_free(self) -> bool:
        """Whether it waits for something to do."""
        return bool(self.address) and self.ticket is None

    @property
    def is_known_lost(self) -> bool:
        """Whether its loss was told, and it has not come again since."""
        return self.losses == self.joins

    @property
    def host(self) -> str:
        """The slot where it runs, or ran last; empty while it is not known."""
        return (self.job.host if self.job else None) or ""

    @property
    def state(self) -> str:
        """What becomes of it, in a few words."""
        if self.outcome:
            return self.outcome
        if self.address:
            return f"works: {self.ticket.work}" if self.ticket else "waits for work"
        status = self.job.status if self.job else Status.UNKNOWN
        return (
            "starts"
            if status is Status.RUNNING
            else "is queued"
            if status is Status.UNKNOWN
            else status.name.lower()
        )

    def entry(self) -> Entry:
        """Return what the crew's board says of it."""
        if (state := self.state) != self._state:
            self._state, self._since = state, datetime.now(UTC)
        at_work, last = self.ticket.work if self.ticket else None, self.did[-1] if self.did else None
        return Entry(
            name=self.name,
            job=self.id,
            step=at_work.step if at_work else "",
            item=at_work.item if at_work else "",
            last_step=last.step if last else "",
            last_item=last.item if last else "",
            state=state,
            is_over=not self.lives,
            requested_memory=self.memory,
            since=self._since,
        )

    def row(self, crew: str) -> JobRow:
        """Return what the page of its run says of it."""
        job, took = self.job, self.usages
        held = [usage.peak_memory for usage in took if usage.peak_memory]
        return JobRow(
            crew=crew,
            name=self.name,
            job=self.id,
            did=", ".join(dict.fromkeys(map(str, self.did))),
            slot=self.host,
            wall_seconds=sum(usage.wall_seconds for usage in took) if took else None,
            cpu_seconds=sum(usage.cpu_seconds or 0.0 for usage in took) if took else None,
            peak_memory=max((*held, (job.memory if job else None) or 0)) or None,
            requested_memory=self.memory,
            attempts=max((usage.attempts for usage in took), default=1),
            outcome=self.state,
        )

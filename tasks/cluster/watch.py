"""Watching over the jobs of a crew: what HTCondor says of them, and for how long it may say nothing.

That the pool does not answer says nothing of any job: it is waited for, and then given up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from tasks.cluster.fate import Fate, Kind, fate_of, vanished
from tasks.cluster.job import Job, Status
from tasks.cluster.member import Member
from tasks.cluster.pool import Pool
from tasks.cluster.resources import Resources
from tasks.cluster.tag import Tag
from tasks.errors import Exhausted, Refused, Transient

__all__ = ["Terms", "Watch"]

_SILENT_SECONDS: Final = 25.0
"""How long HTCondor may take to tell what befell a worker that is gone."""
_STARTING_SECONDS: Final = 120.0
"""How long a worker may take from its start until it is heard; one that reaches nobody ends after half of it."""
_AWAY_SECONDS: Final = 900.0
"""How long the pool may be away."""
_HOPELESS_SECONDS: Final = 300.0
"""How long a job waits that no slot of the pool could run, busy or not: nodes may be about to come."""
_TOLD_SECONDS: Final = 15.0
"""After how long a job that waits is spoken of."""
_HOPE_SECONDS: Final = 30.0
"""How seldom it is asked which jobs no slot could run."""


@dataclass(frozen=True)
class Terms:
    """How a crew is to be.

    Parameters
    ----------
    resources
        What each job asks for.
    most
        Jobs at once.
    longest_idle
        Seconds that a job may wait for a node.
    say
        Called with sentences for people.
    """

    resources: Resources
    most: int
    longest_idle: float
    say: Callable[[str], None] = lambda sentence: None


class Watch:
    """Who looks at the queue for a crew."""

    def __init__(self, pool: Pool, tag: Tag, terms: Terms) -> None:
        self._pool, self._stage, self._terms = pool, tag.stage, terms
        self._constraint = Tag.constraint(crew=tag.crew)
        self._blind_since = 0.0
        self._hope_asked = -_HOPE_SECONDS
        self._hopeless: frozenset[str] = frozenset()

    @property
    def is_blind(self) -> bool:
        """Whether the pool did not answer when it was last asked."""
        return bool(self._blind_since)

    def look(
        self, members: Sequence[Member], now: float, *, changed: bool
    ) -> tuple[list[tuple[Member, Fate]], bool]:
        """Note what HTCondor says of each member.

        Parameters
        ----------
        now
            The monotonic clock.
        changed
            Whether something has changed already.

        Returns
        -------
        tuple
            What befell whom; and whether something has changed.

        Raises
        ------
        Exhausted
            The pool stays away, or a job has waited too long for a node.
        """
        try:
            jobs = self._jobs(members)
            self._ask_for_hope(jobs, now)
        except (Transient, Refused) as error:
            self.missed(error, now)
            return [], changed
        self._blind_since = 0.0
        before = {member.name: member.job.status if member.job else None for member in members}
        befallen = [(member, fate) for member in members if (fate := self._fate(member, jobs.get(member.id), now))]
        after = {member.name: member.job.status if member.job else None for member in members}
        return befallen, changed or before != after

    def missed(self, error: Transient | Refused, now: float) -> None:
        """Take note that the pool does not answer.

        Raises
        ------
        Exhausted
            It has not for too long.
        """
        if not self._blind_since:
            self._blind_since = now
            self._terms.say(f"The pool does not answer, which says nothing of the jobs: {error}")
        elif now - self._blind_since > _AWAY_SECONDS:
            todo = "see that HTCondor runs (condor_status), then run it again: it goes on where it was"
            raise Exhausted(f"stage {self._stage}", str(error), todo)

    def _jobs(self, members: Sequence[Member]) -> dict[str, Job]:
        found = {job.id: job for job in self._pool.queue(self._constraint)}
        gone = [member.id for member in members if member.id not in found]
        return found | {job.id: job for job in self._pool.ended(gone)}

    def _fate(self, member: Member, job: Job | None, now: float) -> Fate | None:
        member.job = job or member.job
        fate = fate_of(job, member.joins) if job else None
        if fate:
            told = fate.kind is Kind.EVICTED and (member.is_known_lost or not member.silent_since)
            return None if told else fate
        if self._is_silent(member, job, now):
            return vanished(member.id, now - member.silent_since)
        if job and job.status is Status.IDLE:
            self._require_hope(member, job)
        return None

    def _is_silent(self, member: Member, job: Job | None, now: float) -> bool:
        """Whether it is too long that neither its worker nor HTCondor say what became of a job."""
        if member.address or (job and job.status is not Status.RUNNING):
            return False
        if not member.silent_since and (job is None or not member.is_known_lost or _ran(job) > _STARTING_SECONDS):
            member.silent_since = now
        return bool(member.silent_since) and now - member.silent_since > _SILENT_SECONDS

    def _ask_for_hope(self, jobs: Mapping[str, Job], now: float) -> None:
        """Ask, seldom, which jobs could run nowhere: the pool looks through all its slots for that."""
        waiting = any(job.status is Status.IDLE and _waited(job) >= _TOLD_SECONDS for job in jobs.values())
        if waiting and now - self._hope_asked > _HOPE_SECONDS:
            self._hope_asked = now
            self._hopeless = self._pool.unmatchable(self._constraint)

    def _require_hope(self, member: Member, job: Job) -> None:
        """Speak of a job that finds no node; one that has no hope left is given up."""
        waited = _waited(job)
        if waited < _TOLD_SECONDS:
            return
        hopeless = member.id in self._hopeless
        why = job.reject_reason or "HTCondor has found no node for it yet"
        why = f"no slot of the pool could ever run it ({why})" if hopeless else why
        if why != member.told:
            member.told = why
            self._terms.say(f"Job {member.id} has waited for {waited:.0f} s: {why}")
        if waited > self._terms.longest_idle or (hopeless and waited > _HOPELESS_SECONDS):
            key = f"ppi.cluster.{self._terms.resources.name}"
            todo = f"see {key}.requirements, .memory and .disk, or what the pool does (condor_q -better-analyze)"
            raise Exhausted(f"job {member.id} of stage {self._stage}", f"it waited {waited:.0f} s: {why}", todo)


def _waited(job: Job) -> float:
    return (datetime.now(UTC) - job.since).total_seconds() if job.since else 0.0


def _ran(job: Job) -> float:
    return (datetime.now(UTC) - job.started).total_seconds() if job.started else 0.0

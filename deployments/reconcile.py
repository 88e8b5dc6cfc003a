"""Settling what the dead have left: executions, runs and stages that nobody ends, jobs, keys and leases.

All of it is found first, and each finding says how it was known. What lives is never touched, and what cannot be
seen from here is only told of. Each finding is looked at again when it is settled, so that two reconcilers at once
do no harm, and a second time there is nothing to do.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from uuid import UUID

from prefect.client.schemas.objects import FlowRun, StateType

from blocks.profile import Profile
from deployments import processes
from deployments.prefect_client import client_of
from deployments.processes import Sight
from deployments.runs import Runs
from flows._events import tell
from tasks import disk
from tasks.catalog.catalog import Catalog, Wanted
from tasks.catalog.model import Record
from tasks.catalog.states import State
from tasks.catalog.tasks import catalog_of, database_of
from tasks.cluster.orphans import Orphan, dead_keys, orphans
from tasks.cluster.pool import Pool
from tasks.cluster.tag import Tag
from tasks.cluster.tasks import log_directory, pool_of
from tasks.errors import PpiError
from tasks.ngas.tasks import shared_store

__all__ = ["Finding", "Kind", "reconcile", "running"]


class Kind(StrEnum):
    """What was found."""

    EXECUTION = "execution"
    """The catalog shows it as running."""
    RUN = "flow run"
    """The Prefect server shows it, or a stage of a run, as under way."""
    JOBS = "jobs"
    """They are in the pool's queue."""
    KEYS = "keys"
    """They were of a crew's connections."""
    LEASES = "leases"
    """They are on files of the shared store."""


@dataclass(frozen=True)
class Finding:
    """Something that somebody has left, or may have.

    Parameters
    ----------
    what, why
        Which thing, and how it is known that nobody looks after it, or why that is not known.
    outcome
        What becomes of it; empty for what is left alone.
    settle
        Does that.
    """

    kind: Kind
    what: str
    why: str
    outcome: str = ""
    settle: Callable[[], object] | None = None


def reconcile(profile: Profile, *, dry_run: bool = False, worker: str = "") -> tuple[Finding, ...]:
    """Settle what the dead have left in an environment; return all that was found.

    Parameters
    ----------
    dry_run
        Whether to settle nothing.
    worker
        The name of a worker that is known not to run, and nothing that it started.

    Raises
    ------
    Transient
        The catalog or the Prefect server does not answer: nothing was settled, or not all of it.
    Refused
        They do not let us in.
    """
    with ExitStack() as stack:
        runs = Runs(stack.enter_context(client_of(profile)), profile) if profile.prefect.api_url else None
        found = tuple(_Look(profile, runs, worker).all())
        return found if dry_run else tuple(map(_settled, found))


def _settled(finding: Finding) -> Finding:
    """Settle what was found; jobs may be another account's, or the pool away, which is nothing to the rest."""
    try:
        if finding.settle:
            finding.settle()
    except PpiError as error:
        if finding.kind is not Kind.JOBS:
            raise
        return Finding(finding.kind, finding.what, f"{finding.why}, but {error}")
    return finding


def running(profile: Profile) -> tuple[Record, ...]:
    """Return what the catalog shows as running, whoever is behind it."""
    if not database_of(profile).exists:
        return ()
    return catalog_of(profile).look_up(Wanted(states=frozenset({State.RUNNING})), lambda _: True)


class _Look:
    """One look at an environment."""

    def __init__(self, profile: Profile, runs: Runs | None, worker: str) -> None:
        self._profile, self._runs, self._worker = profile, runs, worker
        self._executions = running(profile)

    def all(self) -> Iterator[Finding]:
        yield from self._of_catalog()
        yield from self._of_server()
        yield from self._of_pool()
        yield from self._of_disk()

    def _of_catalog(self) -> Iterator[Finding]:
        catalog = (
            catalog_of(self._profile, tell=partial(tell, profile=self._profile)) if self._executions else None
        )
        for record in self._executions:
            sight = self._sight(record)
            if catalog and sight.gone:
                yield _interrupted(catalog, record, sight, cancelled=self._was_cancelled(record.flow_run))
            elif sight.gone is None:
                yield Finding(Kind.EXECUTION, _called(record), sight.why)

    def _sight(self, record: Record) -> Sight:
        sight = processes.of_execution(record, self._profile)
        if sight.gone is None and self._has_ended(record.flow_run):
            return Sight(True, "its run has ended, as the Prefect server says")
        return sight

    def _of_server(self) -> Iterator[Finding]:
        if not self._runs:
            return
        under_way = self._runs.underway()
        records = {record.flow_run: record for record in self._executions}
        for run in under_way:
            record = records.get(str(run.id))
            sight = self._sight(record) if record else processes.of_run(run, self._profile, self._worker)
            yield from self._judged(self._runs, run, sight)
        known = {stage.id for stage in self._runs.stages([run.id for run in under_way])}
        for stage, run in self._runs.left_stages(known):
            yield _ended(self._runs, stage, run.state_type, f"its run {run.name} has ended")

    def _judged(self, runs: Runs, run: FlowRun, sight: Sight) -> Iterator[Finding]:
        if sight.gone:
            state = StateType.CANCELLED if run.state_type is StateType.CANCELLING else StateType.CRASHED
            for each in (*runs.stages([run.id]), run):
                yield _ended(runs, each, state, sight.why)
        elif sight.gone is None:
            yield Finding(Kind.RUN, f"{run.name} ({run.id})", sight.why)

    def _of_pool(self) -> Iterator[Finding]:
        if self._profile.cluster.kind != "htcondor":
            return
        pool = pool_of(self._profile)
        try:
            jobs = pool.queue(Tag.constraint(profile=self._profile.name))
        except PpiError as error:
            yield Finding(Kind.JOBS, "the queue of the pool", str(error))
            return
        for orphan in orphans(jobs, self._has_ended):
            yield _removed(pool, self._profile, orphan)

    def _of_disk(self) -> Iterator[Finding]:
        for folder in dead_keys(log_directory(self._profile)):
            yield Finding(
                Kind.KEYS, str(folder), "the flow of their crew is gone", "removed", partial(_remove, folder)
            )
        store = shared_store(self._profile)
        if leases := store.left_by_the_dead():
            what = f"{leases} in {self._profile.processing.store_directory}"
            yield Finding(Kind.LEASES, what, "who held them is gone", "removed", store.clear_away)

    def _has_ended(self, run: str | None) -> bool:
        """Whether a run is known to have ended: its process is gone, or the server says so."""
        of_run = (record for record in self._executions if record.flow_run == run)
        if any(processes.of_execution(record, self._profile).gone for record in of_run):
            return True
        return self._runs is not None and _is_id(run) and self._runs.has_ended(run)

    def _was_cancelled(self, run: str | None) -> bool:
        return self._runs is not None and _is_id(run) and self._runs.was_cancelled(run)


def _called(record: Record) -> str:
    return f"{record.id}, {record.flow} {record.observation}"


def _interrupted(catalog: Catalog, record: Record, sight: Sight, *, cancelled: bool) -> Finding:
    settle = partial(catalog.interrupt, record.id, cancelled=cancelled)
    return Finding(Kind.EXECUTION, _called(record), sight.why, State.INTERRUPTED.value, settle)


def _ended(runs: Runs, run: FlowRun, state: StateType | None, why: str) -> Finding:
    ended = StateType.CANCELLED if state is StateType.CANCELLED else StateType.CRASHED
    settle = partial(runs.settle, run.id, ended, why)
    return Finding(Kind.RUN, f"{run.name} ({run.id})", why, ended.value.lower(), settle)


def _removed(pool: Pool, profile: Profile, orphan: Orphan) -> Finding:
    tag = orphan.jobs[0].tag
    of = f" of {tag.flow} {tag.observation} {tag.stage}" if tag else ""
    what = f"{', '.join(job.id for job in orphan.jobs)}{of}"
    if not orphan.is_certain:
        return Finding(Kind.JOBS, what, orphan.why)
    settle = partial(pool.remove, Tag.constraint(profile=profile.name, crew=orphan.crew), "its flow is gone")
    return Finding(Kind.JOBS, what, orphan.why, "removed", settle)


def _remove(folder: Path) -> None:
    with contextlib.suppress(FileNotFoundError):  # somebody else was faster
        disk.remove(folder)


def _is_id(run: str | None) -> bool:
    try:
        return bool(run and UUID(run))
    except ValueError:
        return False

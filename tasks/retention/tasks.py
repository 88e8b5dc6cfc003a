"""What is cleared away of a profile's environment, and for how long its profile wants it kept."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import chain

from blocks.profile import Profile
from tasks import disk
from tasks._task import task
from tasks.catalog.needs import Needs, needs
from tasks.catalog.outbox import Outbox
from tasks.catalog.tasks import known_database_of
from tasks.cluster.tasks import log_directory
from tasks.ngas.tasks import shared_store
from tasks.report.units import bytes_of
from tasks.retention import leftovers, shared
from tasks.retention._task_runs import Runs
from tasks.retention.attempts import Attempts, Terms
from tasks.retention.cleaning import Cleaning
from tasks.retention.joblogs import JobLogs
from tasks.retention.model import Finding, Look, Part
from tasks.workspace.layout import Area

__all__ = ["alone", "as_task", "cleaning_of"]


def cleaning_of(profile: Profile, *, dry_run: bool, now: datetime | None = None) -> Cleaning:
    """Return the clean-up of a profile's environment.

    Parameters
    ----------
    now
        The time at which all ages are taken; the present one by default.
    """
    return Cleaning(profile.name, _looks(profile, now or datetime.now(UTC)), dry_run=dry_run)


@contextmanager
def alone(profile: Profile) -> Iterator[None]:
    """Keep every other clean-up of the environment off it.

    Raises
    ------
    Transient
        There is one.
    """
    area = Area(profile.processing.root_directory)
    area.make()
    with disk.exclusive(area.root / ".locks" / "housekeeping", f"the clean-up of {profile.name}"):
        yield


def as_task(name: str, work: Callable[[], None]) -> None:
    """Do a piece of a clean-up as a task of the flow at hand."""

    @task(name)
    def clear_away() -> None:
        work()

    clear_away()


def _looks(profile: Profile, now: datetime) -> Mapping[Part, Look]:
    area, terms, limit = Area(profile.processing.root_directory), profile.retention, profile.processing.store_limit

    def ask(observations: Collection[str] = ()) -> Needs:
        return _needs(profile, observations)

    attempts = Attempts(area, ask, _terms(profile), now)
    logs = JobLogs(log_directory(profile), lambda: ask().runs, timedelta(days=terms.jobs_days), now)
    store, most = shared_store(profile), bytes_of(limit) if limit else None
    return {
        Part.LEFTOVERS: lambda: chain(leftovers.of_area(area, now), leftovers.of_trash(area.root, now)),
        Part.ATTEMPTS: attempts.look,
        Part.LOGS: lambda: chain(logs.look(), leftovers.of_trash(logs.directory, now)),
        Part.MESSAGES: lambda: _messages(profile, now),
        Part.RUNS: lambda: _runs(profile, lambda: ask().runs, now),
        Part.STORE: lambda: shared.of_store(store, profile.processing.store_directory, most),
    }


def _terms(profile: Profile) -> Terms:
    kept = profile.retention
    limit = bytes_of(kept.attempts_limit) if kept.attempts_limit else None
    return Terms(timedelta(days=kept.attempts_days), limit)


def _needs(profile: Profile, observations: Collection[str]) -> Needs:
    """Ask the profile's catalog; one that was not made yet needs nothing."""
    database = known_database_of(profile)
    return needs(database, observations) if database else Needs()


def _messages(profile: Profile, now: datetime) -> Iterable[Finding]:
    if not (database := known_database_of(profile)):
        return ()
    return shared.of_messages(Outbox(database), timedelta(days=profile.retention.messages_days), now)


def _runs(profile: Profile, ask: Callable[[], frozenset[str]], now: datetime) -> Iterable[Finding]:
    if not (server := profile.prefect.api_url):
        return ()
    return Runs(profile.name, server, ask, timedelta(days=profile.prefect.retention_days), now).look()

"""Sweeping as a profile says: its archive, its catalog, its limits."""

from __future__ import annotations

from datetime import UTC, datetime

from blocks.profile import Profile
from tasks.alma.ids import EntityId
from tasks.alma.tasks import metadata_of
from tasks.catalog.book import Book
from tasks.catalog.catalog import IsHeld
from tasks.catalog.tasks import catalog_of, database_of
from tasks.errors import Refused
from tasks.sweep import Launcher, Swept, Terms, backfill, sweep
from tasks.workspace.layout import Area

__all__ = ["sweep_profile"]


def sweep_profile(
    profile: Profile,
    workflow: str,
    launcher: Launcher | None,
    since: datetime | None = None,
    until: datetime | None = None,
    *,
    dry_run: bool = False,
) -> Swept:
    """Sweep an environment; or ask for all that became public in a time, which the next sweeps launch.

    Parameters
    ----------
    workflow
        What is asked for.
    launcher
        Where runs are started; None to start none.
    since, until
        The time, if one is given: then or later, and before that; by default until now. A time that names no zone
        is UTC.
    dry_run
        Only look.

    Raises
    ------
    Refused
        There is an end without a beginning, or the beginning is not before the end.
    Transient
        The archive's tables or the catalog cannot be reached; what is done until then holds.
    """
    now = datetime.now(UTC)
    begins, ends = _range(since, until, now)
    catalog_of(profile)
    archive, book, terms = metadata_of(profile), Book(database_of(profile)), _terms(profile, workflow)
    if begins:
        return backfill(archive, book, terms, begins, ends, now, dry_run=dry_run)
    return sweep(archive, book, terms, now, launcher, _is_held(profile), dry_run=dry_run)


def _range(since: datetime | None, until: datetime | None, now: datetime) -> tuple[datetime | None, datetime]:
    begins, ends = (moment and _aware(moment) for moment in (since, until))
    if ends and not begins:
        raise Refused("a time to sweep", "it has an end and no beginning", "say since when, too")
    ends = min(ends or now, now)
    if begins and begins >= ends:
        raise Refused(
            "a time to sweep", "it begins when it is over, or has not come yet", "say since when, before that"
        )
    return begins, ends


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _terms(profile: Profile, workflow: str) -> Terms:
    return Terms(
        profile=profile.name,
        workflow=workflow,
        allowed_projects=profile.access.projects,
        audit_size=profile.sweep.audit_size,
        since=profile.sweep.since,
        most_runs=profile.sweep.most_runs,
    )


def _is_held(profile: Profile) -> IsHeld:
    area = Area(profile.processing.root_directory)
    return lambda observation: area.is_held(EntityId(observation))

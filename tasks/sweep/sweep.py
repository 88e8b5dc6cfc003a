"""A sweep from its beginning to its end, and the same of a time long past."""

from __future__ import annotations

from datetime import datetime

from tasks.alma.archive import MetadataArchive
from tasks.catalog.book import Book
from tasks.catalog.catalog import IsHeld
from tasks.sweep.account import Swept
from tasks.sweep.launch import launch
from tasks.sweep.look import backfilled, look, record
from tasks.sweep.model import Launcher, Terms
from tasks.sweep.settle import settle

__all__ = ["backfill", "sweep"]


def sweep(
    archive: MetadataArchive,
    book: Book,
    terms: Terms,
    now: datetime,
    launcher: Launcher | None,
    is_held: IsHeld,
    *,
    dry_run: bool = False,
) -> Swept:
    """Settle what runs left open, ask for what can be processed, and launch what limits allow.

    Parameters
    ----------
    now
        The time, aware.
    launcher
        Where runs are; None to start none.
    is_held
        Tells whether somebody works on an observation now.
    dry_run
        Only look.

    Raises
    ------
    Transient
        The archive's tables or the catalog cannot be reached; what is done until then holds.
    """
    swept = Swept()
    if launcher and not dry_run:
        swept.has_settled(settle(book, launcher, is_held, terms, now))
    found = look(archive, book, terms, now)
    swept.has_found(found, None if dry_run else record(book, found, terms, now))
    if launcher and not dry_run:
        swept.has_launched(launch(archive, book, launcher, terms, now, found.decisions))
    return swept


def backfill(
    archive: MetadataArchive,
    book: Book,
    terms: Terms,
    since: datetime,
    until: datetime,
    now: datetime,
    *,
    dry_run: bool = False,
) -> Swept:
    """Ask for all that became public in a time, and can be processed; the next sweeps launch it.

    Parameters
    ----------
    since, until
        Then or later, and not later than that.
    dry_run
        Only look.

    Raises
    ------
    Transient
        The archive's tables or the catalog cannot be reached; what is asked for until then is.
    """
    swept = Swept()
    for found in backfilled(archive, book, terms, since, until, now):
        swept.has_found(found, None if dry_run else record(book, found, terms, now))
    return swept

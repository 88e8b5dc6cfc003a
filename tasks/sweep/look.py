"""Looking for what can be processed: what has become public, and a page of everything, for all the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from tasks.alma.access import Decision, decide
from tasks.alma.archive import MetadataArchive
from tasks.alma.model import Evidence
from tasks.alma.survey import Audit, Releases, Survey
from tasks.catalog.book import Book, Mark
from tasks.catalog.request import SWEEP, Ask, Change
from tasks.catalog.request_states import RequestState
from tasks.sweep.model import Terms

__all__ = ["Found", "backfilled", "look", "record"]

_RELEASES, _AUDIT = "releases", "audit"
_PAGE: Final = 10_000
"""So many releases are looked at at once."""


@dataclass(frozen=True)
class Found:
    """What one look has found; nothing of it is written down yet.

    Parameters
    ----------
    decisions
        On each observation that was looked at.
    asks
        What can be processed, and was not asked for yet.
    again
        What can be processed again, after it was withdrawn.
    withdrawn
        What was asked for and may not be processed now, with the reason.
    left
        How many can be processed and are left to people, since they became public long ago.
    marks
        How far the look has come.
    more
        Whether the next look will find more, even if nothing happens.
    """

    decisions: Mapping[str, Decision]
    asks: tuple[Ask, ...]
    again: tuple[Ask, ...]
    withdrawn: Mapping[str, str]
    left: int
    marks: tuple[Mark, ...]
    more: bool


def look(archive: MetadataArchive, book: Book, terms: Terms, now: datetime) -> Found:
    """Find what there is to ask for and to withdraw; writes nothing.

    Raises
    ------
    Transient
        The archive's tables or the catalog cannot be reached.
    """
    marks = book.marks()
    released = marks.get(_RELEASES, Mark(_RELEASES, terms.beginning))
    audited = marks.get(_AUDIT, Mark(_AUDIT))
    survey = archive.survey(Releases(_place(released), now, _PAGE), Audit(audited.place, terms.audit_size))
    reached = survey.released or (now, "")
    return _found(
        survey, book, terms, now, terms.beginning, (Mark(_RELEASES, *reached), Mark(_AUDIT, None, survey.audited))
    )


def backfilled(
    archive: MetadataArchive, book: Book, terms: Terms, since: datetime, until: datetime, now: datetime
) -> Iterator[Found]:
    """Look at all that became public in a time, page by page, however long ago that was; writes nothing.

    Parameters
    ----------
    since, until
        Then or later, and not later than that.
    """
    after: tuple[datetime, str] | None = (since, "")
    while after:
        survey = archive.survey(Releases(after, min(until, now), _PAGE), Audit(None, 0))
        yield _found(survey, book, terms, now, None, ())
        after = survey.released


def record(book: Book, found: Found, terms: Terms, now: datetime) -> tuple[Change, ...]:
    """Write down what was found, in one transaction."""
    return book.record((*found.asks, *found.again), now, found.withdrawn, found.marks, terms.workflow)


def _place(mark: Mark) -> tuple[datetime, str] | None:
    return (mark.moment, mark.place or "") if mark.moment else None


def _found(
    survey: Survey, book: Book, terms: Terms, now: datetime, beginning: datetime | None, marks: tuple[Mark, ...]
) -> Found:
    evidence = survey.evidence
    decisions = {mous: decide(each, terms.allowed_projects, now) for mous, each in evidence.items()}
    known = book.known(decisions, terms.workflow) if decisions else {}
    fresh = [mous for mous, decision in decisions.items() if decision.restorable and mous not in known]
    wanted = [mous for mous in fresh if not _is_old(evidence[mous], beginning)]
    again = [
        mous for mous, state in known.items() if state is RequestState.WITHDRAWN and decisions[mous].restorable
    ]
    return Found(
        decisions=decisions,
        asks=tuple(_ask(evidence[mous], decisions[mous], terms) for mous in wanted),
        again=tuple(_ask(evidence[mous], decisions[mous], terms) for mous in again),
        withdrawn={
            mous: decisions[mous].reason
            for mous, state in known.items()
            if state is RequestState.WAITING and not decisions[mous].restorable
        },
        left=len(fresh) - len(wanted),
        marks=marks,
        more=survey.released is not None,
    )


def _is_old(evidence: Evidence, beginning: datetime | None) -> bool:
    return bool(beginning and evidence.release_date and evidence.release_date < beginning)


def _ask(evidence: Evidence, decision: Decision, terms: Terms) -> Ask:
    return Ask(
        workflow=terms.workflow,
        observation=evidence.mous,
        project=evidence.project_code,
        origin=SWEEP,
        reason=decision.reason,
    )

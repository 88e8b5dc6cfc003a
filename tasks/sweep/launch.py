"""Launching what waits, as much as limits allow, after one more look at whether it may still be processed.

A request is taken as launched before its run is made, and the run is made with a key of that launch: a kill
between the two leaves a request without a run, for which the next sweep asks again with the same key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from tasks.alma.access import Decision, decide
from tasks.alma.archive import MetadataArchive
from tasks.catalog.book import Book, Filed
from tasks.errors import Missing, PpiError
from tasks.sweep.model import Launched, Launcher, Terms, key_of, put_back

__all__ = ["launch", "start"]

_LOOKED_AT: Final = 100
"""So many are looked at again, so that some that may not be processed any more do not keep others waiting."""
_GONE: Final = "the archive's tables do not have it, or not its status and project code"


def launch(
    archive: MetadataArchive,
    book: Book,
    launcher: Launcher,
    terms: Terms,
    now: datetime,
    judged: Mapping[str, Decision] | None = None,
) -> Launched:
    """Launch what is next; what may not be processed any more is withdrawn instead.

    Parameters
    ----------
    judged
        What was decided just now, and need not be looked at again.

    Raises
    ------
    Transient
        The archive's tables or the catalog cannot be reached; whatever was launched is so.
    """
    done = Launched()
    waiting = book.candidates(terms.workflow, max(_LOOKED_AT, terms.most_runs), now)
    refused = _refused(archive, waiting, terms, now, judged or {})
    if refused:
        done.changes += book.record((), now, refused, workflow=terms.workflow)
    fit = {request.id: request for request in waiting if request.observation not in refused}
    if fit:
        changes = book.launch(tuple(fit), terms.most_runs, now)
        done.changes += changes
        start(book, launcher, [_launched(fit[change.number]) for change in changes], terms, now, done)
    return done


def start(
    book: Book, launcher: Launcher, requests: Sequence[Filed], terms: Terms, now: datetime, done: Launched
) -> None:
    """Make the runs of requests that are launched; if the server or the deployment is away, the next sweep does.

    Parameters
    ----------
    done
        Where it is noted what was done.
    """
    noted = {}
    for request in requests:
        try:
            noted[request.id] = done.runs[request.observation] = launcher.launch(request, key_of(request, terms))
        except PpiError as error:
            done.failures.append(f"{request.observation} could not be launched: {error}")
            if error.retry_helps or isinstance(error, Missing):  # it is nothing about this request
                break
            done.changes += put_back(book, request, str(error), now)
    book.note_runs(noted)


def _launched(request: Filed) -> Filed:
    """Return a request that waited as it is now."""
    counts = {"tries": request.tries + 1, "launches": request.launches + 1, "processing_id": None}
    return request.model_copy(update=counts)


def _refused(
    archive: MetadataArchive,
    requests: Sequence[Filed],
    terms: Terms,
    now: datetime,
    judged: Mapping[str, Decision],
) -> dict[str, str]:
    unjudged = [request.observation for request in requests if request.observation not in judged]
    evidence = archive.evidence(unjudged) if unjudged else {}
    fresh = {mous: decide(each, terms.allowed_projects, now) for mous, each in evidence.items()}
    decisions: dict[str, Decision] = {**judged, **fresh}
    reasons = {request.observation: _reason(decisions.get(request.observation)) for request in requests}
    return {observation: reason for observation, reason in reasons.items() if reason}


def _reason(decision: Decision | None) -> str | None:
    if decision is None:
        return _GONE
    return None if decision.restorable else decision.reason

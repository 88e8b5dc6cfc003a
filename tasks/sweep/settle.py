"""Settling requests whose runs ended without a word, or were never made.

A run brings its own request to its end. What crashed, was cancelled before it began, or lost its server cannot,
and is settled here by what the catalog has of the run, and else by what the server says. What neither knows to
have succeeded has not.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from tasks.catalog.book import Book, Filed, Outcome
from tasks.catalog.catalog import IsHeld
from tasks.catalog.request import TRIES, Change
from tasks.catalog.request_states import RequestState
from tasks.catalog.states import State
from tasks.errors import PpiError
from tasks.sweep.launch import start
from tasks.sweep.model import Launched, Launcher, RunEnd, Terms, put_back

__all__ = ["settle"]

_WITHOUT_RECORD: Final = {
    RunEnd.COMPLETED: "its run ended, and the catalog has no result of it",
    RunEnd.FAILED: "its run failed before it could say why",
    RunEnd.CRASHED: "its run crashed",
    RunEnd.UNKNOWN: "the Prefect server does not know its run",
}


def settle(book: Book, launcher: Launcher, is_held: IsHeld, terms: Terms, now: datetime) -> Launched:
    """Settle what is launched or running by the catalog, and is not by the server; make runs that are missing.

    Parameters
    ----------
    is_held
        Tells whether somebody works on an observation now; what is worked on is left alone.

    Raises
    ------
    Transient
        The catalog cannot be reached. A server that cannot be is one of the failures.
    """
    done = Launched()
    active = book.active()
    running = {request.processing_id: request for request in active if request.processing_id}
    try:
        ends = launcher.ends(tuple(running)) if running else {}
    except PpiError as error:
        done.failures.append(f"how runs ended is not known: {error}")
        return done
    outcomes = book.outcomes(tuple(ends)) if ends else {}
    for run, end in ends.items():
        if not is_held(running[run].observation):
            done.changes += _settled(book, running[run], end, outcomes.get(run), now)
    missing = [one for one in active if one.state is RequestState.LAUNCHED and not one.processing_id]
    start(book, launcher, missing, terms, now, done)
    return done


def _settled(
    book: Book, request: Filed, end: RunEnd, outcome: Outcome | None, now: datetime
) -> tuple[Change, ...]:
    state = outcome.state if outcome else None
    why = (outcome and outcome.error) or _WITHOUT_RECORD.get(end, "")
    if state in (State.SUCCEEDED, State.UNCHANGED):
        return book.settle(request, RequestState.SUCCEEDED, now, "delivered")
    if state is State.REFUSED and request.tries < TRIES:
        return book.settle(request, RequestState.WITHDRAWN, now, why)
    if state in (State.REFUSED, State.FAILED):
        return book.settle(request, RequestState.FAILED, now, why)
    if end is RunEnd.CANCELLED:
        return book.settle(request, RequestState.CANCELLED, now, "its run was cancelled")
    return put_back(book, request, why, now)

"""What of an environment is still needed, as its catalog says: asked before anything is cleared away."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from sqlmodel import Session, col, or_, select

from tasks.catalog.connection import Database
from tasks.catalog.lists import words_of
from tasks.catalog.request_states import ACTIVE, OPEN, RequestState
from tasks.catalog.states import State
from tasks.catalog.tables import ExecutionRow, RequestRow

__all__ = ["Needs", "needs"]

_INGESTING: Final = "running"


@dataclass(frozen=True)
class Needs:
    """What a catalog says of some observations, and of all runs that are under way.

    Parameters
    ----------
    wanted
        Observations on which somebody works or is to, each with how that is known.
    given_up
        Observations of which a person has cancelled every request, each with when.
    runs
        Prefect's ids of the runs that are under way, or that a request counts on.
    """

    wanted: Mapping[str, str] = field(default_factory=dict)
    given_up: Mapping[str, datetime] = field(default_factory=dict)
    runs: frozenset[str] = frozenset()


def needs(database: Database, observations: Collection[str] = ()) -> Needs:
    """Ask a catalog that is up to date; three statements, whatever there is.

    Raises
    ------
    Transient
        It cannot be reached.
    """
    with database.reading() as connection, Session(connection) as session:
        running = select(ExecutionRow.observation, ExecutionRow.flow_run).where(
            col(ExecutionRow.state) == State.RUNNING
        )
        works = session.exec(running).all()
        wanted, given_up = _asked(session, observations)
        at_work = {observation: "the catalog shows a run of it as running" for observation, _ in works}
        runs = {run for _, run in works} | _counted_on(session)
        return Needs(wanted | at_work, given_up, frozenset(run for run in runs if run))


def _asked(session: Session, observations: Collection[str]) -> tuple[dict[str, str], dict[str, datetime]]:
    words = words_of(session, observations)
    chosen = select(RequestRow.observation, RequestRow.state, RequestRow.changed).where(
        col(RequestRow.observation).in_(select(words.c.value))
    )
    asked: dict[str, list[tuple[RequestState, datetime]]] = defaultdict(list)
    for observation, state, changed in session.exec(chosen):
        asked[observation].append((RequestState(state), changed))
    wanted = {
        observation: f"its request is {state}"
        for observation, all_ in asked.items()
        for state, _ in all_
        if state in OPEN
    }
    given_up = {
        observation: max(changed for _, changed in all_)
        for observation, all_ in asked.items()
        if {state for state, _ in all_} == {RequestState.CANCELLED}
    }
    return wanted, given_up


def _counted_on(session: Session) -> set[str | None]:
    active = or_(col(RequestRow.state).in_(ACTIVE), col(RequestRow.ingestion_state) == _INGESTING)
    chosen = select(RequestRow.processing_id, RequestRow.ingestion_id).where(active)
    return {run for row in session.exec(chosen) for run in row}

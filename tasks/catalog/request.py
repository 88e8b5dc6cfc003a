"""What is asked for: which workflow on which observation, by whom, how urgently, and what became of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel, ConfigDict
from sqlalchemy import BigInteger, Dialect, String, Text, TypeDecorator
from sqlmodel import Field, SQLModel

from tasks.catalog.model import Utc
from tasks.catalog.request_states import RequestState

__all__ = ["ANNOUNCEMENT", "SWEEP", "TRIES", "Ask", "Change", "Request"]

SWEEP: Final = "sweep"
ANNOUNCEMENT: Final = "announcement"
"""The origins of what no person asked for."""
TRIES: Final = 3
"""How often a request is launched by itself, until a person says again."""


class _RequestStateText(TypeDecorator[RequestState]):
    """A state, kept as its word."""

    impl = String(16)
    cache_ok = True

    def process_bind_param(self, value: RequestState | None, dialect: Dialect) -> str | None:
        """Write the word."""
        return None if value is None else RequestState(value).value

    def process_result_value(self, value: str | None, dialect: Dialect) -> RequestState | None:
        """Read the word."""
        return None if value is None else RequestState(value)


class Ask(BaseModel):
    """Something that is to be done.

    Parameters
    ----------
    workflow
        The flow, as in ``restore-ous``.
    observation, project
        What it is done to; the project's code, where that is known.
    origin
        Who asks: ``sweep``, ``announcement``, or a person's account.
    priority
        The higher, the sooner.
    reason
        Why it is asked for, in a few words.
    """

    model_config = ConfigDict(frozen=True)

    workflow: str
    observation: str
    project: str | None = None
    origin: str
    priority: int = 0
    reason: str | None = None


def _text(**options: Any) -> Any:
    return Field(sa_type=Text, **options)


class Request(SQLModel):
    """A request; there is at most one for each workflow and observation.

    Parameters
    ----------
    workflow, observation, project, origin, priority, reason
        As in `Ask`; afterwards the reason is that of the state.
    state
        What became of it.
    asked, changed
        When it was asked for, and when it came to its state; UTC.
    due
        Before then it is not launched.
    turn
        Its place among others of the same priority: those of one project have distant turns, so that all projects
        have theirs.
    tries
        How often it was launched since a person last asked for it.
    launches
        How often it was launched in all.
    processing_id
        Prefect's id of the run that works on it, or did last.
    stage, told
        What that run does, and when it said so.
    ingestion_id, ingestion_state
        The same of the archiving of what it made: a run, and ``running``, ``complete`` or ``failed``.
    """

    workflow: str = Field(sa_type=String(64))
    observation: str = Field(sa_type=String(64))
    project: str | None = Field(default=None, sa_type=String(64))
    origin: str = _text()
    priority: int = 0
    reason: str | None = _text(default=None)
    state: RequestState = Field(default=RequestState.WAITING, sa_type=_RequestStateText)
    asked: datetime = Field(sa_type=Utc)
    changed: datetime = Field(sa_type=Utc)
    due: datetime = Field(sa_type=Utc)
    turn: int = Field(default=0, sa_type=BigInteger)
    tries: int = 0
    launches: int = 0
    processing_id: str | None = Field(default=None, sa_type=String(36))
    stage: str | None = _text(default=None)
    told: datetime | None = Field(default=None, sa_type=Utc)
    ingestion_id: str | None = Field(default=None, sa_type=String(36))
    ingestion_state: str | None = Field(default=None, sa_type=String(16))


class Change(BaseModel):
    """A request's change of state, as it is told of.

    Parameters
    ----------
    number
        The request's.
    before, state
        None for a request that is new.
    """

    model_config = ConfigDict(frozen=True)

    number: int
    workflow: str
    observation: str
    project: str | None
    before: RequestState | None
    state: RequestState
    reason: str | None = None

"""Changing the state of requests: many at once, only as it is drawn, and telling of each."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Integer
from sqlmodel import Session, col, select, update

from tasks.catalog.lists import field, rows_of
from tasks.catalog.request import Change
from tasks.catalog.request_states import RequestState, before
from tasks.catalog.tables import RequestRow

__all__ = ["change_of", "move"]


def move(
    session: Session,
    chosen: ColumnElement[bool],
    state: RequestState,
    now: datetime,
    among: Collection[RequestState] | None = None,
    reason: str | Mapping[str, str] | None = None,
    values: Mapping[str, Any] | None = None,
) -> tuple[Change, ...]:
    """Change the state of requests, and whatever else of them; those that may not come to it stay as they are.

    Parameters
    ----------
    chosen
        Which requests.
    state
        What they come to.
    now
        When.
    among
        Only those in one of these states.
    reason
        Why, for all of them or by observation; None leaves what they have.
    values
        What else becomes of them.
    """
    allowed = before(state) if among is None else before(state) & set(among)
    wanted = select(RequestRow).where(chosen, col(RequestRow.state).in_(allowed)).order_by(col(RequestRow.id))
    rows = session.exec(wanted.with_for_update()).all()
    changes = tuple(change_of(row, row.state, state, _reason(row, reason)) for row in rows)
    if changes:
        listed = rows_of(session, [{"id": change.number, "reason": change.reason} for change in changes])
        each = update(RequestRow).where(col(RequestRow.id) == field(listed, "id", Integer))
        session.exec(
            each.values(state=state, changed=now, reason=field(listed, "reason"), **(values or {})),
            execution_options={"synchronize_session": False},
        )
        session.expire_all()
    return changes


def _reason(row: RequestRow, reason: str | Mapping[str, str] | None) -> str | None:
    if reason is None:
        return row.reason
    return reason if isinstance(reason, str) else reason[row.observation]


def change_of(row: RequestRow, old: RequestState | None, state: RequestState, reason: str | None) -> Change:
    """Return what is told of a request that comes to a state."""
    return Change(
        number=row.id or 0,
        workflow=row.workflow,
        observation=row.observation,
        project=row.project,
        before=old,
        state=state,
        reason=reason,
    )

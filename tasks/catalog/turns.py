"""Turns: whose request comes next among those of the same priority, so that each project has its own."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import BigInteger, Integer, ScalarSelect, cast, func, literal, union_all
from sqlmodel import Session, col, select, update

from tasks.catalog.lists import field, rows_of, words_of
from tasks.catalog.request_states import ACTIVE, OPEN, RequestState
from tasks.catalog.tables import RequestRow

__all__ = ["catch_up", "new_turns", "served"]


def new_turns(session: Session, projects: Sequence[str | None]) -> list[int]:
    """Return a turn for a new request of each: after its last open one, and not before what is being served."""
    words = words_of(session, {project or "" for project in projects})
    of_open = (
        select(RequestRow.project, func.max(RequestRow.turn))
        .where(col(RequestRow.project).in_(select(words.c.value)), col(RequestRow.state).in_(OPEN))
        .group_by(col(RequestRow.project))
    )
    found = session.execute(union_all(of_open, select(literal(None), _served())))
    last: dict[str | None, int] = {row[0]: row[1] for row in found}  # None: what is being served
    turns = []
    for project in projects:
        name = project or ""
        last[name] = max(last.get(name, -1) + 1, last[None])
        turns.append(last[name])
    return turns


def served(session: Session) -> int:
    """Return the turn that is being served; who comes into the queue now has none before it."""
    return int(session.exec(select(_served())).one())


def _served() -> ScalarSelect[Any]:
    waiting = select(func.min(RequestRow.turn)).where(col(RequestRow.state) == RequestState.WAITING)
    active = select(func.max(RequestRow.turn)).where(col(RequestRow.state).in_(ACTIVE))
    return select(func.coalesce(waiting.scalar_subquery(), active.scalar_subquery(), 0)).scalar_subquery()


def catch_up(session: Session, numbers: Collection[int]) -> None:
    """Give new turns to those of some requests that had theirs long ago; to be called before they wait again."""
    ids = words_of(session, [str(number) for number in numbers])
    late = select(RequestRow.id, RequestRow.project).where(
        col(RequestRow.id).in_(select(cast(ids.c.value, Integer))), col(RequestRow.turn) < served(session)
    )
    rows = session.exec(late.order_by(col(RequestRow.turn), col(RequestRow.id))).all()
    if not rows:
        return
    turns = new_turns(session, [project for _, project in rows])
    listed = rows_of(session, [{"id": row[0], "turn": turn} for row, turn in zip(rows, turns, strict=True)])
    each = update(RequestRow).where(col(RequestRow.id) == field(listed, "id", Integer))
    session.exec(
        each.values(turn=field(listed, "turn", BigInteger)), execution_options={"synchronize_session": False}
    )
    session.expire_all()

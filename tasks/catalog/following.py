"""A request follows the run that works on it: in the run's own transactions it is moved, and told of.

Only the run that holds the request moves it: the one that began last. Where there is a broker, messages for it are
written to the outbox.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from tasks.catalog import outbox
from tasks.catalog.model import Stage
from tasks.catalog.moves import change_of, move
from tasks.catalog.request import ANNOUNCEMENT, SWEEP, TRIES, Change
from tasks.catalog.request_states import RequestState
from tasks.catalog.states import State
from tasks.catalog.tables import ExecutionRow, RequestRow
from tasks.catalog.turns import served
from tasks.errors import Refused

__all__ = ["STAGES", "STATUS", "Following", "Remark"]

STATUS: Final = "workflow-status"
"""With a point and the workflow's name, the routing key of what is told of runs."""
STAGES: Final = {"gather": "gathering data", "process": "running casa", "finish": "post casa"}
"""What a run's stages are called to those who listen."""
_FIRST_PAUSE: Final = timedelta(minutes=5)
_DONE: Final = frozenset({State.SUCCEEDED, State.UNCHANGED})
_NOBODY: Final = "somebody"


@dataclass(frozen=True)
class Remark:
    """What a run knows of itself besides its record.

    Parameters
    ----------
    may_pass
        Whether what it failed of may have passed later.
    cancelled
        Whether a person has ended it.
    directory
        Where it works.
    """

    may_pass: bool = False
    cancelled: bool = False
    directory: str | None = None


@dataclass(frozen=True)
class _Fate:
    state: RequestState
    reason: str | None
    due: datetime


class Following:
    """What becomes of requests in one transaction on executions.

    Parameters
    ----------
    announces
        Whether there is a broker, to whom it is told.

    Attributes
    ----------
    changes
        The requests that were moved.
    """

    def __init__(self, session: Session, *, announces: bool) -> None:
        self._session, self._announces = session, announces
        self.changes: list[Change] = []

    def begun(self, execution: ExecutionRow, *, by_sweep: bool) -> None:
        """Let a run that begins have its request, whatever state that is in; one that nobody asked for is made.

        Parameters
        ----------
        by_sweep
            Whether a sweep launched it, and no person started it.

        Raises
        ------
        Refused
            A sweep launched it for a request that was cancelled since then.
        """
        request = self._request(execution) or self._made(execution)
        if request is None:
            return
        if by_sweep and request.state is RequestState.CANCELLED:
            why = f"it is cancelled: {request.reason}" if request.reason else "it is cancelled"
            todo = f"to do it after all: ppi queue retry {execution.observation}"
            raise Refused(f"the request for {execution.observation}", why, todo)
        launched = request.state is RequestState.LAUNCHED
        known = {"processing_id": execution.flow_run, "stage": None, "told": None}
        reason = None if launched else f"run by {execution.account or _NOBODY}"
        if request.state is RequestState.RUNNING:
            self._note(request, **known)
        else:
            self._move(request, RequestState.RUNNING, execution.started, reason=reason, values=known)

    def went_on(self, execution: ExecutionRow, stages: tuple[Stage, ...], remark: Remark) -> None:
        """Note the stages that a run has begun, and tell of those that were not told of yet."""
        request = self._held(execution)
        if request is None:
            return
        for stage in stages:
            fresh = stage.started and (request.told is None or stage.started > request.told)
            if fresh and stage.started and stage.name in STAGES:
                self._note(request, stage=STAGES[stage.name], told=stage.started)
                self._tell(request, execution, "running", stage.started, remark)
        if execution.project and not request.project:
            self._note(request, project=execution.project)

    def ended(self, execution: ExecutionRow, remark: Remark, now: datetime) -> None:
        """Bring the request of a run that has ended to what follows, and tell of the end.

        One that is not running any more, as when a person has cancelled it, stays what it is unless the run has
        done what was asked for.
        """
        request = self._held(execution)
        if request is None:
            return
        done = execution.state in _DONE
        self._tell(request, execution, "complete" if done else "failed", now, remark)
        fate = _fate(request, execution, remark, now)
        among = None if done else {RequestState.RUNNING}
        self._move(request, fate.state, now, among=among, reason=fate.reason, values={"due": fate.due})

    def _request(self, execution: ExecutionRow) -> RequestRow | None:
        same = (
            col(RequestRow.workflow) == execution.flow,
            col(RequestRow.observation) == execution.observation,
        )
        return self._session.exec(select(RequestRow).where(*same).with_for_update()).first()

    def _held(self, execution: ExecutionRow) -> RequestRow | None:
        request = self._request(execution)
        return request if request and request.processing_id in (None, execution.flow_run) else None

    def _made(self, execution: ExecutionRow) -> RequestRow | None:
        """Make a request for a run; return the one that somebody else has made at the same time."""
        who, now = execution.account or _NOBODY, execution.started
        made = RequestRow(
            id=None, workflow=execution.flow, observation=execution.observation, project=execution.project,
            origin=who, reason=f"run by {who}", state=RequestState.RUNNING, asked=now, changed=now, due=now,
            turn=served(self._session), processing_id=execution.flow_run,
        )  # fmt: skip
        try:
            with self._session.begin_nested():
                self._session.add(made)
        except IntegrityError:
            return self._request(execution)
        self.changes.append(change_of(made, None, made.state, made.reason))
        return None

    def _note(self, request: RequestRow, **known: Any) -> None:
        request.sqlmodel_update(known)
        self._session.add(request)
        self._session.flush()

    def _move(self, request: RequestRow, state: RequestState, now: datetime, **known: Any) -> None:
        self.changes += move(self._session, col(RequestRow.id) == request.id, state, now, **known)

    def _tell(
        self, request: RequestRow, execution: ExecutionRow, state: str, now: datetime, remark: Remark
    ) -> None:
        if not self._announces:
            return
        body = {
            "profile": execution.profile,
            "workflow": execution.flow,
            "observation": execution.observation,
            "project": execution.project or request.project,
            "request": request.id,
            "execution": execution.id,
            "flow_run": execution.flow_run,
            "state": state,
            "stage": request.stage,
            "directory": execution.delivery or remark.directory,
            "verdict": execution.verdict,
            "reason": _reason(execution),
            "time": now.isoformat(),
        }
        outbox.write(self._session, f"{STATUS}.{execution.flow}", body, now)


def _fate(request: RequestRow, execution: ExecutionRow, remark: Remark, now: datetime) -> _Fate:
    """Return what follows of an execution for its request.

    What a person ran in passing is not tried again by itself; what was launched for somebody who waits for it is.
    """
    reason, by_itself = _reason(execution), request.origin in (SWEEP, ANNOUNCEMENT) or request.tries > 0
    if execution.state in _DONE:
        return _Fate(RequestState.SUCCEEDED, reason, now)
    if execution.state is State.INTERRUPTED and (remark.cancelled or not by_itself):
        return _Fate(RequestState.CANCELLED, reason, now)
    if execution.state is State.FAILED and not (remark.may_pass and by_itself):
        return _Fate(RequestState.FAILED, reason, now)
    if request.tries >= TRIES:
        return _Fate(RequestState.FAILED, f"after {request.tries} tries: {reason}", now)
    if execution.state is State.REFUSED:
        return _Fate(RequestState.WITHDRAWN, reason, now)
    pause = _FIRST_PAUSE * 2**request.tries if execution.state is State.FAILED else timedelta(0)
    return _Fate(RequestState.WAITING, reason, now + pause)


def _reason(execution: ExecutionRow) -> str | None:
    if execution.state is State.UNCHANGED:
        return "it was delivered already"
    said = ": ".join(filter(None, (execution.verdict, "; ".join(execution.reasons))))
    return execution.error or said or None

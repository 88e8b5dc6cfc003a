"""The runs of an environment as its Prefect server knows them, those that nobody there has seen the end of."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas import filters
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.exceptions import ObjectNotFound
from prefect.flows import load_flow_from_entrypoint
from prefect.states import Cancelled, Cancelling, Crashed

from blocks.profile import Profile
from deployments.definitions import definitions

__all__ = ["UNDERWAY", "Runs", "worker_of"]

UNDERWAY: Final = (StateType.PENDING, StateType.RUNNING, StateType.CANCELLING)
"""What a process is behind, or was."""
_WAITING: Final = (StateType.SCHEDULED, StateType.PAUSED)
_PAGE: Final = 200
_AGAIN: Final = "run it again and it goes on where it was."
_WORKER: Final = "prefect.worker.name"


class Runs:
    """The runs of a profile's flows on its server.

    Parameters
    ----------
    client
        Of that server.
    profile
        The profile.
    """

    def __init__(self, client: SyncPrefectClient, profile: Profile) -> None:
        self._client = client
        names = [load_flow_from_entrypoint(each.entrypoint).name for each in definitions(profile)]
        self._flows = filters.FlowFilter(name=filters.FlowFilterName(any_=names))

    def underway(self) -> list[FlowRun]:
        """Return the runs that a process is behind, or was; not their stages."""
        return self._of_flows(UNDERWAY)

    def unended(self) -> list[FlowRun]:
        """Return the runs that may still do something, those that wait for a worker too; not their stages."""
        return self._of_flows((*UNDERWAY, *_WAITING))

    def stages(self, runs: Collection[UUID]) -> list[FlowRun]:
        """Return the stages of some runs that are under way."""
        of_runs = filters.FlowRunFilterParentFlowRunId(any_=list(runs))
        return self._found(filters.FlowRunFilter(state=_in(UNDERWAY), parent_flow_run_id=of_runs)) if runs else []

    def left_stages(self, but: Collection[UUID]) -> Iterator[tuple[FlowRun, FlowRun]]:
        """Yield the stages under way, but for some, of runs that have ended, each with its run."""
        of_any = filters.FlowRunFilterParentTaskRunId(is_null_=False)
        for stage in self._found(filters.FlowRunFilter(state=_in(UNDERWAY), parent_task_run_id=of_any)):
            run = None if stage.id in but else self._parent(stage)
            if run and run.state and run.state.is_final():
                yield stage, run

    def find(self, run: UUID) -> FlowRun | None:
        """Return a run, if the server knows it."""
        try:
            return self._client.read_flow_run(run)
        except ObjectNotFound:
            return None

    def has_ended(self, run: str | None) -> bool:
        """Tell whether the server knows that a run has ended."""
        found = self.find(UUID(run)) if run else None
        return bool(found and found.state and found.state.is_final())

    def was_cancelled(self, run: str | None) -> bool:
        """Tell whether the server knows that somebody has cancelled a run."""
        found = self.find(UUID(run)) if run else None
        return bool(found and found.state_type in (StateType.CANCELLING, StateType.CANCELLED))

    def cancel(self, run: UUID) -> None:
        """Ask for the end of a run, as the pages of Prefect do."""
        self._client.set_flow_run_state(run, Cancelling(), force=True)

    def settle(self, run: UUID, state: StateType, why: str) -> None:
        """Tell the server how a run ended that did not tell so itself; one that did meanwhile is left alone."""
        found = self.find(run)
        if found and found.state_type in UNDERWAY:
            ended: State[None] = (Cancelled if state is StateType.CANCELLED else Crashed)(
                message=f"{why}; {_AGAIN}"
            )
            self._client.set_flow_run_state(run, ended, force=True)

    def _of_flows(self, states: tuple[StateType, ...]) -> list[FlowRun]:
        of_none = filters.FlowRunFilterParentTaskRunId(is_null_=True)
        return self._found(filters.FlowRunFilter(state=_in(states), parent_task_run_id=of_none), self._flows)

    def _found(self, wanted: filters.FlowRunFilter, flows: filters.FlowFilter | None = None) -> list[FlowRun]:
        found: list[FlowRun] = []
        while page := self._client.read_flow_runs(
            flow_filter=flows, flow_run_filter=wanted, limit=_PAGE, offset=len(found)
        ):
            found += page
        return found

    def _parent(self, stage: FlowRun) -> FlowRun | None:
        try:
            task = self._client.read_task_run(stage.parent_task_run_id) if stage.parent_task_run_id else None
        except ObjectNotFound:
            return None
        return self.find(task.flow_run_id) if task and task.flow_run_id else None


def worker_of(run: FlowRun) -> str:
    """Return the name of the worker that took a run; empty for none."""
    return str(run.labels.get(_WORKER, ""))


def _in(states: tuple[StateType, ...]) -> filters.FlowRunFilterState:
    return filters.FlowRunFilterState(type=filters.FlowRunFilterStateType(any_=list(states)))

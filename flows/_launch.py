"""Runs of requests at the profile's Prefect server: started there, each once, and asked after."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Final
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import StateType
from prefect.exceptions import ObjectNotFound

from blocks.profile import Profile
from tasks.alma.ids import EntityId
from tasks.catalog.book import Filed
from tasks.errors import Missing, Transient
from tasks.sweep import RunEnd

__all__ = ["PrefectLauncher"]

_PAGE: Final = 200
_ENDS: Final[Mapping[StateType, RunEnd]] = {
    StateType.COMPLETED: RunEnd.COMPLETED,
    StateType.FAILED: RunEnd.FAILED,
    StateType.CRASHED: RunEnd.CRASHED,
    StateType.CANCELLED: RunEnd.CANCELLED,
}


class PrefectLauncher:
    """The runs of a profile's deployments, on the server at which this process's Prefect is pointed.

    Parameters
    ----------
    profile
        The environment.
    """

    def __init__(self, profile: Profile) -> None:
        self._profile, self._deployments = profile, dict[str, UUID]()

    def launch(self, request: Filed, key: str) -> str:
        """Start the run of a request; the same key gives the run that was started with it. Return its id.

        Raises
        ------
        Missing
            The workflow is not deployed.
        Transient
            The server does not answer.
        """
        observation = EntityId.parse(request.observation)
        with self._asking() as client:
            run = client.create_flow_run_from_deployment(
                self._deployment(client, request.workflow),
                parameters={"mous": str(observation)},
                name=f"{request.workflow.partition('-')[0]} {observation.short}",
                idempotency_key=key,
            )
        return str(run.id)

    def ends(self, runs: Collection[str]) -> dict[str, RunEnd]:
        """Return how runs ended; those under way, or to come, are left out.

        Raises
        ------
        Transient
            The server does not answer: nothing is known of any.
        """
        with self._asking() as client:
            states = dict(_states(client, runs))
        ended = {run: _ENDS[state] for run, state in states.items() if state and state in _ENDS}
        return ended | {run: RunEnd.UNKNOWN for run in runs if run not in states}

    def _deployment(self, client: SyncPrefectClient, workflow: str) -> UUID:
        if workflow not in self._deployments:
            name = f"{workflow}/{self._profile.name}"
            try:
                self._deployments[workflow] = client.read_deployment_by_name(name).id
            except ObjectNotFound as error:
                why, todo = "the Prefect server has none of this name", f"ppi deploy {self._profile.name}"
                raise Missing(f"deployment {name}", why, todo) from error
        return self._deployments[workflow]

    @contextmanager
    def _asking(self) -> Iterator[SyncPrefectClient]:
        try:
            with get_client(sync_client=True) as client:
                yield client
        except httpx.HTTPError as error:
            what = f"the Prefect server {self._profile.prefect.api_url} of profile {self._profile.name}"
            todo = f"see that it runs: ppi profile check {self._profile.name}"
            raise Transient(what, f"it does not answer ({type(error).__name__})", todo) from error


def _states(client: SyncPrefectClient, runs: Collection[str]) -> Iterator[tuple[str, StateType | None]]:
    remaining = (UUID(run) for run in runs)
    while page := list(islice(remaining, _PAGE)):
        wanted = FlowRunFilter(id=FlowRunFilterId(any_=page))
        for run in client.read_flow_runs(flow_run_filter=wanted, limit=_PAGE):
            yield str(run.id), run.state_type

"""Old runs at a Prefect server: they go with their logs, and never one that a request counts on.

A server that PPI serves does so itself (`deployments.serve.server`); for another one nobody else does.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas import filters
from prefect.client.schemas.objects import TERMINAL_STATES, FlowRun
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from tasks.errors import Transient
from tasks.retention.model import Cleared, Finding, Part

__all__ = ["Runs"]

_PAGE: Final = 200
_MOST: Final = 10_000
"""How many go at once; the next clean-up goes on."""
_RETRIES: Final = 5


@dataclass(frozen=True)
class Runs:
    """The runs of a profile, and their stages, at the server that this process talks to.

    Parameters
    ----------
    profile
        The profile's name, which each of them was given.
    server
        What the server is called.
    ask
        Says which runs are under way or counted on, by their ids.
    age
        How long those that have ended are kept.
    now
        The time at which all ages are taken.
    """

    profile: str
    server: str
    ask: Callable[[], frozenset[str]]
    age: timedelta
    now: datetime

    def look(self) -> Iterator[Finding]:
        """Find those that have ended long ago."""
        needed, old, counted_on = self.ask(), list[UUID](), 0
        with self._client() as client:
            for run in self._ended(client):
                counted_on += str(run.id) in needed
                old += [] if str(run.id) in needed else [run.id]
                if len(old) == _MOST:
                    break
        if counted_on:
            why = "requests count on them: the next sweep settles that"
            yield Finding(Part.RUNS, self.server, why, counted_on)
        if old:
            more = ", the first of them" if len(old) == _MOST else ""
            why = f"ended more than {self.age.days} days ago{more}"
            yield Finding(Part.RUNS, self.server, why, len(old), None, lambda: self._remove(old))

    def _ended(self, client: SyncPrefectClient) -> Iterator[FlowRun]:
        """Yield the profile's runs that ended long ago, in pages; others may have runs at the server too."""
        wanted = filters.FlowRunFilter(
            state=filters.FlowRunFilterState(type=filters.FlowRunFilterStateType(any_=sorted(TERMINAL_STATES))),
            end_time=filters.FlowRunFilterEndTime(before_=self.now - self.age),
        )
        offset = 0
        while page := client.read_flow_runs(
            flow_run_filter=wanted, sort=FlowRunSort.ID_DESC, limit=_PAGE, offset=offset
        ):
            offset += len(page)
            yield from (run for run in page if run.parameters.get("profile") == self.profile)

    def _remove(self, runs: Collection[UUID]) -> Cleared:
        needed, gone = self.ask(), 0
        try:
            with self._client() as client:
                for run in runs:
                    if str(run) not in needed:
                        with suppress(ObjectNotFound):
                            client.delete_flow_run(run)
                        gone += 1
        except Transient as error:
            return Cleared(gone, error=str(error))
        return Cleared(gone, left="" if gone == len(runs) else "requests count on the others")

    @contextmanager
    def _client(self) -> Iterator[SyncPrefectClient]:
        """Talk to the server.

        Raises
        ------
        Transient
            It does not answer, or not as it should.
        """
        try:
            with (
                temporary_settings({PREFECT_CLIENT_MAX_RETRIES: _RETRIES}),
                get_client(sync_client=True) as client,
            ):
                yield client
        except (httpx.HTTPError, PrefectException) as error:
            why = f"{type(error).__name__} {error}".strip()
            raise Transient(f"the Prefect server {self.server}", why, "see that it is well") from error

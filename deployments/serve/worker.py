"""The worker that runs an environment's flows on this host, after the environment is deployed."""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from blocks.profile import Profile
from deployments import prefect_server
from deployments.lifeline import Command
from deployments.serve.part import Part

__all__ = ["part"]

_SECONDS: Final = 120.0
_POLLING: Final = {"PREFECT_WORKER_QUERY_SECONDS": "2"}
"""How soon a run begins: Prefect's own 10 are long for who waits, and one question costs its server 10 ms."""
_UNDERWAY: Final = ("PENDING", "RUNNING", "CANCELLING")
_WORKER_OF: Final = "prefect.worker.name"
"""The label of a run that says which worker took it."""
_STOP: Final = (("SIGTERM", 15.0), ("SIGTERM", 3.0))
"""Its runs come first, since a worker kills them when it ends, and nobody is told what became of them."""


def part(profile: Profile, environment: Mapping[str, str], *, is_up: bool) -> Part:
    """Return the worker as a part of its environment.

    Parameters
    ----------
    is_up
        Whether another `ppi serve` on this host has one.
    """
    name, began = f"{profile.name}@{socket.gethostname()}", datetime.now(UTC)
    return Part(
        "worker",
        "worker",
        "worker",
        f"{name}, work pool {profile.prefect.work_pool}",
        True,
        lambda: is_up,
        lambda: _command(profile, name, environment),
        lambda: _is_online(profile, name, began),
        _SECONDS,
    )


def _command(profile: Profile, name: str, environment: Mapping[str, str]) -> Command:
    """Deploy, so that the worker finds its pool, its blocks and its flows as they are to be."""
    from deployments.deploy import deploy

    deploy(profile)
    _settle(profile, name)
    home = profile.processing.root_directory / ".prefect"
    start = ("-m", "prefect", "worker", "start", "--type", "process", "--pool", profile.prefect.work_pool)
    given = {**prefect_server.environment(profile, environment), "CAPO_PROFILE": profile.name, **_POLLING}
    return Command((sys.executable, *start, "--name", name), given, home, _STOP, children_first=True)


def _settle(profile: Profile, worker: str) -> None:
    """Tell the server what became of runs that an earlier worker of this name was killed with.

    Nothing else would, and they would count against the pool's limit for ever.
    """
    from prefect.client.orchestration import get_client
    from prefect.client.schemas import filters
    from prefect.client.schemas.objects import State
    from prefect.states import Crashed

    gone: State[None] = Crashed(
        message=f"Worker {worker} ended, and this run with it; run it again and it goes on where it was."
    )
    underway = filters.FlowRunFilterState(type=filters.FlowRunFilterStateType(any_=_UNDERWAY))
    in_pool = filters.WorkPoolFilter(name=filters.WorkPoolFilterName(any_=[profile.prefect.work_pool]))
    with get_client(sync_client=True) as client:
        found = client.read_flow_runs(
            flow_run_filter=filters.FlowRunFilter(state=underway), work_pool_filter=in_pool
        )
        runs = [run.id for run in found if run.labels.get(_WORKER_OF) == worker]
        of_runs = filters.FlowRunFilterParentFlowRunId(any_=runs)
        stages = client.read_flow_runs(
            flow_run_filter=filters.FlowRunFilter(state=underway, parent_flow_run_id=of_runs)
        )
        for run in (*(stage.id for stage in stages), *runs):
            client.set_flow_run_state(run, gone, force=True)


def _is_online(profile: Profile, name: str, began: datetime) -> bool:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        workers = client.read_workers_for_work_pool(profile.prefect.work_pool)
    return any(
        each.name == name and each.last_heartbeat_time and each.last_heartbeat_time > began for each in workers
    )

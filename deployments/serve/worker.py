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
    """Deploy, so that the worker finds its pool, its blocks and its flows as they are to be.

    What an earlier worker of this name was killed with is settled: nobody else would, and it would count against
    the pool's limit for ever.
    """
    from deployments.deploy import deploy
    from deployments.reconcile import reconcile

    deploy(profile)
    reconcile(profile, worker=name)
    home = profile.processing.root_directory / ".prefect"
    start = ("-m", "prefect", "worker", "start", "--type", "process", "--pool", profile.prefect.work_pool)
    given = {**prefect_server.environment(profile, environment), "CAPO_PROFILE": profile.name, **_POLLING}
    return Command((sys.executable, *start, "--name", name), given, home, _STOP, children_first=True)


def _is_online(profile: Profile, name: str, began: datetime) -> bool:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        workers = client.read_workers_for_work_pool(profile.prefect.work_pool)
    return any(
        each.name == name and each.last_heartbeat_time and each.last_heartbeat_time > began for each in workers
    )

"""A stage of a flow: a subflow with its own class of workers."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from prefect import flow
from prefect.futures import PrefectFuture
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from blocks.profile import Profile
from tasks.abandon import ending
from tasks.casa.launch import ending_children
from tasks.errors import Refused

__all__ = ["stage"]

P = ParamSpec("P")
R = TypeVar("R")
_WORKERS: dict[str, Callable[[Profile], int]] = {
    "transfer": lambda profile: profile.ngas.streams_per_server * len(profile.ngas.servers),
    "casa": lambda profile: profile.cluster.max_workers or os.cpu_count() or 1,
    "light": lambda _: 1,
}
"""How many tasks of a class run at once on one machine."""


def stage(
    name: str, resources: str
) -> Callable[[Callable[Concatenate[Profile, P], R]], Callable[Concatenate[Profile, P], R]]:
    """Make a subflow of a function whose first parameter is the profile.

    When it is interrupted or fails, its children end and its threads give up at once: the subflow waits for them.

    A stage lives and dies with the flow that calls it, in one process, so the flow's heartbeat is its own;
    a second one would cost each stage a second at its end.

    Parameters
    ----------
    name
        What users see of progress.
    resources
        The class of workers: ``transfer``, ``casa`` or ``light``.

    Raises
    ------
    Refused
        When it is called: the profile wants workers that are not to be had.
    """

    def decorate(function: Callable[Concatenate[Profile, P], R]) -> Callable[Concatenate[Profile, P], R]:
        def run(environment: Profile, /, *args: P.args, **kwargs: P.kwargs) -> R:
            _require_local(environment)
            runner: TaskRunner[PrefectFuture[Any]] = ThreadPoolTaskRunner(_WORKERS[resources](environment))  # type: ignore[assignment]

            @flow(name=name, flow_run_name=name, task_runner=runner, persist_result=False)
            def subflow(profile: str) -> R:
                with ending_children(), ending():
                    return function(environment, *args, **kwargs)

            with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
                return subflow(environment.name)

        return wraps(function)(run)

    return decorate


def _require_local(profile: Profile) -> None:
    if profile.cluster.kind != "local":
        raise Refused(
            f"cluster {profile.cluster.kind} of profile {profile.name}",
            "stages run on one machine only, so far",
            "set ppi.cluster.kind = local",
        )

"""A stage of a flow: a subflow with its own class of workers, which live as long as it does."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from prefect import flow
from prefect.futures import PrefectFuture
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from flows._server import await_server
from flows._workers import Case, threads, workers
from tasks.abandon import ending
from tasks.casa.launch import ending_children
from tasks.cluster.tasks import Class

__all__ = ["Case", "stage"]

P = ParamSpec("P")
R = TypeVar("R")


def stage(
    name: str, resources: Class
) -> Callable[[Callable[Concatenate[Case, P], R]], Callable[Concatenate[Case, P], R]]:
    """Make a subflow of a function whose first parameter is the case.

    When it is interrupted or fails, its children and jobs end and its threads give up at once: the subflow waits
    for them. Its tasks run in threads of this process; on a cluster these have their work done by jobs.

    A stage lives and dies with the flow that calls it, in one process, so the flow's heartbeat is its own;
    a second one would cost each stage a second at its end.

    Parameters
    ----------
    name
        What users see of progress.
    resources
        The class of its workers.
    """

    def decorate(function: Callable[Concatenate[Case, P], R]) -> Callable[Concatenate[Case, P], R]:
        def run(case: Case, /, *args: P.args, **kwargs: P.kwargs) -> R:
            runner: TaskRunner[PrefectFuture[Any]] = ThreadPoolTaskRunner(threads(case.profile, resources))  # type: ignore[assignment]

            @flow(name=name, flow_run_name=name, task_runner=runner, persist_result=False)
            def subflow(profile: str) -> R:
                with workers(case, name, resources), ending_children(), ending():
                    return function(case, *args, **kwargs)

            await_server()
            with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
                return subflow(case.profile.name)

        return wraps(function)(run)

    return decorate

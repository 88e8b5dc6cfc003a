"""The one decorator for Prefect tasks: retries by the kind of failure, and no results of Prefect's own.

What is finished is known by what lies in the processing directory, written last and atomically, not by a stored
Prefect result: such a record names the serializer that reads it, pickle included (docs/decisions/0001).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import prefect
from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import exponential_backoff

from tasks.errors import PpiError

__all__ = ["task"]

P = ParamSpec("P")
R = TypeVar("R")


def task(name: str, retries: int = 0) -> Callable[[Callable[P, R]], Task[P, R]]:
    """Make a Prefect task of a plain function.

    Parameters
    ----------
    name
        The task run's name; ``{parameter}`` fields are filled in.
    retries
        How often to try again what may help; none for what is patient by itself, as the archive's client is.
    """

    def decorate(function: Callable[P, R]) -> Task[P, R]:
        made: Task[P, R] = prefect.task(
            name=function.__name__.replace("_", "-"),
            task_run_name=name,
            retries=retries,
            retry_delay_seconds=exponential_backoff(2),
            retry_jitter_factor=0.5,
            retry_condition_fn=_retry_helps,
            cache_policy=NO_CACHE,
            persist_result=False,
        )(function)
        return made

    return decorate


def _retry_helps(_task: Task[Any, Any], _run: TaskRun, state: State[Any]) -> bool:
    error = state.result(raise_on_failure=False)
    return isinstance(error, PpiError) and error.retry_helps

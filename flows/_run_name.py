"""What runs on an observation are called: by what they do, and by the observation's short name."""

from __future__ import annotations

from collections.abc import Callable

from prefect.runtime import flow_run

from tasks.alma.ids import EntityId
from tasks.errors import PpiError

__all__ = ["of_observation"]


def of_observation(verb: str) -> Callable[[], str]:
    """Return what Prefect asks for the name of a run that has the parameter ``mous``, be that good or bad."""

    def name() -> str:
        mous = str(flow_run.parameters["mous"])
        try:
            return f"{verb} {EntityId.parse(mous).short}"
        except PpiError:
            return f"{verb} {mous}"

    return name

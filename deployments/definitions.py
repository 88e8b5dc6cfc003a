"""What is wanted of an environment: its flows as in `prefect.yaml`, and its work pool as in a file of its own.

`deployments.deploy` brings it to a server.
"""

from __future__ import annotations

from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, PositiveInt

from blocks.profile import Profile
from deployments import resource

__all__ = ["Definition", "Pool", "definitions", "pool"]


class _Wanted(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Pool(_Wanted):
    """An environment's work pool."""

    description: str
    concurrency_limit: PositiveInt | None = None


class PoolName(_Wanted):
    """Which work pool a deployment's runs wait in."""

    name: str


class Definition(_Wanted):
    """One deployment, in the words of `prefect.yaml`."""

    name: str
    entrypoint: str
    description: str
    tags: tuple[str, ...]
    parameters: dict[str, Any]
    work_pool: PoolName


def definitions(profile: Profile) -> tuple[Definition, ...]:
    """Return the deployments of an environment: those listed for it, or every flow there is."""
    listed = [entry for entry in _content()["deployments"] if entry["name"] == profile.name]
    entries = listed or [{**flow, **_common(profile)} for flow in _content()["definitions"]["flows"]]
    return tuple(Definition(**{**entry, "work_pool": {"name": profile.prefect.work_pool}}) for entry in entries)


def pool(profile: Profile) -> Pool:
    """Return the work pool of an environment: as in its own file, if PPI is shipped with it."""
    if any(entry["name"] == profile.name for entry in _content()["deployments"]):
        return Pool(**yaml.safe_load(resource(f"{profile.name}.yaml").read_text(encoding="utf-8")))
    return Pool(description=f"The environment of profile {profile.name}.")


def _common(profile: Profile) -> dict[str, Any]:
    known = dict.fromkeys(word.lower() for word in (profile.site, profile.environment) if word != "unknown")
    return {"name": profile.name, "tags": list(known), "parameters": {"profile": profile.name}}


def _content() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(resource("prefect.yaml").read_text(encoding="utf-8"))
    return content

"""What is wanted of an environment: its flows as in `prefect.yaml`, and its work pool as in a file of its own.

`deployments.deploy` brings it to a server.
"""

from __future__ import annotations

from typing import Any

import yaml
from prefect.client.schemas.objects import ConcurrencyLimitStrategy
from pydantic import BaseModel, ConfigDict, PositiveInt

from blocks.profile import Profile
from deployments import resource

__all__ = ["Definition", "Limit", "Pool", "Schedule", "definitions", "pool"]


class _Wanted(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Pool(_Wanted):
    """An environment's work pool.

    Parameters
    ----------
    concurrency_limit
        How many runs of its queue `default` go on at once; those of other queues do not count.
    """

    description: str
    concurrency_limit: PositiveInt | None = None


class PoolName(_Wanted):
    """Which work pool a deployment's runs wait in, and in which of its queues; else in `default`."""

    name: str
    work_queue_name: str | None = None


class Schedule(_Wanted):
    """When a deployment runs by itself.

    Parameters
    ----------
    slug
        By which it is known again, whatever else of it changes.
    cron
        In the words of cron.
    """

    slug: str
    cron: str
    timezone: str


class Limit(_Wanted):
    """How many runs of a deployment go on at once, and what becomes of one that is too many."""

    limit: PositiveInt
    collision_strategy: ConcurrencyLimitStrategy


class Definition(_Wanted):
    """One deployment, in the words of `prefect.yaml`."""

    name: str
    entrypoint: str
    description: str
    tags: tuple[str, ...]
    parameters: dict[str, Any]
    work_pool: PoolName
    schedules: tuple[Schedule, ...] = ()
    concurrency_limit: Limit | None = None


def definitions(profile: Profile) -> tuple[Definition, ...]:
    """Return the deployments of an environment: those listed for it, or every flow there is."""
    listed = [entry for entry in _content()["deployments"] if entry["name"] == profile.name]
    entries = listed or [{**flow, **_common(profile)} for flow in _content()["definitions"]["flows"]]
    return tuple(Definition(**{**entry, "work_pool": _pool_name(entry, profile)}) for entry in entries)


def pool(profile: Profile) -> Pool:
    """Return the work pool of an environment: as in its own file, if PPI is shipped with it."""
    if any(entry["name"] == profile.name for entry in _content()["deployments"]):
        return Pool(**yaml.safe_load(resource(f"{profile.name}.yaml").read_text(encoding="utf-8")))
    return Pool(description=f"The environment of profile {profile.name}.")


def _pool_name(entry: dict[str, Any], profile: Profile) -> dict[str, Any]:
    return {**entry.get("work_pool", {}), "name": profile.prefect.work_pool}


def _common(profile: Profile) -> dict[str, Any]:
    known = dict.fromkeys(word.lower() for word in (profile.site, profile.environment) if word != "unknown")
    return {"name": profile.name, "tags": list(known), "parameters": {"profile": profile.name}}


def _content() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(resource("prefect.yaml").read_text(encoding="utf-8"))
    return content

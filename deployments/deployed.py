"""One deployment on a Prefect server, compared with its definition, and made as that says.

Whether an operator has paused it, or switched a schedule of it off, is the operator's; it stays.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate, DeploymentScheduleUpdate, DeploymentUpdate
from prefect.client.schemas.objects import ConcurrencyOptions
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule
from prefect.exceptions import ObjectNotFound
from prefect.flows import Flow, load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema

from deployments.definitions import Definition, Schedule
from deployments.difference import Thing, compared, new

__all__ = ["DEFAULT_QUEUE", "deployment"]

DEFAULT_QUEUE: Final = "default"
"""The queue that every work pool has."""


def deployment(client: SyncPrefectClient, definition: Definition) -> Thing:
    """Compare a deployment with its definition."""
    flow: Flow[..., Any] = load_flow_from_entrypoint(definition.entrypoint)
    wanted, name = _wanted(definition, flow), f"{flow.name}/{definition.name}"
    what = f"deployment {name}"
    try:
        there = client.read_deployment_by_name(name)
    except ObjectNotFound:
        return Thing(new(what), partial(_create, client, flow.name, definition, wanted))
    parts = {**wanted, "schedules": _told(definition), "concurrency_limit": _limit(definition)}
    changes = compared(what, {part: _part(there, part) for part in parts}, parts)
    return Thing(changes, partial(_update, client, there, definition, wanted))


def _wanted(definition: Definition, flow: Flow[..., Any]) -> dict[str, Any]:
    """Return what a deployment is to be, as `prefect deploy` would make it of the same definition."""
    return {
        "entrypoint": definition.entrypoint,
        "description": definition.description,
        "tags": sorted(definition.tags),
        "parameters": definition.parameters,
        "parameter_openapi_schema": parameter_schema(flow).model_dump(exclude_unset=True),
        "enforce_parameter_schema": True,
        "work_pool_name": definition.work_pool.name,
        "work_queue_name": definition.work_pool.work_queue_name or DEFAULT_QUEUE,
        "job_variables": {},
        "pull_steps": [],
        "path": None,
        "version": flow.version,
    }


def _part(there: DeploymentResponse, part: str) -> Any:
    if part == "schedules":
        return sorted((_schedule_there(each) for each in there.schedules), key=str)
    if part == "concurrency_limit":
        return _limit_there(there)
    value = getattr(there, part)
    return sorted(value) if part == "tags" else value


def _told(definition: Definition) -> list[dict[str, Any]]:
    return sorted((each.model_dump() for each in definition.schedules), key=str)


def _schedule_there(there: Any) -> dict[str, Any]:
    if isinstance(there.schedule, CronSchedule):
        return {"slug": there.slug, "cron": there.schedule.cron, "timezone": there.schedule.timezone}
    return {"slug": there.slug, **there.schedule.model_dump(mode="json")}


def _limit(definition: Definition) -> dict[str, Any] | None:
    return definition.concurrency_limit.model_dump(mode="json") if definition.concurrency_limit else None


def _limit_there(there: DeploymentResponse) -> dict[str, Any] | None:
    if not there.global_concurrency_limit:
        return None
    options = there.concurrency_options or ConcurrencyOptions(collision_strategy="ENQUEUE")
    limit = there.global_concurrency_limit.limit
    return {"limit": limit, "collision_strategy": options.collision_strategy.value}


def _create(client: SyncPrefectClient, flow: str, definition: Definition, wanted: dict[str, Any]) -> None:
    schedules = [DeploymentScheduleCreate(**_schedule(each)) for each in definition.schedules]
    of_flow = client.create_flow_from_name(flow)
    client.create_deployment(of_flow, definition.name, schedules=schedules, **_concurrency(definition), **wanted)


def _update(
    client: SyncPrefectClient, there: DeploymentResponse, definition: Definition, wanted: dict[str, Any]
) -> None:
    """Make it as it is wanted; a schedule that an operator has switched off stays so."""
    known = {each.slug for each in definition.schedules}
    for each in there.schedules:
        if each.slug not in known:
            client.delete_deployment_schedule(there.id, each.id)
    active = {each.slug: each.active for each in there.schedules}
    schedules = [
        DeploymentScheduleUpdate(**_schedule(each), active=active.get(each.slug, True))
        for each in definition.schedules
    ]
    update = DeploymentUpdate(schedules=schedules, **_concurrency(definition), **wanted)
    client.update_deployment(there.id, update)


def _schedule(schedule: Schedule) -> dict[str, Any]:
    return {"slug": schedule.slug, "schedule": CronSchedule(cron=schedule.cron, timezone=schedule.timezone)}


def _concurrency(definition: Definition) -> dict[str, Any]:
    limit = definition.concurrency_limit
    options = limit and ConcurrencyOptions(collision_strategy=limit.collision_strategy)
    return {"concurrency_limit": limit and limit.limit, "concurrency_options": options}

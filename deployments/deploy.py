"""Bringing an environment to its own servers: its catalog, its profile as blocks, its work pool, its deployments.

What is wanted is compared with what is there, and only what differs is written: a second time nothing is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentUpdate, WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterName,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.flows import Flow, load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema
from prefect.workers.process import ProcessWorker

from blocks import saved
from blocks.compare import differences
from blocks.errors import ProfileError
from blocks.profile import Profile
from deployments.definitions import Definition, definitions, pool
from deployments.prefect_client import client_of
from flows._environment import require_installation
from tasks.catalog.schema import REVISION, require_own, revision
from tasks.catalog.tasks import catalog_of, database_of
from tasks.errors import Refused, Transient

__all__ = ["Change", "Deployed", "deploy"]


class Change(NamedTuple):
    """One thing that differs on the server from what is wanted; secrets are masked.

    Parameters
    ----------
    what, part
        The thing, as in ``work pool dsoc-test``, and which part of it.
    now, wanted
        What it is, and what it will be.
    """

    what: str
    part: str
    now: str
    wanted: str


@dataclass(frozen=True)
class Deployed:
    """What was done, or would be.

    Parameters
    ----------
    server
        The API of the Prefect server.
    changes
        Everything that differed.
    strangers
        Deployments with its name or in its work pool that are none of it. They are left alone.
    """

    profile: str
    server: str
    changes: tuple[Change, ...]
    strangers: tuple[str, ...]


class _Thing(NamedTuple):
    changes: tuple[Change, ...]
    write: Callable[[], object]


def deploy(profile: Profile, dry_run: bool = False) -> Deployed:
    """Bring an environment to its Prefect server.

    Parameters
    ----------
    dry_run
        Whether to write nothing, and only tell what would be.

    Raises
    ------
    Refused
        The profile names no Prefect server, or has no account there; catalog, the blocks under its name or this
        installation are another one's.
    Transient
        The server or the catalog does not answer, or somebody else deploys at the same time.
    """
    require_installation(profile, "ppi deploy")
    wanted = definitions(profile)
    with _server_of(profile) as client:
        common = (_catalog(profile), _blocks(profile), _pool(client, profile))
        things = [*common, *(_deployment(client, each) for each in wanted)]
        for thing in things:
            if thing.changes and not dry_run:
                _write(thing, profile)
        strangers = _strangers(client, profile, wanted)
    changes = tuple(change for thing in things for change in thing.changes)
    return Deployed(profile.name, profile.prefect.api_url or "", changes, strangers)


@contextmanager
def _server_of(profile: Profile) -> Iterator[SyncPrefectClient]:
    if not profile.prefect.api_url:
        todo = "set ppi.prefect.apiUrl; that of local is set while `ppi serve -P local` runs"
        raise Refused(f"profile {profile.name}", "it names no Prefect server", todo)
    with client_of(profile) as client:
        yield client


def _write(thing: _Thing, profile: Profile) -> None:
    try:
        thing.write()
    except ObjectAlreadyExists as error:
        what = f"{thing.changes[0].what} on {profile.prefect.api_url}"
        raise Transient(what, "somebody else has just made it", f"ppi deploy {profile.name}") from error


def _catalog(profile: Profile) -> _Thing:
    """Compare the revision of a catalog on a server; a file is brought up to date by whatever run opens it."""
    database, write = database_of(profile), partial(catalog_of, profile, upgrade=True)
    if database.location.file:
        return _Thing((), write)
    what = f"catalog {database.location.where}"
    with database.reading() as connection:
        found = revision(connection, database.location.where)
        if found:
            require_own(connection, database, profile.name)
    change = Change(what, "revision", found or "none", REVISION)
    return _Thing(() if found == REVISION else (change,), write)


def _blocks(profile: Profile) -> _Thing:
    what = f"blocks of {profile.name}"
    try:
        there = saved.load(profile.name)
    except saved.Foreign as error:
        (problem,) = error.problems
        raise Refused(what, problem.reason, problem.todo) from error
    except ProfileError as error:
        reason = "; ".join(problem.reason for problem in error.problems)
        changes = [Change(what, "all", reason, "saved anew")]
    else:
        changes = [Change(what, *difference) for difference in differences(there, profile)]
    return _Thing(tuple(changes), partial(saved.save, profile))


def _pool(client: SyncPrefectClient, profile: Profile) -> _Thing:
    name = profile.prefect.work_pool
    wanted = {**pool(profile).model_dump(), "base_job_template": ProcessWorker.get_default_base_job_template()}
    what, new = f"work pool {name}", WorkPoolCreate(name=name, type=ProcessWorker.type, **wanted)
    try:
        there = client.read_work_pool(name)
    except ObjectNotFound:
        return _Thing(_new(what), partial(client.create_work_pool, new, overwrite=True))
    if there.type != ProcessWorker.type:
        why = f"its type is {there.type}, not {ProcessWorker.type}"
        todo = "delete it, or name another in ppi.prefect.workPool"
        raise Refused(f"{what} of profile {profile.name}", why, todo)
    changes = _compared(what, {part: getattr(there, part) for part in wanted}, wanted)
    return _Thing(changes, partial(client.update_work_pool, name, WorkPoolUpdate(**wanted)))


def _deployment(client: SyncPrefectClient, definition: Definition) -> _Thing:
    flow: Flow[..., Any] = load_flow_from_entrypoint(definition.entrypoint)
    wanted, name = _wanted(definition, flow), f"{flow.name}/{definition.name}"
    what = f"deployment {name}"
    try:
        there = client.read_deployment_by_name(name)
    except ObjectNotFound:
        return _Thing(_new(what), partial(_create, client, flow.name, definition.name, wanted))
    changes = _compared(what, {part: _part(there, part) for part in wanted}, wanted)
    return _Thing(changes, partial(client.update_deployment, there.id, DeploymentUpdate(**wanted)))


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
        "job_variables": {},
        "pull_steps": [],
        "path": None,
        "version": flow.version,
    }


def _part(there: DeploymentResponse, part: str) -> Any:
    value = getattr(there, part)
    return sorted(value) if part == "tags" else value


def _create(client: SyncPrefectClient, flow: str, name: str, wanted: dict[str, Any]) -> None:
    client.create_deployment(client.create_flow_from_name(flow), name, **wanted)


def _new(what: str) -> tuple[Change, ...]:
    return (Change(what, "all", "none", "new"),)


def _compared(what: str, there: Mapping[str, Any], wanted: Mapping[str, Any]) -> tuple[Change, ...]:
    """Compare part by part; nothing, an empty text and an empty list are one."""
    differing = {part: value for part, value in wanted.items() if (there[part] or None) != (value or None)}
    return tuple(Change(what, part, _text(there[part]), _text(value)) for part, value in differing.items())


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)


def _strangers(client: SyncPrefectClient, profile: Profile, wanted: tuple[Definition, ...]) -> tuple[str, ...]:
    known = {(load_flow_from_entrypoint(each.entrypoint).name, each.name) for each in wanted}
    of_name = DeploymentFilter(name=DeploymentFilterName(any_=[profile.name]))
    of_pool = WorkPoolFilter(name=WorkPoolFilterName(any_=[profile.prefect.work_pool]))
    found = [
        *client.read_deployments(deployment_filter=of_name),
        *client.read_deployments(work_pool_filter=of_pool),
    ]
    names = {(client.read_flow(each.flow_id).name, each.name) for each in found}
    return tuple(sorted(f"{flow}/{name}" for flow, name in names - known))

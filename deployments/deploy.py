"""Bringing an environment to its own servers: its catalog, its blocks, its work pool, its flows.

What is wanted is compared with what is there, and only what differs is written: a second time nothing is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterName,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.flows import load_flow_from_entrypoint
from prefect.workers.process import ProcessWorker

from blocks import saved
from blocks.compare import differences
from blocks.errors import ProfileError
from blocks.profile import Profile
from deployments.automations import automations, told_to
from deployments.definitions import Definition, definitions, pool
from deployments.deployed import DEFAULT_QUEUE, deployment
from deployments.difference import Change, Thing, compared, new
from deployments.prefect_client import client_of
from flows._environment import require_installation
from tasks.catalog.schema import REVISION, require_own, revision
from tasks.catalog.tasks import catalog_of, database_of
from tasks.errors import Refused, Transient

__all__ = ["Deployed", "deploy"]


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
    untold
        The notification blocks that the profile names and that cannot be used, each with the reason.
    """

    profile: str
    server: str
    changes: tuple[Change, ...]
    strangers: tuple[str, ...]
    untold: tuple[str, ...] = ()


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
        told = told_to(client, profile)
        common = (_catalog(profile), _blocks(profile), _pool(client, profile))
        things = [*common, *(deployment(client, each) for each in wanted), *automations(client, profile, told)]
        for thing in things:
            if thing.changes and not dry_run:
                _write(thing, profile)
        strangers = _strangers(client, profile, wanted)
    changes = tuple(change for thing in things for change in thing.changes)
    untold = tuple(f"{each.name}: {each.fault}" for each in told if each.fault)
    return Deployed(profile.name, profile.prefect.api_url or "", changes, strangers, untold)


@contextmanager
def _server_of(profile: Profile) -> Iterator[SyncPrefectClient]:
    if not profile.prefect.api_url:
        todo = "set ppi.prefect.apiUrl; that of local is set while `ppi serve -P local` runs"
        raise Refused(f"profile {profile.name}", "it names no Prefect server", todo)
    with client_of(profile) as client:
        yield client


def _write(thing: Thing, profile: Profile) -> None:
    try:
        thing.write()
    except ObjectAlreadyExists as error:
        what = f"{thing.changes[0].what} on {profile.prefect.api_url}"
        raise Transient(what, "somebody else has just made it", f"ppi deploy {profile.name}") from error


def _catalog(profile: Profile) -> Thing:
    """Compare the revision of a catalog on a server; a file is brought up to date by whatever run opens it."""
    database, write = database_of(profile), partial(catalog_of, profile, upgrade=True)
    if database.location.file:
        return Thing((), write)
    what = f"catalog {database.location.where}"
    with database.reading() as connection:
        found = revision(connection, database.location.where)
        if found:
            require_own(connection, database, profile.name)
    change = Change(what, "revision", found or "none", REVISION)
    return Thing(() if found == REVISION else (change,), write)


def _blocks(profile: Profile) -> Thing:
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
    return Thing(tuple(changes), partial(saved.save, profile))


def _pool(client: SyncPrefectClient, profile: Profile) -> Thing:
    """Compare the work pool; its limit is that of its queue for runs on observations, as upkeep may not wait."""
    name, own = profile.prefect.work_pool, pool(profile)
    wanted: dict[str, Any] = {"description": own.description}
    wanted["base_job_template"] = ProcessWorker.get_default_base_job_template()
    what, limit = f"work pool {name}", own.concurrency_limit
    try:
        there = client.read_work_pool(name)
        queue = client.read_work_queue_by_name(DEFAULT_QUEUE, work_pool_name=name)
    except ObjectNotFound:
        return Thing(new(what), partial(_make_pool, client, name, wanted, limit))
    if there.type != ProcessWorker.type:
        why = f"its type is {there.type}, not {ProcessWorker.type}"
        todo = "delete it, or name another in ppi.prefect.workPool"
        raise Refused(f"{what} of profile {profile.name}", why, todo)
    wanted["concurrency_limit"] = None
    of_pool = compared(what, {part: getattr(there, part) for part in wanted}, wanted)
    of_queue = compared(f"{what}, queue {DEFAULT_QUEUE}", queue.model_dump(), {"concurrency_limit": limit})
    return Thing((*of_pool, *of_queue), partial(_update_pool, client, name, wanted, limit))


def _make_pool(client: SyncPrefectClient, name: str, wanted: dict[str, Any], limit: int | None) -> None:
    client.create_work_pool(WorkPoolCreate(name=name, type=ProcessWorker.type, **wanted), overwrite=True)
    _limit(client, name, limit)


def _update_pool(client: SyncPrefectClient, name: str, wanted: dict[str, Any], limit: int | None) -> None:
    client.update_work_pool(name, WorkPoolUpdate(**wanted))
    _limit(client, name, limit)


def _limit(client: SyncPrefectClient, name: str, limit: int | None) -> None:
    queue = client.read_work_queue_by_name(DEFAULT_QUEUE, work_pool_name=name)
    client.update_work_queue(queue.id, concurrency_limit=limit)


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

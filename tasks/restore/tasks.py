"""The restore's Prefect tasks: each loads what its profile holds, where it runs, and calls one plain function."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from blocks.current import current
from blocks.profile import Casa as CasaProfile
from blocks.profile import Profile
from tasks._task import task
from tasks.alma.access import decide, require
from tasks.alma.ids import EntityId
from tasks.alma.model import ObservingUnitSet
from tasks.alma.tasks import metadata_of
from tasks.casa import pipeline
from tasks.casa.environment import measures_directory
from tasks.casa.record import BlockRecord
from tasks.casa.versions import casa_for
from tasks.casa.wheels import RestoreParameters
from tasks.ngas.model import StoredFile
from tasks.ngas.tasks import archive_client, archive_of, shared_store
from tasks.place import place
from tasks.ppr.procedures import OF_RESTORE, ProcedureName
from tasks.progress import Event, tell
from tasks.restore import gather, jobs
from tasks.restore import work as works
from tasks.restore.deliver import Delivered, Run
from tasks.restore.plan import Casa, Plan, PlannedBlock, make_plan, read_manifest
from tasks.restore.process import CasaSettings
from tasks.workspace.layout import Tree
from tasks.workspace.provenance import Input

__all__ = [
    "deliver_blocks", "fetch_block", "fetch_products", "look_up", "make_restore_plan",
    "plan_restore", "restore_block", "restore_with_pipeline", "write_request",
]  # fmt: skip


def look_up(profile: Profile, mous: EntityId) -> ObservingUnitSet:
    """Look the observation up in the profile's metadata database."""
    return metadata_of(profile).observing_unit_set(mous)


def make_restore_plan(
    profile: Profile,
    mous: EntityId,
    fetch: Callable[[StoredFile], bytes],
    procedure: ProcedureName = "hifa_restore",
) -> Plan:
    """Look up, decide and plan.

    Parameters
    ----------
    fetch
        Brings the manifest's bytes.
    procedure
        What is to be done.

    Raises
    ------
    Refused
        The profile may not restore it, or its CASA does not cover the procedure; nothing was fetched.
    Missing
        The CASA that is to do it is not installed; nothing but the manifest was fetched.
    """
    observation = look_up(profile, mous)
    require(decide(observation.evidence, profile.access.projects, datetime.now(UTC)))
    if profile.casa.executor == "casatasks":
        RestoreParameters.of(OF_RESTORE[procedure])
    client = archive_client(profile)
    manifest_file, manifest = read_manifest(observation, client, fetch)
    casa = _planned_casa(profile.casa, manifest.casa_version)
    return make_plan(observation, manifest, manifest_file, client, casa, OF_RESTORE[procedure])


@task("plan {mous}")
def plan_restore(profile: str, mous: EntityId, procedure: ProcedureName) -> Plan:
    """Plan the restore of an observation; see `tasks.restore.plan`."""
    tell(Event("plan", str(mous), "look up"))
    environment = current(profile)
    store, client = shared_store(environment), archive_client(environment)

    def fetch(file: StoredFile) -> bytes:
        with store.using(client, file) as held:
            return held.path.read_bytes()

    return make_restore_plan(environment, mous, fetch, procedure)


@task("write the processing request")
def write_request(profile: str, plan: Plan, tree: Tree) -> Path:
    """Write the PPR; see `tasks.restore.gather`."""
    return gather.write_request(plan, tree, current(profile).site, "ppi")


@task("fetch the calibration products")
def fetch_products(profile: str, plan: Plan, tree: Tree) -> tuple[Input, ...]:
    """Fetch the calibration products; see `tasks.restore.gather`."""
    return place().run(works.products_work(plan), jobs.fetch_products, archive_of(current(profile)), plan, tree)


@task("fetch {block.uid}")
def fetch_block(profile: str, block: PlannedBlock, tree: Tree) -> tuple[Input, ...]:
    """Fetch and unpack one execution block; see `tasks.restore.gather`."""
    return place().run(works.fetch_work(block), jobs.fetch_block, archive_of(current(profile)), block, tree)


@task("restore {block.uid}", retries=2)
def restore_block(profile: str, plan: Plan, block: PlannedBlock, tree: Tree) -> BlockRecord:
    """Restore one execution block with casatasks; see `tasks.restore.process`."""
    return place().run(works.restore_work(plan, block), jobs.restore_block, _casa(profile), plan, block, tree)


@task("run the pipeline on {plan.observation.mous}", retries=2)
def restore_with_pipeline(profile: str, plan: Plan, tree: Tree) -> tuple[BlockRecord, ...]:
    """Restore all execution blocks with the pipeline; see `tasks.restore.process`."""
    request = gather.request_path(plan, tree)
    return place().run(works.pipeline_work(plan), jobs.restore_with_pipeline, _casa(profile), plan, request, tree)


@task("deliver {plan.observation.mous}")
def deliver_blocks(
    plan: Plan, tree: Tree, run: Run, inputs: tuple[Input, ...], blocks: tuple[BlockRecord, ...]
) -> Delivered:
    """Deliver; see `tasks.restore.deliver`."""
    return place().run(works.deliver_work(plan), jobs.deliver_blocks, plan, tree, run, inputs, blocks)


def _planned_casa(settings: CasaProfile, calibrated: str) -> Casa:
    version = casa_for(settings.executor, settings.default_version, calibrated)
    if settings.executor == "pipeline":
        version = pipeline.find(settings.home, version).version
    return Casa(executor=settings.executor, version=version)


def _casa(profile: str) -> CasaSettings:
    casa = current(profile).casa
    return CasaSettings(measures_directory(casa.measures_directory), casa.timeout_seconds, casa.home)

"""Restore an ALMA observation: a MOUS's name goes in, its calibrated and proven measurement sets come out.

The flow's docstring has ``Args:`` because that is what Prefect reads to explain the parameters in its form.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from prefect import flow
from prefect.futures import PrefectFuture
from prefect.runtime import flow_run

from blocks.profile import Profile
from flows._cancel import cancellable
from flows._environment import enter
from flows._record import recorded
from flows._run_name import of_observation
from flows._stage import Case, stage
from tasks._task_page import Shown
from tasks._task_progress import bytes_and_files, results_with_progress, show_transfers
from tasks.alma.ids import EntityId
from tasks.casa.record import BlockRecord
from tasks.casa.request import RESTORE_STEPS
from tasks.ppr.procedures import ProcedureName
from tasks.progress import Event
from tasks.report import summary
from tasks.restore import tasks as steps
from tasks.restore.deliver import Delivered, Run
from tasks.restore.plan import Plan
from tasks.restore.work import works
from tasks.workspace.delivery import delivered
from tasks.workspace.layout import Area, Tree
from tasks.workspace.provenance import Input

__all__ = ["restore_ous"]


@flow(name="restore-ous", flow_run_name=of_observation("restore"), persist_result=False)
def restore_ous(
    mous: str, profile: str, procedure: ProcedureName = "hifa_restore", again: bool = False
) -> Delivered:
    """Restore the calibrated measurement sets of a member observing unit set, prove them, and deliver them.

    Args:
        mous: The MOUS, as in uid://A001/X1284/X265f or uid___A001_X1284_X265f.
        profile: The environment to do it in, such as naasc-test; a deployment has its own, to be left as it is.
        procedure: hifa_restore for calibrated measurement sets; hifa_image for images of them as well.
        again: Do it anew although a finished delivery is there, and replace that when the new one is whole.
    """
    environment, observation = enter(profile, restore_ous.name), EntityId.parse(mous)
    area = Area(environment.processing.root_directory)
    with cancellable(), area.held(observation), recorded(environment, restore_ous.name, observation) as record:
        with record.stage("plan"):
            plan = steps.plan_restore(profile, observation, procedure)
        done = _finished(area, plan)
        record.planned(plan, done)
        if done and not again:
            return record.found(_shown(environment, done))
        project = plan.observation.project_code
        tree = area.attempt(observation, plan.key, project, plan.relative_path, plan.space)
        record.working(tree)
        case = Case(environment, restore_ous.name, str(flow_run.id), observation, project, works(plan))
        with record.stage("gather"):
            inputs = gather(case, plan, tree)
        record.gathered(inputs)
        show_transfers(inputs)
        with record.stage("process"):
            blocks = process(case, plan, tree)
        run = Run(profile=profile, flow_run=flow_run.id, started=record.started, stages=record.times)
        with record.stage("finish"):
            done = finish(case, plan, tree, run, inputs, blocks)
        return record.delivered(_shown(environment, done))


@stage("gather", resources="transfer")
def gather(case: Case, plan: Plan, tree: Tree) -> tuple[Input, ...]:
    """Write the PPR and bring every file that it needs."""
    steps.write_request(case.profile.name, plan, tree)
    begin = Event("gather", total=plan.size, items=len(plan.files))
    what = f"bytes fetched of {plan.observation.mous}"
    parts = results_with_progress(_fetches(case.profile.name, plan, tree), begin, what, bytes_and_files)
    return tuple(entry for part in parts for entry in part)


def _fetches(profile: str, plan: Plan, tree: Tree) -> Iterator[PrefectFuture[tuple[Input, ...]]]:
    for block in plan.blocks:
        yield steps.fetch_block.submit(profile, block, tree)
    yield steps.fetch_products.submit(profile, plan, tree)


@stage("process", resources="casa")
def process(case: Case, plan: Plan, tree: Tree) -> tuple[BlockRecord, ...]:
    """Let CASA restore every execution block, and judge it."""
    if plan.casa.executor == "pipeline":
        return steps.restore_with_pipeline(case.profile.name, plan, tree)
    futures = (steps.restore_block.submit(case.profile.name, plan, block, tree) for block in plan.blocks)
    begin = Event("process", total=len(plan.blocks) * len(RESTORE_STEPS), items=len(plan.blocks))
    return tuple(results_with_progress(futures, begin, f"CASA steps of {plan.observation.mous}"))


@stage("finish", resources="light")
def finish(
    case: Case, plan: Plan, tree: Tree, run: Run, inputs: tuple[Input, ...], blocks: tuple[BlockRecord, ...]
) -> Delivered:
    """Deliver with report and provenance."""
    return steps.deliver_blocks(plan, tree, run, inputs, blocks)


def _shown(profile: Profile, done: Delivered) -> Delivered:
    """Show the result on the run's own page, with a link to the report if browsers see it."""
    page = _page(profile, done)
    Shown("markdown", "restore").write(summary.markdown(done.provenance, page), str(done.report))
    if page:
        Shown("markdown", "report").write(f"[Report of {done.provenance.observation}]({page})", page)
    return done


def _page(profile: Profile, done: Delivered) -> str | None:
    """Return where browsers see the report, if they can."""
    if not profile.reports.url:
        return None
    path = done.report.relative_to(Area(profile.processing.root_directory).deliveries)
    return f"{profile.reports.url.rstrip('/')}/{quote(path.as_posix())}"


def _finished(area: Area, plan: Plan) -> Delivered | None:
    observation = plan.observation
    destination = area.destination(observation.project_code, observation.mous)
    provenance = delivered(destination, plan.key)
    if provenance is None:
        return None
    area.discard(observation.mous, plan.key, observation.project_code, provenance.finished)
    return Delivered(path=destination, provenance=provenance)

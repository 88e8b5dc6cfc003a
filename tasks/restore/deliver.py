"""Deliver what was restored: proven, with its report and its provenance."""

from __future__ import annotations

import hashlib
import importlib.metadata
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from tasks.casa.record import BlockRecord
from tasks.casa.verdict import Outcome, Verdict, worst
from tasks.errors import Failed
from tasks.report import page
from tasks.restore.gather import request_path
from tasks.restore.plan import Plan
from tasks.workspace import images
from tasks.workspace.delivery import Staging
from tasks.workspace.layout import Area, Tree
from tasks.workspace.provenance import Input, Provenance, StageTime

__all__ = ["Delivered", "Run", "deliver"]


class Run(BaseModel):
    """The run that delivers: what provenance says of it.

    Parameters
    ----------
    profile
        The environment.
    flow_run
        Id of the Prefect flow run; None outside one.
    started
        UTC.
    stages
        The stages before the delivery, and their times.
    """

    model_config = ConfigDict(frozen=True)

    profile: str
    flow_run: str | None
    started: datetime
    stages: tuple[StageTime, ...] = ()


class Delivered(BaseModel):
    """A finished delivery.

    Parameters
    ----------
    path
        Its folder; the report is ``qa/report.html`` in it.
    provenance
        Its whole history.
    """

    model_config = ConfigDict(frozen=True)

    path: Path
    provenance: Provenance

    @property
    def report(self) -> Path:
        """The page to look at."""
        return self.path / "qa" / "report.html"


def deliver(
    plan: Plan, tree: Tree, run: Run, inputs: tuple[Input, ...], blocks: tuple[BlockRecord, ...]
) -> Delivered:
    """Put the delivery together, write its report, and rename it into its place; then clear the attempt away."""
    area, observation = Area(tree.root), plan.observation
    staging = Staging(tree, area.destination(observation.project_code, observation.mous))
    request = request_path(plan, tree)
    staging.begin()
    staging.take_products([file.name for file in plan.products], request)
    for block in blocks:
        staging.take_block(block.vis)
    imaged = _imaged(plan, tree)
    if imaged.images:
        staging.take_images()
    provenance = _provenance(plan, run, inputs, blocks, imaged, request)
    pictures = {path.name: path.read_bytes() for path in sorted((staging.root / "qa").glob("*.png"))}
    staging.finish(provenance, page.render(provenance, pictures))
    area.discard(observation.mous, plan.key, observation.project_code, provenance.finished)
    return Delivered(path=staging.destination, provenance=provenance)


def _imaged(plan: Plan, tree: Tree) -> images.Imaged:
    if not plan.procedure.exports:
        return images.Imaged(images=())
    if imaged := images.finished(tree):
        return imaged
    raise Failed(f"the images of {plan.observation.mous}", f"they are not all in {tree.images}", "run again")


def _provenance(
    plan: Plan,
    run: Run,
    inputs: tuple[Input, ...],
    blocks: tuple[BlockRecord, ...],
    imaged: images.Imaged,
    request: Path,
) -> Provenance:
    return Provenance(
        observation=plan.observation.mous,
        project=plan.observation.project_code,
        key=plan.key,
        procedure=plan.procedure.title,
        covers=plan.covers,
        finished=datetime.now(UTC),
        ppi_version=importlib.metadata.version("ppi"),
        casa_version=plan.casa.version,
        calibrated_with=plan.calibrated_with,
        executor=plan.casa.executor,
        recipe=plan.recipe,
        ppr_sha256=hashlib.sha256(request.read_bytes()).hexdigest(),
        inputs=inputs,
        blocks=blocks,
        images=imaged.images,
        verdict=_verdict((*plan.caveats, *imaged.caveats), blocks),
        **run.model_dump(),
    )


def _verdict(caveats: tuple[str, ...], blocks: tuple[BlockRecord, ...]) -> Verdict:
    of_all = Verdict(outcome=Outcome.CAVEATS if caveats else Outcome.SUCCESS, reasons=caveats)
    return worst((of_all, *(block.verdict for block in blocks)))

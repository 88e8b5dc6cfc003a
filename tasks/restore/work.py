"""The pieces of work that a plan comes to: named the same where they are predicted, run and measured."""

from __future__ import annotations

from collections.abc import Mapping

from tasks.restore.plan import Plan, PlannedBlock
from tasks.usage import Work

__all__ = ["deliver_work", "fetch_work", "pipeline_work", "products_work", "restore_work", "works"]


def works(plan: Plan) -> Mapping[str, tuple[Work, ...]]:
    """Return every piece of work, by stage; the pipeline restores all execution blocks in one."""
    fetches = tuple(fetch_work(block) for block in plan.blocks)
    if plan.casa.executor == "pipeline":
        restores: tuple[Work, ...] = (pipeline_work(plan),)
    else:
        restores = tuple(restore_work(plan, block) for block in plan.blocks)
    return {
        "gather": (*fetches, products_work(plan)),
        "process": restores,
        "finish": (deliver_work(plan),),
    }


def fetch_work(block: PlannedBlock) -> Work:
    """Return the fetching and unpacking of an execution block."""
    return Work("gather", "fetch", block.uid, size=block.raw.stored.size)


def products_work(plan: Plan) -> Work:
    """Return the fetching of the calibration products."""
    return Work("gather", "fetch products", size=sum(file.stored.size for file in plan.products))


def restore_work(plan: Plan, block: PlannedBlock) -> Work:
    """Return the restoring of an execution block with casatasks."""
    return Work("process", "restore", block.uid, _casa(plan), block.raw.stored.size)


def pipeline_work(plan: Plan) -> Work:
    """Return the restoring of all execution blocks with the pipeline."""
    return Work("process", "pipeline", "", _casa(plan), plan.size)


def deliver_work(plan: Plan) -> Work:
    """Return the delivering of what was made, which depends on what was asked for."""
    return Work("finish", "deliver", "", plan.procedure.title, plan.size)


def _casa(plan: Plan) -> str:
    return f"{plan.casa.executor} {plan.casa.version} {plan.procedure.title}"

"""What a restore has done by its workers, here or on another host: plain functions of values that travel.

A worker has no profile of its own, so what it needs of one comes along, encrypted and in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tasks.casa.record import BlockRecord
from tasks.ngas.archive import Archive
from tasks.progress import Event, tell
from tasks.restore import gather, process
from tasks.restore.deliver import Delivered, Run, deliver
from tasks.restore.plan import Plan, PlannedBlock
from tasks.workspace.layout import Tree
from tasks.workspace.provenance import Input

__all__ = ["deliver_blocks", "fetch_block", "fetch_products", "restore_block", "restore_with_pipeline"]


def fetch_products(archive: Archive, plan: Plan, tree: Tree) -> tuple[Input, ...]:
    """Fetch the calibration products; see `tasks.restore.gather`."""
    return gather.fetch_products(plan, tree, archive.store, archive.client)


def fetch_block(archive: Archive, block: PlannedBlock, tree: Tree) -> tuple[Input, ...]:
    """Fetch and unpack one execution block; see `tasks.restore.gather`."""
    return gather.fetch_block(block, tree, archive.store, archive.client)


def restore_block(casa: process.CasaSettings, plan: Plan, block: PlannedBlock, tree: Tree) -> BlockRecord:
    """Restore one execution block with casatasks; see `tasks.restore.process`."""
    return process.restore_block(plan, block, tree, casa, _stepping(block.raw.name))


def restore_with_pipeline(
    casa: process.CasaSettings, plan: Plan, request: Path, tree: Tree
) -> tuple[BlockRecord, ...]:
    """Restore all execution blocks with the pipeline; see `tasks.restore.process`."""
    return process.restore_with_pipeline(plan, request, tree, casa, _stepping("pipeline"))


def deliver_blocks(
    plan: Plan, tree: Tree, run: Run, inputs: tuple[Input, ...], blocks: tuple[BlockRecord, ...]
) -> Delivered:
    """Deliver; see `tasks.restore.deliver`."""
    tell(Event("finish", str(plan.observation.mous), "deliver"))
    return deliver(plan, tree, run, inputs, blocks)


def _stepping(item: str) -> Callable[[str], None]:
    return lambda step: tell(Event("process", item, step, 1))

"""Let CASA restore what was gathered; a finished execution block is never done again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tasks import disk
from tasks.casa import pipeline, wheels
from tasks.casa.executor import ERROR_EXITS, Block, Watch, failure
from tasks.casa.launch import Exit
from tasks.casa.record import RECORD, BlockRecord
from tasks.casa.verdict import Outcome
from tasks.restore.plan import Plan, PlannedBlock
from tasks.workspace import stored
from tasks.workspace.layout import Tree

__all__ = ["CasaSettings", "restore_block", "restore_with_pipeline"]


@dataclass(frozen=True)
class CasaSettings:
    """Where CASA and its tables are, and how long it may take.

    Parameters
    ----------
    measures
        The measures tables.
    timeout_seconds
        For one execution block.
    home
        Where monolithic versions are installed; None where there are none.
    """

    measures: Path
    timeout_seconds: float
    home: Path | None = None


def restore_block(plan: Plan, planned: PlannedBlock, tree: Tree, casa: CasaSettings, watch: Watch) -> BlockRecord:
    """Restore one execution block with casatasks, unless it is finished.

    Raises
    ------
    Failed
        The verdict is bad; its directory is left for inspection.
    Refused, Missing
        The child, or the look at its input, said so.
    """
    block = planned.block()
    if record := _finished(tree, block):
        return record
    directory = tree.new_attempt(block.name)
    record = wheels.restore(
        block,
        wheels.RestoreParameters.of(plan.procedure),
        tree.rawdata,
        tree.products,
        directory,
        measures=casa.measures,
        timeout_seconds=casa.timeout_seconds,
        watch=watch,
    )
    return _settled(record, directory, tree, block)


def restore_with_pipeline(
    plan: Plan, request: Path, tree: Tree, casa: CasaSettings, watch: Watch
) -> tuple[BlockRecord, ...]:
    """Restore all execution blocks with the pipeline, unless they are finished; prove each of them.

    Raises
    ------
    Failed
        The pipeline ended badly, or the verdict on an execution block is bad.
    """
    blocks = [planned.block() for planned in plan.blocks]
    records = [_finished(tree, block) for block in blocks]
    if all(records):
        return tuple(record for record in records if record)
    installation = pipeline.find(casa.home, plan.casa.version)
    _clear(tree, request)
    watch("pipeline")
    ended = pipeline.run_pipeline(
        installation,
        request,
        tree.root,
        tree.working,
        measures=casa.measures,
        timeout_seconds=casa.timeout_seconds * len(blocks),
    )
    return tuple(_proven(block, ended, tree, casa, watch) for block in blocks)


def _proven(block: Block, ended: Exit, tree: Tree, casa: CasaSettings, watch: Watch) -> BlockRecord:
    directory = tree.new_attempt(block.name)
    record = pipeline.prove_block(
        block,
        ended,
        tree.rawdata,
        tree.working,
        tree.products,
        directory,
        measures=casa.measures,
        timeout_seconds=casa.timeout_seconds,
        watch=watch,
    )
    return _settled(record, directory, tree, block)


def _finished(tree: Tree, block: Block) -> BlockRecord | None:
    """Return the record of a block that is finished; one whose products are gone is cleared away."""
    finished, staged = tree.finished(block.name), tree.delivery / "calibrated"
    if not (finished / RECORD).exists():
        return None
    if all((finished / name).exists() or (staged / name).exists() for name in block.made):
        return stored.read(BlockRecord, finished / RECORD)
    disk.remove(finished)
    return None


def _settled(record: BlockRecord, directory: Path, tree: Tree, block: Block) -> BlockRecord:
    """Put a good result in its place, its record last; a bad one raises."""
    if record.verdict.outcome is Outcome.FAILED:
        raise failure(directory, f"the restore of {block.uid}", record.verdict)
    disk.write_whole(directory / RECORD, record.model_dump_json(indent=1).encode())
    disk.settle(directory, tree.finished(block.name))
    return record


def _clear(tree: Tree, request: Path) -> None:
    """Take away what an earlier run of the pipeline left: each wants an empty directory and its own signs."""
    for path in tree.working.iterdir():
        if path != request and path.name != "attempts":
            disk.remove(path) if path.is_dir() else path.unlink()
    for path in tree.products.glob(ERROR_EXITS):
        path.unlink()

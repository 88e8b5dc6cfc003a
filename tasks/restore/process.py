"""Let CASA restore what was gathered; a finished execution block is never done again."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tasks import disk
from tasks.casa import pipeline, wheels
from tasks.casa.executor import Block, Watch, failure
from tasks.casa.launch import Exit
from tasks.casa.record import RECORD, BlockRecord
from tasks.casa.verdict import Outcome
from tasks.restore.plan import Plan, PlannedBlock
from tasks.workspace import images, stored
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
    """Restore all execution blocks with the pipeline, and image them where the plan says so; prove each of them.

    Nothing is done where all of it is finished.

    Raises
    ------
    Failed
        The pipeline ended badly, the verdict on an execution block is bad, or an image is missing.
    """
    blocks = [planned.block() for planned in plan.blocks]
    records = [_finished(tree, block) for block in blocks]
    if all(records) and (not plan.procedure.exports or images.finished(tree)):
        return tuple(record for record in records if record)
    run = partial(_run, pipeline.find(casa.home, plan.casa.version), plan, request, tree, casa)
    _clear(plan, tree, request)
    watch("pipeline")
    if not plan.procedure.exports:
        ended = run()
    else:
        with images.exporting(tree) as directory:
            ended = run()
        images.take(directory, tree, plan.observation.mous)
    return tuple(_proven(block, ended, tree, casa, watch) for block in blocks)


def _run(installation: pipeline.Installation, plan: Plan, request: Path, tree: Tree, casa: CasaSettings) -> Exit:
    return pipeline.run_pipeline(
        installation,
        request,
        tree.root,
        tree.working,
        measures=casa.measures,
        timeout_seconds=casa.timeout_seconds * len(plan.blocks),
    )


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


def _clear(plan: Plan, tree: Tree, request: Path) -> None:
    """Take away what an earlier run of the pipeline left: each wants an empty directory and its own signs."""
    kept = {request, tree.working / "attempts", *(tree.products / file.name for file in plan.products)}
    for path in (*tree.working.iterdir(), *tree.products.iterdir()):
        if path not in kept:
            disk.remove(path) if path.is_dir() else path.unlink()

"""What the catalog is told of a restore: from its records while they last, from its provenance for ever.

Nothing that was measured is measured again: a measurement set's checksum is that of its proof, and its content is
not read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Set
from datetime import datetime
from itertools import chain
from pathlib import Path

from tasks.alma.ids import EntityId
from tasks.casa.launch import EXIT, Exit
from tasks.casa.proof import Proof
from tasks.casa.record import RECORD, BlockRecord
from tasks.casa.request import STEPS, StepTime
from tasks.casa.verdict import Outcome
from tasks.catalog.model import PROCESS, Execution, Piece, Product, Record, Stage, Step
from tasks.catalog.states import State
from tasks.errors import Refused
from tasks.usage import Usage
from tasks.workspace import stored
from tasks.workspace.delivery import PROVENANCE
from tasks.workspace.layout import Tree
from tasks.workspace.provenance import Input, Provenance

__all__ = [
    "bytes_fetched", "finished_blocks", "late", "made_by", "pieces_of", "products_of", "steps_left", "steps_of",
]  # fmt: skip


def steps_of(
    inputs: Iterable[Input], blocks: tuple[BlockRecord, ...], taken_over: Set[str] = frozenset()
) -> tuple[Step, ...]:
    """Return the steps of a restore.

    Parameters
    ----------
    inputs, blocks
        What was fetched, and what became of each execution block.
    taken_over
        The execution blocks that an earlier run had finished.
    """
    return (*_fetches(tuple(inputs)), *_of_casa(blocks, taken_over))


def steps_left(tree: Tree, since: datetime, taken_over: Set[str]) -> tuple[Step, ...]:
    """Return the steps that a restore left in its attempt: of finished execution blocks, and its own others.

    Parameters
    ----------
    since
        When the restore began; unfinished work that is older is an earlier one's.
    """
    finished = tuple(stored.read(BlockRecord, path) for path in sorted(tree.working.glob(f"*/{RECORD}")))
    logs = sorted(tree.working.glob(f"attempts/*/{STEPS}"))
    own = [log.parent for log in logs if log.stat().st_mtime >= since.timestamp()]
    return (*_of_casa(finished, taken_over), *chain.from_iterable(map(_unfinished, own)))


def pieces_of(collected: Iterable[Usage], taken_over: Set[str] = frozenset()) -> tuple[Piece, ...]:
    """Return the pieces of work that a run has done.

    Parameters
    ----------
    collected
        What was reported of them.
    taken_over
        As in `steps_of`; a run that finds an execution block finished learns nothing of what it takes.
    """
    return tuple(_piece(usage, taken_over) for usage in collected)


def finished_blocks(tree: Tree) -> frozenset[str]:
    """Return the execution blocks that are finished in an attempt."""
    blocks = (_block_of(path.parent.name) for path in tree.working.glob(f"*/{RECORD}"))
    return frozenset(block for block in blocks if block)


def bytes_fetched(inputs: Iterable[Input]) -> int:
    """Return what crossed the wire; what the store held did not."""
    return sum(entry.size for entry in inputs if entry.server)


def products_of(delivery: Path, provenance: Provenance) -> tuple[Product, ...]:
    """Return what a delivery holds that was made by it."""
    by = _sha256(delivery / PROVENANCE)
    files = {"report": delivery / "qa" / "report.html", "provenance": delivery / PROVENANCE}
    requests = [path for path in sorted((delivery / "script").glob("PPR_*.xml")) if path.is_file()]
    return (
        *(_measurement_set(delivery / "calibrated" / block.vis, block.proof, by) for block in provenance.blocks),
        *(
            Product(
                path=str(delivery / "images" / image.name),
                kind="image" if image.name.endswith(".fits") else "export",
                size=image.size,
                checksum=f"sha256:{image.sha256}",
                provenance=by,
            )
            for image in provenance.images
        ),
        *(_file("request", path, by) for path in requests),
        *(_file(kind, path, by) for kind, path in files.items()),
    )


def made_by(delivery: Path, provenance: Provenance) -> dict[str, object]:
    """Return what a delivery says of the execution that made it."""
    shared = provenance.model_dump(include={*Execution.model_fields} - {"verdict"})
    return shared | {
        "state": State.SUCCEEDED,
        "verdict": provenance.verdict.outcome.value,
        "reasons": provenance.verdict.reasons,
        "bytes_fetched": bytes_fetched(provenance.inputs),
        "delivery": str(delivery),
        "report": str(delivery / "qa" / "report.html"),
        "products": products_of(delivery, provenance),
    }


def late(delivery: Path, provenance: Provenance, flow: str) -> Record:
    """Return the record of a delivery whose own run could not write it any more."""
    return Record.model_validate(
        made_by(delivery, provenance)
        | {
            "id": 0,
            "flow": flow,
            "stages": tuple(Stage(name=stage.stage, wall_seconds=stage.seconds) for stage in provenance.stages),
            "steps": steps_of(provenance.inputs, provenance.blocks),
        }
    )


def _piece(usage: Usage, taken_over: Set[str]) -> Piece:
    work = usage.work
    return Piece(
        stage=work.stage,
        step=work.step,
        item=work.item or None,
        kind=work.kind,
        input_bytes=work.size or None,
        wall_seconds=round(usage.wall_seconds, 3),
        cpu_seconds=None if usage.cpu_seconds is None else round(usage.cpu_seconds, 3),
        peak_memory_bytes=usage.peak_memory,
        requested_memory_bytes=usage.requested_memory,
        place=usage.place or None,
        attempts=usage.attempts,
        taken_over=work.stage == "process" and work.item in taken_over,
    )


def _fetches(inputs: tuple[Input, ...]) -> Iterator[Step]:
    of_blocks = {entry: block for entry in inputs if (block := _block_of(entry.name))}
    for entry, block in of_blocks.items():
        yield _fetch("fetch", block, (entry,))
    if products := tuple(entry for entry in inputs if entry not in of_blocks):
        yield _fetch("fetch products", None, products)


def _fetch(name: str, block: str | None, entries: tuple[Input, ...]) -> Step:
    seconds, fetched = round(sum(entry.seconds for entry in entries), 3), bytes_fetched(entries)
    return Step(stage="gather", block=block, name=name, wall_seconds=seconds, bytes_fetched=fetched)


def _of_casa(blocks: tuple[BlockRecord, ...], taken_over: Set[str]) -> Iterator[Step]:
    for block in blocks:
        outcome, done_before = block.verdict.outcome, block.uid in taken_over
        for step in block.steps:
            yield _step(block.uid, step, outcome, done_before)
    for ended in dict.fromkeys(block.exit for block in blocks):
        of = [block for block in blocks if block.exit == ended]
        alone = of[0] if len(of) == 1 else None
        yield _process(
            alone.uid if alone else None,
            ended,
            alone.verdict.outcome if alone else None,
            all(block.uid in taken_over for block in of),
        )


def _unfinished(directory: Path) -> Iterator[Step]:
    block = _block_of(directory.name.rpartition(".")[0])
    ended = stored.read(Exit, directory / EXIT) if (directory / EXIT).exists() else None
    judged = ended is not None and (ended.timed_out or ended.status is not None)
    outcome = Outcome.FAILED if judged else None
    lines = (directory / STEPS).read_text().split("\n")[:-1]
    last = {step.step: step for step in map(StepTime.model_validate_json, lines)}
    for step in last.values():
        yield _step(block, step, outcome, False)
    if ended:
        yield _process(block, ended, outcome, False)


def _step(block: str | None, step: StepTime, outcome: Outcome | None, taken_over: bool) -> Step:
    return Step(
        stage="process",
        block=block,
        name=step.step,
        wall_seconds=step.seconds,
        cpu_seconds=step.cpu_seconds,
        peak_memory_bytes=step.peak_memory_bytes,
        verdict=outcome.value if outcome else None,
        taken_over=taken_over,
    )


def _process(block: str | None, ended: Exit, outcome: Outcome | None, taken_over: bool) -> Step:
    return Step(
        stage="process",
        block=block,
        name=PROCESS,
        wall_seconds=round(ended.wall_seconds, 3),
        cpu_seconds=round(ended.cpu_seconds, 3),
        peak_memory_bytes=ended.peak_rss_bytes,
        verdict=outcome.value if outcome else None,
        taken_over=taken_over,
    )


def _measurement_set(path: Path, proof: Proof | None, by: str | None) -> Product:
    digest = json.dumps(proof.digest, sort_keys=True).encode() if proof and proof.digest else None
    return Product(
        path=str(path),
        kind="measurement set",
        size=sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) if path.is_dir() else None,
        checksum=f"columns-sha256:{hashlib.sha256(digest).hexdigest()}" if digest else None,
        provenance=by,
    )


def _file(kind: str, path: Path, by: str | None) -> Product:
    size = path.stat().st_size if path.is_file() else None
    return Product(path=str(path), kind=kind, size=size, checksum=_sha256(path), provenance=by)


def _sha256(path: Path) -> str | None:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}" if path.is_file() else None


def _block_of(name: str) -> str | None:
    """Return the execution block after which something is named, None for something else."""
    try:
        return str(EntityId.parse(name))
    except Refused:
        return None

"""What a provenance record amounts to, in words: said once, so that the page and the summary cannot disagree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from tasks.casa.launch import Exit
from tasks.casa.proof import FieldFlags, Proof, Reference
from tasks.casa.verdict import Outcome
from tasks.report.units import count, duration, percent, rate, size
from tasks.workspace.provenance import BlockRecord, Image, Input, Provenance

__all__ = [
    "came", "comparison", "ended", "fetched", "flag_rows", "flagged_range", "flags_overall", "gathering",
    "pictured", "proven", "reasons",
]  # fmt: skip

_MOST_NAMED: Final = 3
"""Of so many execution blocks the names are given; of more the number."""


class _Standing(StrEnum):
    """How far an execution block is proven."""

    EQUAL = "bitwise equal to the archived reference"
    DIFFERENT = "different from the archived reference"
    FULLY_CHECKED = "without an archived reference: rows, flags and calibration checked"
    CHECKED = "without an archived reference: rows and calibration checked"
    OPEN = "not proven"


def proven(blocks: Iterable[BlockRecord]) -> str:
    """Say what was proven of how many execution blocks, in one sentence."""
    standings = Counter(_standing(block) for block in blocks)
    total = standings.total()
    present = [standing for standing in _Standing if standings[standing]]
    if not present:
        return "Nothing was processed, so nothing is proven"
    noun = "execution block" if total == 1 else "execution blocks"
    first = f"{standings[present[0]]} of {total} {noun} {present[0]}"
    return "; ".join((first, *(f"{standings[standing]} {standing}" for standing in present[1:])))


def _standing(block: BlockRecord) -> _Standing:
    proof = block.proof
    if proof is not None and proof.reference is not Reference.ABSENT:
        return _Standing.EQUAL if proof.reference is Reference.EQUAL else _Standing.DIFFERENT
    if proof is None or not proof.flags or block.verdict.outcome is Outcome.FAILED:
        return _Standing.OPEN
    compared = all(entry.archived is not None for entry in proof.flags)
    return _Standing.FULLY_CHECKED if compared else _Standing.CHECKED


def comparison(proof: Proof | None) -> str:
    """Say how one result compares with its reference."""
    if proof is None or not proof.has_corrected:
        return "not measured"
    if proof.reference is Reference.DIFFERENT:
        return f"different in {', '.join(proof.unequal)}"
    return "bitwise equal" if proof.reference is Reference.EQUAL else "none archived"


def ended(ending: Exit) -> str:
    """Say how a CASA process ended."""
    if ending.timed_out:
        return "ended at its time limit"
    if ending.signal is not None:
        return f"killed by signal {ending.signal}"
    return "ended in an unknown way" if ending.status is None else f"exit status {ending.status}"


def fetched(inputs: tuple[Input, ...]) -> str:
    """Say what came from the archive's servers, how fast, and what the store held already."""
    moved = [item for item in inputs if item.server is not None]
    held = [item for item in inputs if item.server is None]
    parts = [f"{_files(moved)} fetched at {_mean_rate(moved)} each on average"] if moved else []
    parts += [f"{_files(held)} already in the store"] if held else []
    return "; ".join(parts) or "Nothing was fetched"


def gathering(record: Provenance) -> dict[str, str]:
    """Return what the files amount to in all, and how long the whole stage took; only what there was."""
    inputs, moved = record.inputs, sum(item.moved for item in record.inputs)
    copied = sum(item.moved for item in inputs if item.method == "copy")
    held = sum(item.size for item in inputs if item.server is None)
    left = sum(item.resumed_from for item in inputs)
    seconds = sum(stage.seconds for stage in record.stages if stage.stage == "gather")
    told = {
        "Over the wire": size(moved - copied) if moved > copied else "",
        "Copied by the archive": size(copied) if copied else "",
        "From the store": size(held) if held else "",
        "Left by an interrupted run": size(left) if left else "",
        "Wall time of the stage": duration(seconds) if seconds else "",
        "Mean rate of the stage": rate(moved, seconds) if moved and seconds else "",
    }
    return {what: said for what, said in told.items() if said}


def came(item: Input) -> str:
    """Say how one file came: ``stream, resumed from 12.0 MB``, or from the store."""
    if item.server is None:
        return "store"
    return f"{item.method}, resumed from {size(item.resumed_from)}" if item.resumed_from else item.method


def _files(inputs: list[Input]) -> str:
    noun = "file" if len(inputs) == 1 else "files"
    return f"{len(inputs)} {noun} ({size(sum(item.size for item in inputs))})"


def _mean_rate(inputs: list[Input]) -> str:
    return rate(sum(item.moved for item in inputs), sum(item.seconds for item in inputs))


def pictured(images: tuple[Image, ...]) -> str:
    """Say how many images there are, and how large they are with all that explains them."""
    number = sum(image.name.endswith(".fits") for image in images)
    noun = "image" if number == 1 else "images"
    others = len(images) - number
    beside = f", and {others} more {'file' if others == 1 else 'files'}" if others else ""
    return f"{number} {noun}{beside} ({size(sum(image.size for image in images))})"


def flag_rows(proof: Proof) -> list[tuple[str, dict[int, FieldFlags]]]:
    """Return the flags of each field by spectral window, fields in the order of the measurement set.

    The fields of a mosaic share one name; each keeps a row of its own.
    """
    met: Counter[tuple[str, int]] = Counter()
    rows: dict[tuple[str, int], dict[int, FieldFlags]] = {}
    for entry in sorted(proof.flags, key=lambda entry: entry.spw):
        earlier = met[entry.field, entry.spw]
        rows.setdefault((entry.field, earlier), {})[entry.spw] = entry
        met[entry.field, entry.spw] += 1
    return [(field, by_spw) for (field, _), by_spw in rows.items()]


def flagged_range(proof: Proof | None) -> str:
    """Return the least and the most flagged fraction of the restored fields and spectral windows."""
    if proof is None or not proof.flags:
        return "not measured"
    fractions = [entry.restored for entry in proof.flags]
    least, most = percent(min(fractions)), percent(max(fractions))
    return least if least == most else f"{least} to {most}"


def flags_overall(proof: Proof) -> str:
    """Say of all fields and spectral windows together how flags and calibration came out."""
    compared = any(entry.archived is not None for entry in proof.flags)
    lost = sum(entry.lost for entry in proof.flags)
    calibrated = sum(entry.calibrated is True for entry in proof.flags)
    return (
        f"{flagged_range(proof)} flagged · "
        f"{f'{count(lost)} archived flags lost' if compared else 'no archived flags to compare with'} · "
        f"{calibrated} of {len(proof.flags)} seen to be calibrated"
    )


def reasons(record: Provenance) -> dict[str, str]:
    """Return each reason of the verdict once, in order, with the execution blocks that gave it.

    A reason that names the measurement set itself is left to speak for itself.
    """
    return {reason: _givers(reason, record.blocks) for reason in record.verdict.reasons}


def _givers(reason: str, blocks: tuple[BlockRecord, ...]) -> str:
    givers = [block.uid for block in blocks if reason in block.verdict.reasons and block.vis not in reason]
    return ", ".join(givers) if len(givers) <= _MOST_NAMED else f"{len(givers)} execution blocks"

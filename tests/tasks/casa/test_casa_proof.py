"""What is wrong with a restored measurement set, from what was measured on it."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from tasks.casa.proof import PROVEN, FieldFlags, Proof, ReferenceDigest


def flags(lost: int = 0, calibrated: bool | None = True, field: str = "target") -> FieldFlags:
    return FieldFlags(field=field, spw=0, archived=0.25, restored=0.25, lost=lost, calibrated=calibrated)


def proof(*entries: FieldFlags, unequal: tuple[str, ...] = (), has_corrected: bool = True) -> Proof:
    return Proof(vis="x.ms", rows=10, has_corrected=has_corrected, flags=entries, unequal=unequal)


@pytest.mark.parametrize(
    ("measured", "faults"),
    [
        (proof(flags()), ()),
        (proof(has_corrected=False), ("x.ms has no CORRECTED_DATA",)),
        (proof(flags(lost=3), flags(lost=4)), ("7 flags of the archived version are not in x.ms",)),
        (proof(flags(calibrated=False)), ("CORRECTED_DATA equals DATA everywhere in x.ms",)),
        (
            proof(flags(calibrated=False), flags(calibrated=None)),
            ("CORRECTED_DATA equals DATA everywhere in x.ms",),
        ),
        (proof(flags(calibrated=None)), ()),
        (proof(flags(), flags(calibrated=False)), ()),
        (proof(flags(), unequal=PROVEN), tuple(f"{name} differs from the archived reference" for name in PROVEN)),
    ],
)
def test_faults(measured: Proof, faults: tuple[str, ...]) -> None:
    assert measured.faults() == faults


def test_a_part_that_was_not_calibrated_is_a_caveat_unless_all_was_not() -> None:
    part = proof(flags(), flags(calibrated=False, field="phase"))
    assert part.caveats() == ("CORRECTED_DATA equals DATA in x.ms for phase (spw 0)",)
    assert proof(flags(calibrated=False)).caveats() == ()
    assert proof(flags()).caveats() == ()


DIGEST = {"format": 1, "algorithm": "sha256", "columns": {name: {"0": "ab" * 32} for name in PROVEN}}


def test_a_whole_reference_can_be_used() -> None:
    assert set(ReferenceDigest.model_validate_json(json.dumps(DIGEST)).columns) == set(PROVEN)


@pytest.mark.parametrize(
    "changed",
    [
        {"format": 2},
        {"algorithm": "md5"},
        {"columns": {}},
        {"columns": {**DIGEST["columns"], "FLAG": {}}},  # type: ignore[dict-item]
        {"columns": {name: {"0": "ab" * 32} for name in PROVEN[:2]}},
        {"columns": None},
    ],
)
def test_a_reference_that_could_not_prove_equality_is_none(changed: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ReferenceDigest.model_validate_json(json.dumps(DIGEST | changed))

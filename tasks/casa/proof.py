"""The proof of one restored execution block: what was measured on its measurement set, and what is wrong with it.

The measuring is done inside the CASA child (`recipes/prove.py`); these are its words, and the judgement on them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, field_validator

__all__ = ["PROVEN", "Digest", "FieldFlags", "Proof", "Reference", "ReferenceDigest"]

PROVEN = ("CORRECTED_DATA", "FLAG", "WEIGHT")
"""The columns that a reference must hold and a result must equal."""

Digest = dict[str, dict[str, str]]
"""SHA-256 by column and by data description id."""


class Reference(StrEnum):
    """How the result compares with the reference digest."""

    EQUAL = "equal"
    """Every column that the reference holds is bitwise equal."""
    DIFFERENT = "different"
    """At least one is not."""
    ABSENT = "absent"
    """No reference is archived beside the calibration."""


class ReferenceDigest(BaseModel):
    """The file of an archived digest; its format is that of `recipes/digest.py`."""

    model_config = ConfigDict(frozen=True)

    format: Literal[1]
    algorithm: Literal["sha256"]
    columns: Digest

    @field_validator("columns")
    @classmethod
    def _all_that_must_be_proven(cls, columns: Digest) -> Digest:
        if absent := [name for name in PROVEN if not columns.get(name)]:
            raise ValueError(f"it has no {' and no '.join(absent)}")
        return columns


class FieldFlags(BaseModel):
    """Flagged fractions (0 to 1) and calibration of one field in one spectral window.

    Parameters
    ----------
    archived
        Fraction flagged in the archived flag version; None when there is no version to compare with.
    restored
        Fraction flagged in the restored measurement set.
    lost
        How many flags of the archived version are not set in the measurement set.
    calibrated
        Whether CORRECTED_DATA differs from DATA; None where every sample looked at is flagged.
    """

    model_config = ConfigDict(frozen=True)

    field: str
    spw: int
    archived: float | None
    restored: float
    lost: int
    calibrated: bool | None


class Proof(BaseModel):
    """What was measured on a restored measurement set.

    Parameters
    ----------
    rows
        Its number of rows.
    has_corrected
        Whether it has a CORRECTED_DATA column.
    flags
        One entry for each field and spectral window.
    by_antenna, by_spw
        Flagged fractions (0 to 1).
    digest
        Of CORRECTED_DATA, FLAG and WEIGHT.
    reference, unequal
        How they compare with the archived digest, and the columns that do not.
    figures
        Picture files, relative to the child's directory.
    """

    model_config = ConfigDict(frozen=True)

    vis: str
    rows: int
    has_corrected: bool
    flags: tuple[FieldFlags, ...] = ()
    by_antenna: dict[str, float] = {}
    by_spw: dict[str, float] = {}
    digest: Digest = {}
    reference: Reference = Reference.ABSENT
    unequal: tuple[str, ...] = ()
    figures: tuple[str, ...] = ()

    def faults(self) -> tuple[str, ...]:
        """Return the reasons, one sentence each, for which this is not a restored execution block."""
        if not self.has_corrected:
            return (f"{self.vis} has no CORRECTED_DATA",)
        lost = sum(entry.lost for entry in self.flags)
        known = [entry.calibrated for entry in self.flags if entry.calibrated is not None]
        return (
            *((f"{lost} flags of the archived version are not in {self.vis}",) if lost else ()),
            *((f"CORRECTED_DATA equals DATA everywhere in {self.vis}",) if known and not any(known) else ()),
            *(() if self.flags else (f"nothing could be measured on {self.vis}",)),
            *(f"{column} differs from the archived reference" for column in self.unequal),
        )

    def caveats(self) -> tuple[str, ...]:
        """Return what a user of the measurement set should know."""
        if self.faults():
            return ()
        same = self._where(False)
        unseen = self._where(None)
        return (
            *((f"CORRECTED_DATA equals DATA in {self.vis} for {same}",) if same else ()),
            *((f"all samples seen in {self.vis} are flagged for {unseen}",) if unseen else ()),
        )

    def _where(self, calibrated: bool | None) -> str:
        return ", ".join(
            f"{flags.field} (spw {flags.spw})" for flags in self.flags if flags.calibrated is calibrated
        )

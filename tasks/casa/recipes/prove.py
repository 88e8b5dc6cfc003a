"""Measure a restored measurement set, inside the CASA child."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from tasks.casa.proof import PROVEN, Digest, FieldFlags, Proof, Reference, ReferenceDigest
from tasks.casa.recipes import figures
from tasks.casa.recipes.digest import digest
from tasks.casa.recipes.sample import Sample, sample
from tasks.casa.recipes.tables import columns, data_descriptions, opened, row_chunks, selected
from tasks.errors import Refused

__all__ = ["prove"]


@dataclass
class _Count:
    """Flags counted by an index: set in the set, set in the archived version, lost between them, and all."""

    restored: dict[int, int] = field(default_factory=dict)
    archived: dict[int, int] = field(default_factory=dict)
    lost: dict[int, int] = field(default_factory=dict)
    total: dict[int, int] = field(default_factory=dict)

    def fractions(self) -> dict[int, float]:
        return {index: self.restored[index] / total for index, total in self.total.items() if total}


def prove(vis: str, flag_version: str | None, reference: Path | None, picture: Path) -> Proof:
    """Measure a restored measurement set and draw it.

    Parameters
    ----------
    vis
        The measurement set.
    flag_version
        Name of the archived flag version beside it that must be contained in its flags.
    reference
        The file of the archived digest, if there is one.
    picture
        Where to draw it.

    Raises
    ------
    Refused
        The archived digest cannot be read, or lacks a column.
    """
    with opened(vis) as main:
        rows, has_corrected = int(main.nrows()), "CORRECTED_DATA" in main.colnames()
    if not has_corrected:
        return Proof(vis=vis, rows=rows, has_corrected=False)
    fields, antennas, windows = _names(vis, "FIELD"), _names(vis, "ANTENNA"), data_descriptions(vis)
    by_antenna, by_field = _count_flags(vis, windows, flag_version)
    samples = tuple(sample(vis, windows, _least_flagged(by_antenna)))
    measured, expected = digest(vis, PROVEN), _expected(reference)
    unequal = tuple(column for column in sorted(expected) if measured.get(column) != expected[column])
    flags = tuple(_field_flags(by_field, samples, fields, flag_version is not None))
    antenna_flags = {antennas[index]: value for index, value in by_antenna.fractions().items()}
    spw_flags = _by_spw(by_field)
    figures.draw(picture, vis, samples, fields, antenna_flags, spw_flags)
    return Proof(
        vis=vis,
        rows=rows,
        has_corrected=True,
        flags=flags,
        by_antenna=antenna_flags,
        by_spw=spw_flags,
        digest=measured,
        reference=_compared(expected, unequal),
        unequal=unequal,
        figures=(picture.name,),
    )


def _names(vis: str, subtable: str) -> list[str]:
    with opened(f"{vis}/{subtable}") as rows:
        return [str(name) for name in rows.getcol("NAME")]


def _count_flags(vis: str, windows: list[int], version: str | None) -> tuple[_Count, dict[int, _Count]]:
    """Count flags by antenna, and by field within each spectral window."""
    by_antenna: _Count = _Count()
    by_field: dict[int, _Count] = {}
    for window, chunk, flags, archived in _flag_chunks(vis, windows, version):
        for ends in ("ANTENNA1", "ANTENNA2"):
            _add(by_antenna, chunk[ends], flags, archived)
        _add(by_field.setdefault(window, _Count()), chunk["FIELD_ID"], flags, archived)
    return by_antenna, by_field


def _flag_chunks(
    vis: str, windows: list[int], version: str | None
) -> Iterator[tuple[int, dict[str, NDArray[Any]], NDArray[np.bool_], NDArray[np.bool_] | None]]:
    archive = f"{vis}.flagversions/flags.{version}"
    for description, window in enumerate(windows):
        with opened(vis) as main, selected(main, f"DATA_DESC_ID=={description}") as rows:
            numbers = rows.rownumbers()
            for first, count in row_chunks(rows, item_bytes=1):
                chunk = columns(rows, ("FIELD_ID", "ANTENNA1", "ANTENNA2"), first, count)
                archived = _archived_flags(archive, numbers[first : first + count]) if version else None
                yield window, chunk, rows.getcol("FLAG", first, count), archived


def _archived_flags(path: str, numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
    with opened(path) as archive:
        chosen = archive.selectrows([int(number) for number in numbers])
        try:
            return np.asarray(chosen.getcol("FLAG"), dtype=bool)
        finally:
            chosen.close()


def _add(count: _Count, index: NDArray[Any], flags: NDArray[np.bool_], archived: NDArray[np.bool_] | None) -> None:
    _tally(count.restored, index, flags.sum(axis=(0, 1)))
    _tally(count.total, index, np.full(index.shape, flags.shape[0] * flags.shape[1]))
    if archived is not None:
        _tally(count.archived, index, archived.sum(axis=(0, 1)))
        _tally(count.lost, index, (archived & ~flags).sum(axis=(0, 1)))


def _tally(into: dict[int, int], index: NDArray[Any], numbers: NDArray[Any]) -> None:
    for key, value in enumerate(np.bincount(index, weights=numbers)):
        into[key] = into.get(key, 0) + int(value)


def _least_flagged(by_antenna: _Count) -> int:
    fractions = by_antenna.fractions()
    return min(fractions, key=lambda index: fractions[index])


def _field_flags(
    by_field: dict[int, _Count], samples: tuple[Sample, ...], names: list[str], compared: bool
) -> Iterator[FieldFlags]:
    calibrated = _calibrated(samples)
    for window, count in sorted(by_field.items()):
        for index, total in sorted(count.total.items()):
            if total:
                yield FieldFlags(
                    field=names[index],
                    spw=window,
                    archived=count.archived[index] / total if compared else None,
                    restored=count.restored[index] / total,
                    lost=count.lost.get(index, 0),
                    calibrated=calibrated.get((window, index)),
                )


def _calibrated(samples: tuple[Sample, ...]) -> dict[tuple[int, int], bool]:
    found: dict[tuple[int, int], bool] = {}
    for part in samples:
        for index in np.unique(part.field_id):
            good = ~part.flag & (part.field_id == index)
            if good.any():
                found[part.spw, int(index)] = bool((part.corrected[good] != part.data[good]).any())
    return found


def _by_spw(by_field: dict[int, _Count]) -> dict[str, float]:
    return {
        str(window): sum(count.restored.values()) / max(1, sum(count.total.values()))
        for window, count in sorted(by_field.items())
    }


def _expected(reference: Path | None) -> Digest:
    if reference is None:
        return {}
    try:
        return ReferenceDigest.model_validate_json(reference.read_bytes()).columns
    except ValidationError as error:
        why = "; ".join(entry["msg"] for entry in error.errors())
        raise Refused(f"the reference {reference.name}", why, "have the product archived anew") from error


def _compared(expected: Digest, unequal: tuple[str, ...]) -> Reference:
    if not expected:
        return Reference.ABSENT
    return Reference.DIFFERENT if unequal else Reference.EQUAL

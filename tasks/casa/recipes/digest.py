"""The digest by which two measurement sets are held equal: SHA-256 of a column's bytes, by data description.

A digest of a few hundred bytes is archived beside a calibration in place of the calibrated data, so that a restore
can be proven equal to the original bit by bit.

The format, as JSON::

    {"format": 1, "algorithm": "sha256",
     "columns": {"CORRECTED_DATA": {"<data description id>": "<hex>", ...}, "FLAG": {...}, "WEIGHT": {...}}}

Each hash runs over the column's cells for the rows of one DATA_DESC_ID, in the table's row order, row-major in
(row, channel, polarization), or (row, polarization) where there are no channels; little-endian, in the precision
in which the table stores them (CASA's Python tools hand out doubles for floats).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from tasks.casa.proof import Digest
from tasks.casa.recipes.tables import opened, row_chunks, selected

__all__ = ["ALGORITHM", "FORMAT", "digest", "document"]

FORMAT = 1
ALGORITHM = "sha256"
_STORED = {"boolean": "?", "int": "<i4", "float": "<f4", "double": "<f8", "complex": "<c8", "dcomplex": "<c16"}
_READ_BYTES = 16
"""Of the largest value that CASA hands out."""


def document(columns: Digest) -> dict[str, object]:
    """Return what the file of a digest holds."""
    return {"format": FORMAT, "algorithm": ALGORITHM, "columns": columns}


def digest(vis: str, columns: Sequence[str]) -> Digest:
    """Return the hashes of a measurement set's columns, reading a bounded part of it at a time.

    Parameters
    ----------
    vis
        Path of the measurement set.
    columns
        Columns to hash; each must be filled in every row.

    Raises
    ------
    OSError
        It is not a CASA table.
    RuntimeError, KeyError
        It lacks a column, or a column holds no numbers.
    """
    hashes: Digest = {column: {} for column in columns}
    with opened(vis) as main:
        for description in sorted(set(main.getcol("DATA_DESC_ID").tolist())):
            with selected(main, f"DATA_DESC_ID=={description}") as rows:
                for column in columns:
                    hashes[column][str(description)] = _hash(rows, column)
    return hashes


def _hash(rows: Any, column: str) -> str:
    stored = np.dtype(_STORED[rows.coldatatype(column)])
    running = hashlib.new(ALGORITHM)
    for first, count in row_chunks(rows, column, _READ_BYTES):
        # CASA gives cells as (polarization, channel, row), in memory order of the last axis first.
        cells = np.ascontiguousarray(rows.getcol(column, first, count).T, dtype=stored)
        running.update(cells.reshape(-1).view(np.uint8).data)
    return running.hexdigest()

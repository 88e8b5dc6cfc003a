"""The digest of a measurement set, held against one that is written out here; CASA runs in a child."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.casa.environment import child_environment, measures_directory

ROWS = 50
PROGRAM = """
import json, sys
import numpy as np
from casatools import table
from tasks.casa.recipes import digest, tables

tables._CHUNK_BYTES = int(sys.argv[1])
column = {"dataManagerType": "StandardStMan", "dataManagerGroup": "all", "option": 0, "maxlen": 0, "comment": ""}
main = table()
main.create("small.ms", {
    "DATA_DESC_ID": {**column, "valueType": "int"},
    "CORRECTED_DATA": {**column, "valueType": "complex", "ndim": 2},
    "WEIGHT": {**column, "valueType": "float", "ndim": 1},
})
with np.load("cells.npz") as cells:
    main.addrows(len(cells["description"]))
    for row, description in enumerate(cells["description"].tolist()):
        main.putcell("DATA_DESC_ID", row, description)
        main.putcell("CORRECTED_DATA", row, cells[f"data{row}"])
        main.putcell("WEIGHT", row, cells[f"weight{row}"])
main.close()
print(json.dumps(digest.document(digest.digest("small.ms", sys.argv[2:]))))
"""


def cells(seed: int) -> dict[str, Any]:
    """Return rows of two data descriptions in turn: 4 channels, and 2; cells are (polarization, channel)."""
    random = np.random.default_rng(seed)
    rows: dict[str, Any] = {"description": np.arange(ROWS) % 2}
    for row in range(ROWS):
        shape = (2, 4 - 2 * (row % 2))
        data = random.standard_normal(shape) + 1j * random.standard_normal(shape)
        rows[f"data{row}"] = data.astype(np.complex64)
        rows[f"weight{row}"] = random.uniform(size=2)
    return rows


def digest(
    directory: Path, rows: dict[str, Any], chunk_bytes: int, *columns: str
) -> subprocess.CompletedProcess[str]:
    directory.mkdir()
    with (directory / "cells.npz").open("wb") as file:
        np.savez(file, **rows)
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, str(chunk_bytes), *columns],
        cwd=directory,
        env=child_environment(directory, measures_directory()),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def expected(rows: dict[str, Any], description: int) -> dict[str, str]:
    mine = range(description, ROWS, 2)
    data = np.stack([rows[f"data{row}"].T for row in mine]).astype("<c8")
    weight = np.stack([rows[f"weight{row}"] for row in mine]).astype("<f4")
    return {
        "CORRECTED_DATA": hashlib.sha256(data.tobytes()).hexdigest(),
        "WEIGHT": hashlib.sha256(weight.tobytes()).hexdigest(),
    }


@pytest.mark.parametrize("chunk_bytes", [1, 300, 2**20])
def test_a_digest_is_that_of_the_bytes_however_they_are_read(tmp_path: Path, chunk_bytes: int) -> None:
    rows = cells(seed=1)
    child = digest(tmp_path / "child", rows, chunk_bytes, "CORRECTED_DATA", "WEIGHT")
    columns: dict[str, dict[str, str]] = {"CORRECTED_DATA": {}, "WEIGHT": {}}
    for description in (0, 1):
        for column, value in expected(rows, description).items():
            columns[column][str(description)] = value
    assert json.loads(child.stdout) == {"format": 1, "algorithm": "sha256", "columns": columns}


def test_a_column_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    child = digest(tmp_path / "child", cells(seed=1), 2**20, "MODEL_DATA")
    assert child.returncode != 0
    assert "MODEL_DATA" in child.stderr

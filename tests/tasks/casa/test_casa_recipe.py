"""The calibration tables that the recipe takes from an archive; CASA runs in a child."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tasks.casa.calapply import Applycal
from tasks.casa.environment import child_environment, measures_directory
from tasks.casa.request import REQUEST, RestoreRequest

VIS = "x.ms"
OWN, SHARED = f"{VIS}.tsys.tbl", "session_1.bandpass.tbl"
PROGRAM = """
import shutil, sys, tarfile
from pathlib import Path
from casatools import table
from tasks.casa.recipes import restore
from tasks.casa.request import RestoreRequest

own, shared, solved_on, spoilt = sys.argv[2:]
for name in (own, shared):
    made = table()
    made.create(name, {})
    if name == own and solved_on:
        made.putkeyword("MSName", solved_on)
    made.close()
if spoilt:
    Path(shared, "table.dat").unlink()
with tarfile.open("tables.tgz", "w:gz") as tar:
    for name in (own, shared):
        tar.add(name, f"./{name}")
restore._unpack_tables(RestoreRequest.model_validate_json(Path(sys.argv[1]).read_bytes()))
"""


def unpacked(directory: Path, solved_on: str, *, spoilt: bool = False) -> subprocess.CompletedProcess[str]:
    request = RestoreRequest(
        asdm=directory, vis=VIS, rows_promised=1, session="session_1", flags=directory, reference=None,
        caltables=Path("tables.tgz"), commands=(Applycal(vis=VIS, gaintable=(OWN, SHARED)),),
        ocorr_mode="ca", asis="", bdfflags=True,
    )  # fmt: skip
    (directory / REQUEST).write_text(request.model_dump_json())
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, REQUEST, OWN, SHARED, solved_on, "spoilt" if spoilt else ""],
        cwd=directory,
        env=child_environment(directory, measures_directory()),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_tables_are_found_under_names_with_a_leading_dot(tmp_path: Path) -> None:
    child = unpacked(tmp_path, f"/somewhere/{VIS}")
    assert child.returncode == 0, child.stderr
    assert sorted(path.name for path in (tmp_path / "caltables").iterdir()) == sorted((OWN, SHARED))


@pytest.mark.parametrize(
    ("solved_on", "reason"), [("", "does not say on what it was solved"), ("y.ms", "it was solved on y.ms")]
)
def test_an_execution_block_s_own_table_must_be_its_own(tmp_path: Path, solved_on: str, reason: str) -> None:
    child = unpacked(tmp_path, solved_on)
    assert f"Failed: calibration table {OWN}: " in child.stderr
    assert reason in child.stderr


def test_a_table_without_its_description_is_not_there(tmp_path: Path) -> None:
    child = unpacked(tmp_path, VIS, spoilt=True)
    assert f"Missing: calibration tables {SHARED}: " in child.stderr

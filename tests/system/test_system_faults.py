"""`ppi demo --fault`: a fault in the embedded archive, from end to end, and nothing of it left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deployments.local import environment
from deployments.local.observatory.build import Observatory

OTHERWISE = """
import sys
from dataclasses import replace
from cli.main import main
from deployments.local.named_faults import FAULTS
FAULTS["path-traversal"] = replace(FAULTS["path-traversal"], ends=None)
sys.argv = ["ppi", *sys.argv[1:]]
main()
"""


def demo(
    tmp_path: Path, *arguments: str, begin: tuple[str, ...] = ("-m", "cli")
) -> subprocess.CompletedProcess[str]:
    variables = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PPI_HOME": str(environment.home()),
        "TMPDIR": str(tmp_path),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    command = [sys.executable, *begin, "demo", *arguments]
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=300, check=False)


def left(tmp_path: Path) -> list[Path]:
    return [path for path in tmp_path.iterdir() if path.name.startswith("ppi-")]


def state(observatory: Observatory) -> dict[str, tuple[int, int]]:
    """Return all files of the observatory's archive, whose servers others may be using."""
    files = [path for path in observatory.archive_root.rglob("*") if path.is_file() and path.suffix == ".bin"]
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in files}


def told(ended: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ended.stdout)
    assert found["as_it_should"], ended.stderr
    return found


def test_what_passes_ends_with_a_proven_restore(observatory: Observatory, tmp_path: Path) -> None:
    before = state(observatory)
    ended = demo(tmp_path, "--fault", "dies-in-mid-transfer")
    assert ended.returncode == 0, ended.stderr
    assert "dies-in-mid-transfer: the archive has a server that is killed" in ended.stdout
    assert "met: uid___" in ended.stdout
    assert "success; reference equal, equal, equal, equal" in ended.stdout
    assert "exit code 0 (passes), as it should" in ended.stdout
    assert (left(tmp_path), state(observatory)) == ([], before)


def test_what_is_fatal_ends_with_its_error(observatory: Observatory, tmp_path: Path) -> None:
    before = state(observatory)
    ended = demo(tmp_path, "--fault", "flipped-byte", "--json")
    assert ended.returncode == 6
    trial = told(ended)
    assert (trial["expected"], trial["ended"], trial["row"]) == ("Failed", "Failed", 4)
    assert len(trial["met"]) == 2
    assert "have checksum crc32:" in trial["error"]
    assert "CHECKFILE" in ended.stderr.splitlines()[-1]
    assert (left(tmp_path), state(observatory)) == ([], before)


@pytest.mark.parametrize(("name", "code"), [("copy-short", 0), ("path-traversal", 3)])
def test_what_needs_a_report_is_fetched_by_one(
    observatory: Observatory, tmp_path: Path, name: str, code: int
) -> None:
    ended = demo(tmp_path, "--fault", name, "--json")
    assert ended.returncode == code, ended.stderr
    trial = told(ended)
    assert ("by STREAM in the end" in trial["got"]) == (code == 0)
    assert left(tmp_path) == []


def test_what_ends_otherwise_is_a_failure(observatory: Observatory, tmp_path: Path) -> None:
    ended = demo(tmp_path, "--fault", "path-traversal", begin=("-c", OTHERWISE))
    assert ended.returncode == 6
    assert "as it should" not in ended.stdout
    assert "it ended with Refused, where a right client ends with passes" in ended.stderr

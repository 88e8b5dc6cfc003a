"""`ppi history --id`: the pieces of work of an execution, with what they took and had asked for."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from tasks.catalog.catalog import Catalog
from tasks.catalog.connection import Database
from tasks.catalog.model import Execution, Piece
from tasks.catalog.states import State

PROFILE = """\
ppi.processing.rootDirectory = {area}
ppi.metadata.url = sqlite:////nowhere
ppi.ngas.servers = one:7777
"""
BLOCK = "uid://A002/Xc7111c/X3979"


@pytest.fixture(autouse=True)
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile whose catalog knows one run, by a job that was begun twice."""
    (tmp_path / "site-test.properties").write_text(PROFILE.format(area=tmp_path))
    for name, value in {"CAPO_PATH": str(tmp_path), "CAPO_PROFILE": "site-test", "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "installation"))
    catalog = Catalog(Database(f"sqlite:///{tmp_path / 'catalog.db'}"), "site-test")
    begun = catalog.begin(
        Execution(
            flow="restore-ous",
            profile="site-test",
            observation="uid://A001/X1284/X265f",
            owner="one/boot pid:[1]/2/3",
            started=datetime(2026, 5, 4, 12, tzinfo=UTC),
        )
    )
    restore = Piece(
        stage="process",
        step="restore",
        item=BLOCK,
        kind="casatasks 6.7.0 hifa_restore",
        input_bytes=3 * 10**9,
        wall_seconds=35.21,
        cpu_seconds=7.5,
        peak_memory_bytes=384 * 10**6,
        requested_memory_bytes=2 * 10**9,
        place="slot1_3@node",
        attempts=2,
    )
    deliver = Piece(stage="finish", step="deliver", wall_seconds=1.0, taken_over=True)
    catalog.write(begun.model_copy(update={"state": State.FAILED, "pieces": (restore, deliver)}))


def test_the_pieces_of_work_are_shown_with_all_that_is_known() -> None:
    shown = CliRunner().invoke(app, ["history", "--id", "1"])
    assert shown.exit_code == 0, shown.output
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in shown.stdout.splitlines() if "│" in line]
    assert lines == [
        ["process", BLOCK, "restore", "3.0 GB", "35.2 s", "7.5 s", "384.0 MB", "2.0 GB", "2", "slot1_3@node",
         "casatasks 6.7.0 hifa_restore"],
        ["finish", "", "deliver, by an earlier run", "", "1.0 s", "", "", "", "1", "", ""],
    ]  # fmt: skip


def test_machines_are_told_everything() -> None:
    told = json.loads(CliRunner().invoke(app, ["history", "--id", "1", "--json"]).stdout)
    assert told["owner"] == "one/boot pid:[1]/2/3"
    assert [(piece["step"], piece["attempts"], piece["taken_over"]) for piece in told["pieces"]] == [
        ("restore", 2, False),
        ("deliver", 1, True),
    ]

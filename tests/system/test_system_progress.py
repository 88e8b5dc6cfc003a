"""Progress as Prefect's pages have it: how far, how fast, how long, of all files and each; and how they came."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from moving_flow import HOSTILE, MB
from prefect_records import Records

from tasks.report.marks import plain

ROOT = Path(__file__).parents[2]


def _artifact(records: Records, key: str) -> dict[str, Any] | None:
    found = records.ask("artifacts", artifacts={"key": {"any_": [key]}}, sort="CREATED_DESC")
    return found[0] if found else None


@pytest.fixture(scope="module")
def watched(prefect_api: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Records, list[dict[str, Any]]]:
    """Run the flow, and keep each state in which its progress was seen."""
    records, seen = Records(prefect_api), list[dict[str, Any]]()
    home = str(tmp_path_factory.mktemp("home"))
    variables = {
        "PATH": os.environ["PATH"], "HOME": home, "PREFECT_HOME": home, "PREFECT_API_URL": prefect_api,
        "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    before = _artifact(records, "gather")
    running = subprocess.Popen([sys.executable, Path(__file__).with_name("moving_flow.py")], env=variables)
    while running.poll() is None:
        now = _artifact(records, "gather")
        if now and (before is None or now["id"] != before["id"]) and now not in seen:
            seen.append(now)
        time.sleep(0.1)
    assert running.returncode == 0
    last = _artifact(records, "gather")
    assert last
    return records, [*seen, *([last] if last not in seen else [])]


def test_all_files_and_each_have_bytes_rate_and_remaining_time(
    watched: tuple[Records, list[dict[str, Any]]],
) -> None:
    _, seen = watched
    told = [each["description"].replace("\\", "") for each in seen]
    whole = r"\d of 3 files, [\d.]+ of 160\.0 MB, [\d.]+ MB/s, \d+ s left"
    file = r"- a\.tar: [\d.]+ of 90\.0 MB, [\d.]+ MB/s, \d+ s left"
    under_way = [text for text in told if re.search(whole, text)]
    assert len(under_way) >= 2
    assert len(set(under_way)) == len(under_way)
    assert any(re.search(file, text) for text in told)
    assert all(text.startswith("bytes fetched of X") for text in told)
    assert "3 of 3 files, 160.0 of 160.0 MB" in told[-1]
    assert [each["data"] for each in seen] == sorted(each["data"] for each in seen)
    assert seen[-1]["data"] == 100.0


def test_it_is_updated_once_a_second(watched: tuple[Records, list[dict[str, Any]]]) -> None:
    _, seen = watched
    moments = [datetime.fromisoformat(each["updated"]) for each in seen]
    gaps = [(after - before).total_seconds() for before, after in pairwise(moments[:-1])]
    assert len(gaps) >= 2
    assert min(gaps) > 0.9


def test_how_every_file_came_is_a_table_on_the_page_of_the_flow_itself(
    watched: tuple[Records, list[dict[str, Any]]],
) -> None:
    records, seen = watched
    shown = _artifact(records, "transfers")
    assert shown
    (run,) = records.ask("flow_runs", flow_runs={"id": {"any_": [shown["flow_run_id"]]}})
    assert run["name"] == "moving"
    assert run["id"] != seen[-1]["flow_run_id"]
    assert shown["type"] == "table"
    rows = json.loads(shown["data"])
    assert [row["file"] for row in rows] == [plain("a.tar"), plain(HOSTILE), "c"], "cells are shown as Markdown"
    assert rows[0] == {
        "file": plain("a.tar"), "bytes": 90 * MB, "seconds": 3.5, "rate": "20.0 MB/s", "server": plain("n1:7777"),
        "attempts": 2, "how": plain("stream, resumed from 20.0 MB"),
    }  # fmt: skip
    assert [row["how"] for row in rows[1:]] == ["stream", "store"]
    assert "2 files" in shown["description"]

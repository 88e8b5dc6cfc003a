"""A restore that fails, as its operator and Prefect see it: told where and why, and nothing delivered."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from environments import PROPRIETARY, Environment, MakeEnvironment
from prefect_records import Records

from deployments.local.ngas_server import archive
from tasks.errors import Refused

BLOCK = "uid___A002_Xc7350a_X1c2"
CODE = "__import__('os').system('true')"


def spoil(root: Path) -> None:
    """Archive calibration commands anew, of the same size, with code among them."""
    old = next(path for path in root.rglob("*calapply.txt*") if BLOCK in path.name)
    new = root.parent / "spoilt"
    new.write_bytes(CODE.encode().ljust(old.stat().st_size, b"\n"))
    archive(root, new, f"member.{BLOCK}.ms.calapply.txt")


def _run_of(environment: Environment, records: Records) -> dict[str, dict[str, Any]]:
    runs = records.ask("flow_runs", flow_runs={"name": {"any_": ["restore X1284_X9912"]}})
    (own,) = [run for run in runs if run["parameters"]["profile"] == environment.name]
    return records.flow_runs(own["id"])


def test_an_execution_block_that_fails_fails_the_flow_where_it_failed(
    make_environment: MakeEnvironment, prefect_api: str
) -> None:
    environment = make_environment("site-spoilt", access_projects="*")
    spoil(environment.archive)
    ended = environment.ppi("restore", PROPRIETARY)
    assert ended.returncode == Refused.exit_code
    (line,) = [line for line in ended.stderr.splitlines() if line.startswith("ppi: ")]
    assert f"{BLOCK}.ms.calapply.txt, line 1 is not an applycal line" in line
    assert ended.stdout == ""

    records = Records(prefect_api)
    runs = _run_of(environment, records)
    assert {name: run["state_type"] for name, run in runs.items()} == {
        "restore X1284_X9912": "FAILED", "gather": "COMPLETED", "process": "FAILED",
    }  # fmt: skip
    shown = records.artifacts(runs)
    assert shown["gather"]["data"] == 100.0
    assert re.search(r"(\d+) of \1 files, ([\d.]+) of \2 ", shown["gather"]["description"].replace("\\", ""))
    assert shown["process"]["data"] < 100.0
    assert "restore" not in shown
    assert shown["transfers"]["flow_run_id"] == runs["restore X1284_X9912"]["id"]
    rows = json.loads(shown["transfers"]["data"])
    assert {row["file"].replace("\\", "") for row in rows} <= set(environment.retrieved())
    assert {(row["how"], row["attempts"]) for row in rows} <= {("stream", 1), ("store", 0)}

    assert not (environment.area / "delivered").exists()
    (state,) = json.loads(environment.ppi("status", "--json").stdout)
    assert (state["state"], state["blocks_done"]) == ("interrupted", 0)

"""`ppi profile check` and `ppi doctor` against real services: before a deployment, after it, and later."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from environments import Environment, MakeEnvironment
from serving import worker

from deployments.local.observatory.build import Observatory

SECONDS = 30
"""In which a check must end here, where other tests run beside it; alone it takes under 6."""


def check(environment: Environment) -> tuple[int, dict[str, dict[str, Any]]]:
    began = time.monotonic()
    ended = environment.ppi("profile", "check", "--json")
    assert time.monotonic() - began < SECONDS, ended.stderr
    return ended.returncode, {each["what"]: each for each in json.loads(ended.stdout)["findings"]}


def wrong(findings: dict[str, dict[str, Any]]) -> set[str]:
    return {what for what, finding in findings.items() if finding["state"] in ("wrong", "unknown")}


def test_a_check_follows_an_environment_from_its_files_to_its_worker(
    make_environment: MakeEnvironment, prefect_api: str
) -> None:
    environment = make_environment("site-checked")
    code, found = check(environment)
    assert (code, wrong(found)) == (4, {"blocks and deployments", "work pool", "worker"})
    assert found["work pool"]["todo"] == "ppi deploy site-checked"
    assert not environment.area.exists()

    deployed = environment.ppi("deploy")
    assert deployed.returncode == 0, deployed.stderr
    code, found = check(environment)
    assert (code, wrong(found)) == (4, {"worker"})
    assert "ppi serve worker" in found["worker"]["todo"]

    with worker(environment, prefect_api):
        deadline = time.monotonic() + 60
        while code and time.monotonic() < deadline:
            code, found = check(environment)
    assert (code, wrong(found)) == (0, set())
    assert found["worker"]["why"].startswith("site-checked@")
    assert found["metadata database"]["why"].startswith("9 tables can be read")

    file = environment.capo / "site-checked.properties"
    file.write_text(file.read_text().replace("ppi.ngas.timeoutSeconds = 5", "ppi.ngas.timeoutSeconds = 6"))
    code, found = check(environment)
    assert code == 4
    assert "ppi.ngas.timeoutSeconds" in found["blocks and deployments"]["why"]
    assert "ppi deploy site-checked" in found["blocks and deployments"]["todo"]


def test_the_doctor_tries_a_restore_from_end_to_end(tmp_path: Path, observatory: Observatory) -> None:
    embedded = tmp_path / "embedded"
    embedded.mkdir()
    (embedded / "observatories").symlink_to(observatory.archive_root.parents[1])
    ended = subprocess.run(
        [sys.executable, "-m", "cli", "doctor", "-P", "local", "--json"],
        env={**os.environ, "PPI_HOME": str(embedded)},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    told = json.loads(ended.stdout)
    assert ended.returncode == 0, told
    assert told["ok"]
    assert set(told["versions"]) >= {"PPI", "Python", "Prefect", "CASA wheels", "installation"}
    trial = told["findings"][-1]
    assert (trial["what"], trial["state"]) == ("trial", "ok")
    assert Path(trial["why"].rpartition("report: ")[2]).is_file()

"""`ppi status` while a restore runs on a real pool, and what is left to see of its jobs when it has ended."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from collections.abc import Callable
from typing import Any

from environments import MOUS, Environment, MakeEnvironment

from deployments.local.condor.pool import LocalPool

PATIENCE = 240.0
URL = "http://127.0.0.1:9/reports"


def statuses(environment: Environment) -> dict[str, Any]:
    ran = environment.ppi("status", MOUS, "--json")
    assert ran.returncode == 0, ran.stderr
    found: list[dict[str, Any]] = json.loads(ran.stdout)
    return found[0] if found else {"run": None, "jobs": []}


def seen_until(
    environment: Environment, process: subprocess.Popen[str], condition: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE
    while not condition(seen := statuses(environment)):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, seen
    return seen


def at_work(seen: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the jobs that let CASA restore an execution block now."""
    return [job for job in seen["jobs"] if (job["step"], job["status"]) == ("restore", "running")]


def rows_of_jobs(api: str, crew: str) -> list[dict[str, Any]]:
    """Return the rows of the table of a crew's jobs, on whatever page it is."""
    wanted = json.dumps({"artifacts": {"key": {"any_": ["jobs"]}}}).encode()
    asked = urllib.request.Request(  # noqa: S310 - our own server
        f"{api}/artifacts/filter", wanted, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(asked, timeout=60) as answer:  # noqa: S310
        tables = [json.loads(artifact["data"]) for artifact in json.load(answer)]
    return [row for table in tables for row in table if crew in row["log"]]


def logged(environment: Environment, job: dict[str, Any]) -> str:
    """Return the tail of a job's log as soon as CASA has begun one."""
    deadline = time.monotonic() + PATIENCE
    while "CASA's log" not in (ran := environment.ppi("status", "--log", job["id"], "--lines", "500")).stderr:
        assert time.monotonic() < deadline, ran
    return ran.stdout


def test_a_restore_on_a_pool_is_seen_with_its_jobs_and_their_logs(
    make_environment: MakeEnvironment, pool: LocalPool, prefect_api: str
) -> None:
    keys = {key.removeprefix("ppi.").replace(".", "_"): value for key, value in pool.properties.items()}
    environment = make_environment("status-test", reports_url=URL, cluster_casa_memory="2 GB", **keys)
    with subprocess.Popen(
        environment.command("restore", MOUS), env=environment.variables, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        seen = seen_until(environment, process, lambda seen: len(at_work(seen)) > 0)
        job = at_work(seen)[0]
        text = environment.ppi("status").stdout
        log = logged(environment, job)
        assert process.wait(PATIENCE) == 0, process.communicate()
    stages = {stage["name"]: stage["state"] for stage in seen["run"]["stages"]}
    assert stages == {"plan": "done", "gather": "done", "process": "running", "finish": "to come"}
    assert "@" in job["slot"]
    assert (job["stage"], job["observation"]) == ("process", MOUS)
    assert job["requested_memory"] > 0
    assert job["age_seconds"] >= 0
    assert job["item"].startswith("uid://A002/")
    assert job["id"] in text
    assert job["slot"] in text
    assert "INFO" in log
    assert (ended := statuses(environment))["jobs"] == []
    assert (ended["state"], ended["run"]) == ("success", None)
    shown = {row["job"].replace("\\", ""): row for row in rows_of_jobs(prefect_api, job["crew"])}
    assert f"/jobs/{job['crew']}/{job['name']}.err)" in shown[job["id"]]["log"]
    assert "restore uid" in shown[job["id"]]["did"]
    assert shown[job["id"]]["outcome"] != "waits for work"
    kept = environment.area / "jobs" / job["crew"]
    assert (kept / f"{job['name']}.err").is_file()

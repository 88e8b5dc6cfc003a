"""The catalog of a real environment: every restore is in it, however it ended, and what it made can be found."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from environments import PROPRIETARY, Environment, MakeEnvironment
from gathered import truncated_block
from postgresql import USER, Cluster, running

from deployments.local.observatory.build import Observatory
from tasks.errors import Refused, Transient

BLOCK = "uid___A002_Xc7350a_X1c2"
CASA_STEPS = ["import", "flags", "tables", "calibrate", "prove", "casa"]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running() as cluster:
        yield cluster


def history(environment: Environment, *arguments: str) -> list[dict[str, Any]]:
    asked = environment.ppi("history", "--json", *arguments)
    assert asked.returncode == 0, asked.stderr
    found: list[dict[str, Any]] = json.loads(asked.stdout)
    return found


def states(environment: Environment, *arguments: str) -> list[str]:
    return [record["state"] for record in history(environment, *arguments)]


def restored(environment: Environment) -> dict[str, Any]:
    ended = environment.ppi("restore", PROPRIETARY, "--json")
    assert ended.returncode == 0, ended.stderr
    answer: dict[str, Any] = json.loads(ended.stdout)
    return answer


def stopped_when(environment: Environment, ready: Callable[[], bool], number: int, seconds: float = 120) -> None:
    """Start a restore, and send it a signal at the first sign of something."""
    process = subprocess.Popen(
        environment.command("restore", PROPRIETARY),
        env=environment.variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + seconds
    while not ready():
        assert process.poll() is None, "it ended before it could be stopped"
        assert time.monotonic() < deadline, "it never came so far"
        time.sleep(0.002)
    process.send_signal(number)
    process.wait(60)


def casa_works(environment: Environment, time: int = 1) -> Callable[[], bool]:
    return lambda: any(environment.area.glob(f"2017*/SOUS*/GOUS*/MOUS*/working/attempts/*.{time}/steps.jsonl"))


def test_a_restore_is_recorded_with_all_that_it_took_and_made(make_environment: MakeEnvironment) -> None:
    environment = make_environment(access_projects="*")
    assert history(environment) == []
    assert not environment.area.exists(), "looking changes nothing"
    answer = restored(environment)
    delivery, provenance = Path(answer["delivery"]), answer["provenance"]

    (record,) = history(environment)
    assert (record["state"], record["verdict"], record["error"]) == ("succeeded", "success", None)
    assert (record["observation"], record["project"]) == (PROPRIETARY, provenance["project"])
    assert (record["flow"], record["profile"], record["key"]) == ("restore-ous", "site-test", provenance["key"])
    assert (record["flow_run"], record["procedure"]) == (provenance["flow_run"], "hifa_restore")
    assert (record["host"], record["delivery"]) == (os.uname().nodename, str(delivery))
    assert record["bytes_fetched"] == sum(entry["size"] for entry in provenance["inputs"] if entry["server"]) > 0
    assert [stage["name"] for stage in record["stages"]] == ["plan", "gather", "process", "finish"]
    assert sum(stage["wall_seconds"] for stage in record["stages"]) <= record["wall_seconds"]

    steps = {step["name"]: step for step in record["steps"]}
    assert list(steps) == ["fetch", "fetch products", *CASA_STEPS]
    assert steps["fetch"]["bytes_fetched"] > 0
    for name in CASA_STEPS:
        step = steps[name]
        assert step["block"] == provenance["blocks"][0]["uid"]
        assert 0 < step["wall_seconds"] <= steps["casa"]["wall_seconds"]
        assert 0 < step["cpu_seconds"] <= steps["casa"]["cpu_seconds"]
        assert 2**20 < step["peak_memory_bytes"] <= 1.05 * steps["casa"]["peak_memory_bytes"]
        assert (step["verdict"], step["taken_over"]) == ("success", False)

    products = {product["kind"]: product for product in record["products"]}
    assert set(products) == {"measurement set", "request", "report", "provenance"}
    for kind in ("request", "report", "provenance"):
        content = Path(products[kind]["path"]).read_bytes()
        assert products[kind]["size"] == len(content)
        assert products[kind]["checksum"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
        assert products[kind]["provenance"] == products["provenance"]["checksum"]
    assert products["request"]["checksum"] == f"sha256:{provenance['ppr_sha256']}"
    assert products["measurement set"]["checksum"].startswith("columns-sha256:")

    file = environment.area / "catalog.db"
    assert file.stat().st_mode & 0o777 == 0o600
    shown = environment.ppi("history")
    assert PROPRIETARY in shown.stdout
    assert "succeeded" in shown.stdout
    one = environment.ppi("history", "--id", str(record["id"]))
    for text in (provenance["key"], f"calibrated/{BLOCK}.ms", *CASA_STEPS):
        assert text in one.stdout
    assert environment.ppi("history", "--id", "99").returncode == 4

    restored(environment)
    again, first = history(environment, PROPRIETARY)
    assert first == record
    assert (again["state"], again["products"], again["bytes_fetched"]) == ("unchanged", [], None)
    assert again["delivery"] == str(delivery)
    assert states(environment, "--state", "succeeded") == ["succeeded"]
    assert states(environment, "--limit", "1") == ["unchanged"]
    assert states(environment, "--since", "2100-01-01") == states(environment, "--until", "2000-01-01T00:00") == []
    assert environment.ppi("history", "--state", "well").returncode == 2
    for option in ("--id", "--limit"):
        assert environment.ppi("history", option, str(2**31)).returncode == 2
    assert environment.ppi("history", "--since", "soon").returncode == 2


def test_a_refusal_and_a_failure_are_recorded(
    observatory: Observatory, make_environment: MakeEnvironment, tmp_path: Path
) -> None:
    refused = make_environment("site-proprietary")
    assert refused.ppi("restore", PROPRIETARY).returncode == Refused.exit_code
    (record,) = history(refused)
    assert (record["state"], record["flow_run"], record["stages"]) == ("refused", None, [])
    assert "proprietary" in record["error"]

    failing = truncated_block(observatory, make_environment, tmp_path, BLOCK)
    ended = failing.ppi("restore", PROPRIETARY)
    assert ended.returncode == 6
    (record,) = history(failing, "--state", "failed")
    assert record["verdict"] == "failed"
    assert record["reasons"]
    assert record["reasons"][0] in record["error"]
    assert [stage["name"] for stage in record["stages"] if stage["wall_seconds"]] == ["plan", "gather"]
    assert [stage["name"] for stage in record["stages"]][-1] == "process"
    steps = [step for step in record["steps"] if step["stage"] == "process"]
    assert steps[-1]["name"] == "casa"
    assert {step["verdict"] for step in steps} == {"failed"}
    assert steps[-1]["cpu_seconds"] > 0
    assert record["products"] == []


def test_a_kill_is_seen_as_an_interruption_and_settled_by_the_next_run(make_environment: MakeEnvironment) -> None:
    environment = make_environment(access_projects="*")
    stopped_when(environment, casa_works(environment), signal.SIGKILL)
    (killed,) = history(environment)
    assert (killed["state"], killed["finished"], killed["wall_seconds"]) == ("interrupted", None, None)
    assert [stage["name"] for stage in killed["stages"]] == ["plan", "gather", "process"]
    assert states(environment, "--state", "interrupted") == ["interrupted"]
    assert states(environment, "--state", "running") == []

    stopped_when(environment, casa_works(environment, 2), signal.SIGINT)
    stopped, settled = history(environment)
    assert (stopped["state"], settled["state"]) == ("interrupted", "interrupted")
    assert "stopped from outside" in stopped["error"]
    assert stopped["finished"]
    assert "killed" in settled["error"]

    answer = restored(environment)
    last, *before = history(environment)
    assert last["state"] == "succeeded"
    assert last["bytes_fetched"] == 0, "an earlier run had fetched it"
    assert [record["id"] for record in before] == [stopped["id"], settled["id"]]
    assert last["flow_run"] == answer["provenance"]["flow_run"]


def test_a_delivery_whose_record_a_kill_prevented_is_recorded_by_the_next_run(
    make_environment: MakeEnvironment,
) -> None:
    environment = make_environment(access_projects="*")
    delivered = environment.area / "delivered"
    stopped_when(environment, lambda: any(delivered.glob("*/MOUS_*/provenance.json")), signal.SIGKILL)
    (record,) = history(environment)
    if record["state"] != "interrupted":
        pytest.fail("it was recorded before the kill")
    answer = restored(environment)
    unchanged, made = history(environment)
    assert (unchanged["state"], made["state"], made["id"]) == ("unchanged", "succeeded", record["id"])
    assert made["flow_run"] == answer["provenance"]["flow_run"]
    assert len(made["products"]) == 4

    for name in ("catalog.db", "catalog.db-wal", "catalog.db-shm"):
        (environment.area / name).unlink(missing_ok=True)
    restored(environment)
    restored(environment)
    assert states(environment) == ["unchanged", "unchanged", "succeeded"]
    late = history(environment)[-1]
    assert {key: late[key] for key in ("products", "flow_run", "started", "finished", "verdict")} == {
        key: made[key] for key in ("products", "flow_run", "started", "finished", "verdict")
    }
    assert (late["host"], late["account"]) == (None, None)


def test_a_catalog_in_postgresql_belongs_to_one_environment(
    make_environment: MakeEnvironment, cluster: Cluster
) -> None:
    cluster.execute("CREATE DATABASE site_test")
    login = {
        "catalog_url": cluster.url("site_test"),
        "catalog_username": USER,
        "catalog_password": cluster.password,
    }
    environment = make_environment(access_projects="*", **login)
    restored(environment)
    (record,) = history(environment)
    assert record["state"] == "succeeded"
    assert not (environment.area / "catalog.db").exists()
    left = [path for path in environment.area.rglob("*") if path.is_file() and path.stat().st_size < 10**7]
    assert [path for path in left if cluster.password.encode() in path.read_bytes()] == []

    other = make_environment("site-dev", access_projects="*", **login)
    for command in (["restore", PROPRIETARY], ["history"]):
        ended = other.ppi(*command)
        assert ended.returncode == Refused.exit_code
        assert "belongs to profile site-test, and this is profile site-dev" in ended.stderr
        assert cluster.password not in ended.stderr
    assert other.retrieved() == []


def test_without_its_catalog_nothing_is_begun(make_environment: MakeEnvironment) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"postgresql+psycopg://127.0.0.1:{closed.getsockname()[1]}/site_test"
        environment = make_environment(access_projects="*", catalog_url=url)
        ended = environment.ppi("restore", PROPRIETARY)
    assert ended.returncode == Transient.exit_code
    assert "the catalog at 127.0.0.1" in ended.stderr
    assert environment.retrieved() == []

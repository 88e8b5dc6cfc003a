"""`ppi deploy` on a real Prefect server: once it does all, twice nothing, and never another thing than Prefect."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from environments import Environment
from postgresql import running
from prefect_records import Records
from serving import Runs

from blocks.names import slug
from tasks.catalog.schema import REVISION
from tasks.errors import Refused, Transient

ROOT = Path(__file__).parents[2]
SECRET = "planted-secret-of-the-archive"
SHARED = ("entrypoint", "parameters", "parameter_openapi_schema", "enforce_parameter_schema", "description")
SHARED += ("work_pool_name", "work_queue_name", "job_variables", "pull_steps", "path", "concurrency_options")
"""What `prefect deploy` and `ppi deploy` make of one definition. The version is not among it: in a clone of a
repository, Prefect's own command takes the commit for it."""
FLOWS = ("restore-ous", "ingest-products", "ingestion-sweep", "housekeeping", "listen")
AUTOMATIONS = ("crashed runs", "announcements")


@pytest.fixture
def environment(tmp_path: Path, prefect_api: str) -> Environment:
    """A shipped environment, on a server of the test's; nothing but the server is there."""
    return write(tmp_path, "dsoc-test", prefect_api)


def write(folder: Path, name: str, api: str | None, **properties: str) -> Environment:
    made = Environment(name, folder / "capo", folder / "area", folder)
    made.capo.mkdir(exist_ok=True)
    lines = {
        "ppi.profile.site": "DSOC",
        "ppi.profile.environment": "test",
        "ppi.processing.rootDirectory": str(made.area),
        "ppi.metadata.url": "sqlite:////nowhere.db",
        "ppi.ngas.servers": "127.0.0.1:9",
        "ppi.ngas.password": SECRET,
    } | {f"ppi.{key.replace('_', '.')}": value for key, value in properties.items()}
    lines |= {"ppi.prefect.apiUrl": api} if api else {}
    (made.capo / f"{name}.properties").write_text("".join(f"{key} = {value}\n" for key, value in lines.items()))
    return made


def deployed(environment: Environment, *options: str) -> dict[str, Any]:
    done = environment.ppi("deploy", "--json", *options)
    assert done.returncode == 0, done.stderr
    assert SECRET not in done.stdout + done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def on_server(api: str, name: str) -> dict[str, list[dict[str, Any]]]:
    """Return all that a server has of an environment."""
    records, pool = Records(api), slug(name)
    return {
        "deployments": records.ask("deployments", deployments={"name": {"any_": [name]}}),
        "pools": records.ask("work_pools", work_pools={"name": {"any_": [pool]}}),
        "blocks": records.ask("block_documents", block_documents={"name": {"any_": [pool]}}),
        "automations": records.ask("automations", automations={"tags": {"all_": [f"ppi:{name}"]}}),
    }


def changed(told: dict[str, Any]) -> dict[tuple[str, str], tuple[str, str]]:
    return {(change["what"], change["part"]): (change["now"], change["wanted"]) for change in told["changes"]}


def test_the_first_time_all_is_made_and_the_second_time_nothing_is_touched(
    environment: Environment, prefect_api: str
) -> None:
    made = {
        ("blocks of dsoc-test", "all"),
        ("work pool dsoc-test", "all"),
        *((f"deployment {flow}/dsoc-test", "all") for flow in FLOWS),
        *((f"automation dsoc-test: {what}", "all") for what in AUTOMATIONS),
    }
    assert set(changed(deployed(environment, "--dry-run"))) == made
    assert not any(on_server(prefect_api, "dsoc-test").values())

    assert set(changed(deployed(environment))) == made
    there = on_server(prefect_api, "dsoc-test")
    assert [each["tags"] for each in there["deployments"]] == [["dsoc", "test"]] * len(FLOWS)
    assert [(each["type"], each["concurrency_limit"]) for each in there["pools"]] == [("process", None)]
    queues = {queue["name"]: queue for queue in Records(prefect_api).ask("work_pools/dsoc-test/queues")}
    assert {name: queue["concurrency_limit"] for name, queue in queues.items()} == {"default": 4, "upkeep": None}
    assert len(there["blocks"]) > 5
    assert SECRET not in json.dumps(there)

    assert deployed(environment)["changes"] == []
    assert deployed(environment, "--dry-run")["changes"] == []
    assert on_server(prefect_api, "dsoc-test") == there, "the times of the last update too"
    assert "nothing to do" in environment.ppi("deploy").stdout
    assert not environment.area.exists()

    edited = {"parameters": {"profile": "naasc-test"}, "tags": ["mine"], "job_variables": {"env": {"A": "b"}}}
    runs = Runs(prefect_api)
    runs.ask("PATCH", f"deployments/{runs.deployment('restore-ous/dsoc-test')['id']}", **edited)
    runs.ask("PATCH", "work_pools/dsoc-test", concurrency_limit=100)
    runs.ask("PATCH", f"work_queues/{queues['default']['id']}", concurrency_limit=50)
    write(environment.capo.parent, "dsoc-test", prefect_api, ngas_timeoutSeconds="7", ngas_password="another")
    wanted = changed(deployed(environment, "--dry-run"))
    assert wanted == {
        ("blocks of dsoc-test", "ppi.ngas.timeoutSeconds"): ("60", "7"),
        ("blocks of dsoc-test", "ppi.ngas.password"): ("*" * 10, f"{'*' * 10} (another)"),
        ("work pool dsoc-test", "concurrency_limit"): ("100", "null"),
        ("work pool dsoc-test, queue default", "concurrency_limit"): ("50", "4"),
        ("deployment restore-ous/dsoc-test", "parameters"): (
            '{"profile": "naasc-test"}',
            '{"profile": "dsoc-test"}',
        ),
        ("deployment restore-ous/dsoc-test", "tags"): ('["mine"]', '["dsoc", "test"]'),
        ("deployment restore-ous/dsoc-test", "job_variables"): ('{"env": {"A": "b"}}', "{}"),
    }
    table = environment.ppi("deploy", "--dry-run").stdout
    assert all(part in table for _, part in wanted)
    assert changed(deployed(environment)) == wanted
    assert deployed(environment)["changes"] == []


def test_what_an_operator_has_set_in_the_ui_stays_and_strangers_are_told_of(
    tmp_path: Path, prefect_api: str
) -> None:
    environment, runs = write(tmp_path, "own-dev", prefect_api), Runs(prefect_api)
    assert deployed(environment)["strangers"] == []
    own = runs.deployment("restore-ous/own-dev")
    runs.ask("PATCH", f"deployments/{own['id']}", paused=True, description="edited")
    sweeping = runs.deployment("ingestion-sweep/own-dev")
    (schedule,) = sweeping["schedules"]
    assert (schedule["active"], schedule["slug"], schedule["schedule"]["cron"]) == (
        True,
        "every-5-minutes",
        "*/5 * * * *",
    )
    runs.ask("PATCH", f"deployments/{sweeping['id']}/schedules/{schedule['id']}", active=False)
    hourly = {"slug": "hourly", "schedule": {"cron": "0 * * * *", "timezone": "UTC"}, "active": True}
    runs.ask_with("POST", f"deployments/{sweeping['id']}/schedules", [hourly])
    (crashes,) = [each for each in on_server(prefect_api, "own-dev")["automations"] if "crashed" in each["name"]]
    runs.ask("PATCH", f"automations/{crashes['id']}", enabled=False)
    runs.ask("POST", "deployments/", flow_id=own["flow_id"], name="of-somebody", work_pool_name="own-dev")
    again = deployed(environment)
    assert set(changed(again)) == {
        ("deployment restore-ous/own-dev", "description"),
        ("deployment ingestion-sweep/own-dev", "schedules"),
    }
    (left,) = runs.deployment("ingestion-sweep/own-dev")["schedules"]
    assert (left["active"], left["slug"]) == (False, "every-5-minutes"), "one that was switched off stays so"
    (crashes,) = [each for each in on_server(prefect_api, "own-dev")["automations"] if "crashed" in each["name"]]
    assert crashes["enabled"] is False
    assert deployed(environment)["changes"] == []
    assert again["strangers"] == ["restore-ous/of-somebody"]
    assert runs.deployment("restore-ous/own-dev")["paused"] is True
    assert "restore-ous/of-somebody is no deployment of own-dev's" in environment.ppi("deploy").stdout
    assert runs.deployment("restore-ous/own-dev")["tags"] == ["dsoc", "test"]


def test_prefect_deploys_the_same(environment: Environment, prefect_api: str, tmp_path: Path) -> None:
    deployed(environment)
    runs = Runs(prefect_api)
    ours = {flow: runs.deployment(f"{flow}/dsoc-test") for flow in FLOWS}
    for each in ours.values():
        runs.ask("DELETE", f"deployments/{each['id']}")
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--name", "dsoc-test"]
    variables = environment.variables | {"PREFECT_API_URL": prefect_api, "PREFECT_HOME": str(tmp_path / "prefect")}
    done = subprocess.run(
        command, cwd=ROOT, env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    theirs = {flow: runs.deployment(f"{flow}/dsoc-test") for flow in FLOWS}
    assert {flow: shared(each) for flow, each in theirs.items()} == {
        flow: shared(each) for flow, each in ours.items()
    }
    again = set(changed(deployed(environment)))
    of_ids = {
        (f"automation dsoc-test: {AUTOMATIONS[0]}", "trigger"),
        (f"automation dsoc-test: {AUTOMATIONS[1]}", "actions"),
    }
    assert {change for change in again if change[1] != "version"} == of_ids, "the deployments are others now"
    assert deployed(environment)["changes"] == []


def shared(deployment: dict[str, Any]) -> dict[str, Any]:
    limit = deployment["global_concurrency_limit"] or {}
    schedules = [(each["slug"], each["schedule"]) for each in deployment["schedules"]]
    told = {"tags": sorted(deployment["tags"]), "limit": limit.get("limit"), "schedules": schedules}
    return told | {part: deployment[part] for part in SHARED}


def test_a_server_that_is_not_there_or_not_named_is_said(tmp_path: Path) -> None:
    gone = write(tmp_path, "gone-test", "http://127.0.0.1:9/api").ppi("deploy")
    assert (gone.returncode, gone.stderr.count("\n")) == (Transient.exit_code, 1)
    assert "the Prefect server http://127.0.0.1:9/api of profile gone-test: it does not answer" in gone.stderr
    none = write(tmp_path, "none-test", None).ppi("deploy")
    assert (none.returncode, none.stderr.count("\n")) == (Refused.exit_code, 1)
    assert "ppi.prefect.apiUrl" in none.stderr


def test_a_catalog_on_a_server_is_made_and_another_profiles_is_refused(tmp_path: Path, prefect_api: str) -> None:
    with running() as cluster:
        cluster.execute("CREATE DATABASE kept")
        place = {"catalog_url": cluster.owner_url("kept")}
        environment = write(tmp_path, "kept-test", prefect_api, **place)
        what = f"catalog 127.0.0.1:{cluster.port}/kept"
        assert changed(deployed(environment, "--dry-run"))[what, "revision"] == ("none", REVISION)
        assert changed(deployed(environment, "--dry-run"))[what, "revision"] == ("none", REVISION), (
            "nothing is made"
        )
        assert changed(deployed(environment))[what, "revision"] == ("none", REVISION)
        assert deployed(environment)["changes"] == []

        refused = write(tmp_path, "thief-test", prefect_api, **place).ppi("deploy")
        assert refused.returncode == Refused.exit_code
        assert "it belongs to profile kept-test, and this is profile thief-test" in refused.stderr
        assert not any(on_server(prefect_api, "thief-test").values())
        assert cluster.password not in refused.stderr
    gone = environment.ppi("deploy")
    assert (gone.returncode, gone.stderr.count("\n")) == (Transient.exit_code, 1)


def test_a_work_pool_of_another_kind_is_not_touched(tmp_path: Path, prefect_api: str) -> None:
    environment, runs = write(tmp_path, "docker-test", prefect_api), Runs(prefect_api)
    runs.ask("POST", "work_pools/", name="docker-test", type="docker")
    refused = environment.ppi("deploy")
    assert refused.returncode == Refused.exit_code
    assert "its type is docker, not process" in refused.stderr
    assert not on_server(prefect_api, "docker-test")["blocks"], "nothing is written before all is known"


def test_another_profile_of_the_same_name_in_prefect_is_not_touched_nor_promised(
    tmp_path: Path, prefect_api: str
) -> None:
    deployed(write(tmp_path, "same-test", prefect_api))
    before = on_server(prefect_api, "same-test")
    for options in (["--dry-run"], []):
        refused = write(tmp_path, "same.test", prefect_api).ppi("deploy", *options)
        assert refused.returncode == Refused.exit_code
        assert "holds the profile 'same-test', not 'same.test'" in refused.stderr
    assert on_server(prefect_api, "same-test") == before


def test_two_profiles_at_once_are_a_mistake_of_usage(environment: Environment) -> None:
    wrong = environment.ppi("deploy", "naasc-test")
    assert wrong.returncode == 2
    assert "name one" in wrong.stderr
    named = subprocess.run(
        [sys.executable, "-m", "cli", "deploy", "dsoc-test", "--dry-run"],
        env=environment.variables | {"COLUMNS": os.environ.get("COLUMNS", "200")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert named.returncode == 0, named.stderr

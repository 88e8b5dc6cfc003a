"""What a Prefect server does by itself once `ppi deploy` was there: chains, notices crashes, tells people."""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import pytest
from environments import MOUS, Environment
from ports import free_port
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from serving import Runs

from blocks.profile import Metadata, Ngas, Prefect, Processing, Profile
from flows._events import announce, tell
from flows._launch import PrefectLauncher
from tasks.catalog.book import Filed
from tasks.catalog.request import Change
from tasks.catalog.request_states import RequestState
from tasks.errors import Missing, Transient
from tasks.sweep import RunEnd

PATIENCE = 180.0
WITHIN_SECONDS = 12
"""The window in which a heartbeat is missed, made short; a server takes none below 10 s."""
UNTOLD = "slack-webhook/nobody: the server has no such block"

Heard = queue.Queue[dict[str, Any]]
T = TypeVar("T")


@pytest.fixture(scope="module")
def heard() -> Iterator[tuple[str, Heard]]:
    """Whoever is told of failures: an address, and what came there."""
    received: Heard = queue.Queue()

    class Ear(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Ear) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", received
        server.shutdown()


@pytest.fixture(scope="module")
def environment(
    tmp_path_factory: pytest.TempPathFactory, prefect_api: str, heard: tuple[str, Heard]
) -> Environment:
    """An environment that is deployed, with somebody to be told of failures, and somebody who is not there."""
    with temporary_settings({PREFECT_API_URL: prefect_api}):
        said = {"subject": "{{subject}}", "body": "{{body}}"}
        CustomWebhookNotificationBlock(name="operators", url=heard[0], json_data=said).save("operators")
    folder = tmp_path_factory.mktemp("told")
    made = Environment("told-test", folder / "capo", folder / "area", folder)
    made.write(
        {
            "metadata_url": "sqlite:////nowhere.db",
            "ngas_servers": "127.0.0.1:9",
            "prefect_apiUrl": prefect_api,
            "notify_blocks": "custom-webhook/operators, slack-webhook/nobody",
        }
    )
    done = made.ppi("deploy", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["untold"] == [UNTOLD]
    return made


def profile_of(name: str, api: str | None) -> Profile:
    return Profile(
        name=name,
        processing=Processing(root_directory=Path("/area")),
        metadata=Metadata(url="sqlite:////nowhere"),
        ngas=Ngas(servers="one:7777"),
        prefect=Prefect(api_url=api),
    )


def found(look: Callable[[], T | None]) -> T:
    ends = time.monotonic() + PATIENCE
    while (seen := look()) is None:
        assert time.monotonic() < ends
        time.sleep(0.5)
    return seen


def begun(runs: Runs) -> str:
    """Make a run that is under way, as far as the server knows."""
    run = runs.start("restore-ous/told-test", mous=MOUS)
    for state in ("PENDING", "RUNNING"):
        runs.ask("POST", f"flow_runs/{run}/set_state", state={"type": state}, force=True)
    return run


def events(runs: Runs, name: str) -> list[dict[str, Any]]:
    answer = runs.ask("POST", "events/filter", filter={"event": {"name": [name]}})
    return list(answer["events"])


def test_announced_observations_are_swept_at_once(environment: Environment, prefect_api: str) -> None:
    runs = Runs(prefect_api)
    sweep = runs.deployment("ingestion-sweep/told-test")["id"]
    announce(profile_of("other-test", prefect_api), 3)
    announce(profile_of("told-test", prefect_api), 3)

    def swept() -> dict[str, Any] | None:
        made = runs.records.ask("flow_runs", flow_runs={"deployment_id": {"any_": [sweep]}})
        return made[0] if made else None

    run = found(swept)
    assert (run["work_queue_name"], run["parameters"]) == ("upkeep", {"profile": "told-test"})
    assert run["created_by"]["type"] == "AUTOMATION"


def test_changes_of_state_are_events(environment: Environment, prefect_api: str) -> None:
    change = Change(
        number=7, workflow="restore-ous", observation=MOUS, project="2017.1.00886.L",
        before=RequestState.RUNNING, state=RequestState.SUCCEEDED, reason="delivered",
    )  # fmt: skip
    tell([change], profile_of("told-test", prefect_api))
    event = found(lambda: next(iter(events(Runs(prefect_api), "ppi.request.succeeded")), None))
    assert event["resource"]["prefect.resource.id"] == "ppi.request.told-test.uid___A001_X1284_X265f"
    assert event["payload"] == change.model_dump(mode="json")


@pytest.mark.parametrize("api", [None, "http://127.0.0.1:{port}/api"])
def test_without_a_server_nothing_is_told_and_nothing_breaks(api: str | None) -> None:
    change = Change(
        number=1, workflow="w", observation=MOUS, project=None, before=None, state=RequestState.WAITING
    )
    profile = profile_of("lonely-test", api and api.format(port=free_port()))
    tell([change], profile)
    announce(profile, 1)


def test_people_are_told_of_a_run_that_failed_with_its_reason_and_a_link(
    environment: Environment, prefect_api: str, heard: tuple[str, Heard]
) -> None:
    runs = Runs(prefect_api)
    run = begun(runs)
    failed = {"type": "FAILED", "message": "the archive has lost it. Next: ask its operators"}
    runs.ask("POST", f"flow_runs/{run}/set_state", state=failed, force=True)
    said = heard[1].get(timeout=PATIENCE)
    assert said["subject"].startswith("told-test: ")
    assert "restore-ous" in said["body"]
    assert "the archive has lost it. Next: ask its operators" in said["body"]
    assert f"/runs/flow-run/{run}" in said["body"]
    checked = environment.ppi("profile", "check", "--json")
    assert UNTOLD in checked.stdout


@pytest.fixture
def launcher(prefect_api: str) -> Iterator[PrefectLauncher]:
    with temporary_settings({PREFECT_API_URL: prefect_api}):
        yield PrefectLauncher(profile_of("told-test", prefect_api))


def test_a_request_is_launched_once_however_often_that_is_tried(
    environment: Environment, prefect_api: str, launcher: PrefectLauncher
) -> None:
    runs = Runs(prefect_api)
    first, again, other = (launcher.launch(asked("restore-ous"), key) for key in ("a/1", "a/1", "a/2"))
    assert first == again != other
    record = runs.ask("GET", f"flow_runs/{first}")
    assert (record["name"], record["work_queue_name"]) == ("restore X1284_X265f", "default")
    assert record["parameters"] == {"mous": MOUS, "profile": "told-test"}
    stranger = str(uuid4())
    assert launcher.ends([first, other, stranger]) == {stranger: RunEnd.UNKNOWN}
    for run, end in ((first, "CANCELLED"), (other, "COMPLETED")):
        runs.ask("POST", f"flow_runs/{run}/set_state", state={"type": end}, force=True)
    assert launcher.ends([first, other]) == {first: RunEnd.CANCELLED, other: RunEnd.COMPLETED}
    assert launcher.ends([]) == {}


def test_why_nothing_is_launched_is_said(environment: Environment, launcher: PrefectLauncher) -> None:
    with pytest.raises(Missing, match=r"deployment calibrate/told-test.*Next: ppi deploy told-test"):
        launcher.launch(asked("calibrate"), "a/3")
    away = f"http://127.0.0.1:{free_port()}/api"
    with (
        temporary_settings({PREFECT_API_URL: away, PREFECT_CLIENT_MAX_RETRIES: 0}),
        pytest.raises(Transient, match="it does not answer"),
    ):
        launcher.ends([str(uuid4())])


def asked(workflow: str) -> Filed:
    now = datetime.now(UTC)
    when = {"asked": now, "changed": now, "due": now}
    return Filed(id=1, workflow=workflow, observation=MOUS, origin="sweep", **when)


@contextmanager
def impatient(runs: Runs) -> Iterator[None]:
    """Have the automation miss heartbeats sooner than after minutes."""
    wanted = {"automations": {"name": {"any_": ["told-test: crashed runs"]}}}
    (there,) = runs.ask("POST", "automations/filter", **wanted)
    made = {part: there[part] for part in ("name", "description", "enabled", "tags", "trigger", "actions")}
    edited = made | {"trigger": made["trigger"] | {"within": WITHIN_SECONDS}}
    runs.ask("PUT", f"automations/{there['id']}", **edited)
    yield
    runs.ask("PUT", f"automations/{there['id']}", **made)


def beat(runs: Runs, run: str) -> None:
    deployment = runs.deployment("restore-ous/told-test")["id"]
    of = {"prefect.resource.id": f"prefect.deployment.{deployment}", "prefect.resource.role": "deployment"}
    heartbeat = {
        "id": str(uuid4()),
        "event": "prefect.flow-run.heartbeat",
        "occurred": datetime.now(UTC).isoformat(),
        "resource": {"prefect.resource.id": f"prefect.flow-run.{run}"},
        "related": [of],
    }
    runs.ask_with("POST", "events", [heartbeat])


def test_a_run_that_is_not_heard_of_any_more_has_crashed_and_may_still_come_to_its_end(
    environment: Environment, prefect_api: str, heard: tuple[str, Heard]
) -> None:
    runs, beats = Runs(prefect_api), iter(range(0, int(PATIENCE), 4 * WITHIN_SECONDS))
    run, began = begun(runs), time.monotonic()
    following = next(beats)

    def crashed() -> dict[str, Any] | None:
        nonlocal following
        if time.monotonic() > began + following:  # the server may not have heard of the edit at the first
            beat(runs, run)
            following = next(beats)
        record: dict[str, Any] = runs.ask("GET", f"flow_runs/{run}")
        return record if record["state_type"] == "CRASHED" else None

    with impatient(runs):
        assert "It has not been heard of" in found(crashed)["state"]["message"]
    assert "has not been heard of" in heard[1].get(timeout=PATIENCE)["body"]
    runs.ask("POST", f"flow_runs/{run}/set_state", state={"type": "COMPLETED"})
    assert runs.ask("GET", f"flow_runs/{run}")["state_type"] == "COMPLETED", "one that was only cut off, say"

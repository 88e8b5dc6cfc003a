"""Housekeeping with a Prefect server: old runs go with their logs, and the run's page says what became of all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from environments import Environment
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import LogCreate
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    ArtifactFilterKey,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Completed, Crashed, Running

from tasks.errors import Transient
from tasks.retention._task_runs import Runs

_PATIENCE = 180.0
_CLEAN = """\
import os, sys
from blocks.profile import Profile
from deployments import prefect_server
os.environ.update(prefect_server.environment(Profile.load(sys.argv[1])))
from flows.housekeeping import housekeeping
state = housekeeping(sys.argv[1], dry_run=sys.argv[2] == "dry", return_state=True)
print(state.state_details.flow_run_id, state.type.value, state.message)
"""


@pytest.fixture
def client(prefect_api: str) -> Iterator[SyncPrefectClient]:
    with temporary_settings({PREFECT_API_URL: prefect_api}), get_client(sync_client=True) as client:
        yield client


@flow
def work(profile: str) -> None:
    """Stand for any flow, and any stage of one."""


def run_of(client: SyncPrefectClient, profile: str, *, ended: bool = True) -> UUID:
    run: UUID = client.create_flow_run(work, parameters={"profile": profile}).id
    client.set_flow_run_state(run, Running(), force=True)
    if ended:
        client.set_flow_run_state(run, Completed() if run.int % 2 else Crashed(), force=True)
    log = LogCreate(name="ppi", level=20, message="said", timestamp=datetime.now(UTC), flow_run_id=run)
    client.create_logs([log])
    return run


def is_there(client: SyncPrefectClient, run: UUID) -> bool:
    try:
        return bool(client.read_flow_run(run))
    except ObjectNotFound:
        return False


def has_logs(client: SyncPrefectClient, run: UUID) -> bool:
    return bool(client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run]))))


def await_logs(client: SyncPrefectClient, run: UUID, *, there: bool) -> None:
    deadline = time.monotonic() + _PATIENCE
    while has_logs(client, run) is not there:
        assert time.monotonic() < deadline, f"the logs of {run} are there: {not there}"
        time.sleep(0.2)


def test_runs_that_ended_long_ago_go_with_their_logs_but_none_that_is_counted_on(
    client: SyncPrefectClient,
) -> None:
    profile, later = f"site-{uuid4().hex[:8]}", datetime.now(UTC) + timedelta(days=91)
    old = [run_of(client, profile) for _ in range(3)]
    counted_on, others = run_of(client, profile), run_of(client, f"{profile}-other")
    underway = run_of(client, profile, ended=False)
    await_logs(client, old[0], there=True)

    def runs(now: datetime) -> Runs:
        return Runs(profile, str(client.api_url), lambda: frozenset({str(counted_on)}), timedelta(days=90), now)

    assert list(runs(datetime.now(UTC)).look()) == []
    kept, found = runs(later).look()
    assert (kept.count, kept.remove) == (1, None)
    assert (found.count, "ended more than 90 days ago" in found.why) == (3, True)
    client.delete_flow_run(old[2])  # as somebody else may
    assert found.remove
    assert found.remove().count == 3
    assert [is_there(client, run) for run in old] == [False] * 3
    assert [is_there(client, run) for run in (counted_on, others, underway)] == [True] * 3
    assert [finding.count for finding in runs(later).look()] == [1]
    await_logs(client, old[0], there=False)


def test_a_server_that_is_away_is_told_of() -> None:
    with (
        temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}),
        pytest.raises(Transient, match="the Prefect server away"),
    ):
        list(Runs("x", "away", frozenset, timedelta(days=90), datetime.now(UTC)).look())


@pytest.fixture
def environment(tmp_path: Path, prefect_api: str) -> Environment:
    made = Environment("site-test", tmp_path / "capo", tmp_path / "area", tmp_path)
    made.write(
        {
            "metadata_url": "sqlite:////nowhere",
            "ngas_servers": "one:7777",
            "prefect_apiUrl": prefect_api,
            "processing_storeLimit": "1 TB",
        }
    )
    (made.area / ".uid___A001_X1_X1.spent" / "MOUS").mkdir(parents=True)
    return made


def cleaned(environment: Environment, how: str) -> tuple[UUID, str, str]:
    ran = subprocess.run(
        [sys.executable, "-c", _CLEAN, environment.name, how],
        env=environment.variables,
        capture_output=True,
        text=True,
        timeout=500,
        check=True,
    )
    run, state, message = ran.stdout.strip().rpartition("\n")[2].split(" ", 2)
    return UUID(run), state, message


def test_the_flow_shows_what_went_and_fails_if_it_is_not_whole(
    environment: Environment, client: SyncPrefectClient
) -> None:
    left = environment.area / ".uid___A001_X1_X1.spent"
    run, state, message = cleaned(environment, "dry")
    assert (state, left.is_dir()) == ("COMPLETED", True), message
    assert [(row["part"], row["outcome"]) for row in table(client, run)] == [
        ("leftovers", "to be removed"),
        ("store", "kept"),
    ]
    (environment.area / "jobs").write_text("no folder")
    run, state, message = cleaned(environment, "whole")
    assert (state, left.exists()) == ("FAILED", False)
    assert "Not a directory" in message
    assert [(row["part"], row["outcome"]) for row in table(client, run)] == [
        ("leftovers", "removed"),
        ("store", "kept"),
    ]
    assert client.read_flow_run(run).name == "housekeeping site-test"
    tasks = {
        each.name: each.state_type.value
        for each in client.read_task_runs(flow_run_filter=None)
        if each.flow_run_id == run and each.state_type
    }
    assert (tasks["look for job logs"], tasks["remove leftovers"]) == ("FAILED", "COMPLETED")


def table(client: SyncPrefectClient, run: UUID) -> list[dict[str, str]]:
    """Return the table of a run, whose Markdown shows nothing else for these words."""
    wanted = ArtifactFilter(
        flow_run_id=ArtifactFilterFlowRunId(any_=[run]), key=ArtifactFilterKey(any_=["housekeeping"])
    )
    (artifact,) = client.read_artifacts(artifact_filter=wanted)
    rows: list[dict[str, str]] = json.loads(str(artifact.data))
    return rows


def test_the_command_says_what_it_did(environment: Environment) -> None:
    assert not os.path.lexists(environment.area / ".trash")
    ran = environment.ppi("housekeeping", timeout=500)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "site-test: leftovers: 1 (0 Bytes) removed" in ran.stdout
    assert environment.ppi("housekeeping", "--json", timeout=500).returncode == 0

"""The table of jobs on the page of a run: nothing in it is read as Markdown, and no server hurts the run."""

from __future__ import annotations

import json
import logging
import socket
import time
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect.settings import (
    PREFECT_API_REQUEST_TIMEOUT,
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    temporary_settings,
)

from tasks import _task_jobs, _task_page
from tasks._task_jobs import jobs_shown
from tasks.cluster.board import JobRow

URL = "http://archive-test:4280/reports/"
DONE = JobRow(
    crew="4f2a", name="w-1", job="17.0", did="restore uid://A002/X1/X2", slot="slot1_1@node7", wall_seconds=61.5,
    cpu_seconds=55.25, peak_memory=1_500_000_000, requested_memory=2_000_000_000, outcome="done",
)  # fmt: skip


class Server:
    """Takes the place of the Prefect server, and keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.id = uuid4()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def create_artifact(self, artifact: Any) -> Any:
        self.told.append(artifact)
        return SimpleNamespace(id=self.id)

    def update_artifact(self, known: UUID, artifact: Any) -> None:
        assert known == self.id
        self.told.append(artifact)

    def rows(self, number: int = -1) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.told[number].data)
        return found


@pytest.fixture(autouse=True)
def run(monkeypatch: pytest.MonkeyPatch) -> str:
    """Be in the run of a flow."""
    number = str(uuid4())
    monkeypatch.setattr(_task_page, "flow_run", SimpleNamespace(id=number))
    return number


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server()
    monkeypatch.setattr(_task_page, "get_client", lambda *_, **__: made)
    return made


def test_every_job_has_a_row_with_links_to_its_logs(server: Server, run: str) -> None:
    with jobs_shown(URL) as show:
        show(lambda: (DONE,))
    assert (server.told[0].key, server.told[0].type, str(server.told[0].flow_run_id)) == ("jobs", "table", run)
    (row,) = server.rows()
    assert row.pop("log").split() == [
        f"[w\\-1\\.{ending}](http://archive-test:4280/reports/jobs/4f2a/w-1.{ending})"
        for ending in ("err", "out", "log")
    ]
    assert row == {
        "job": "17\\.0", "did": "restore uid\\://A002/X1/X2", "slot": "slot1\\_1\\@node7", "wall": "1 min 02 s",
        "CPU": "55.2 s", "peak memory": "1.5 GB", "asked for": "2.0 GB", "attempts": 1, "outcome": "done",
    }  # fmt: skip


def test_without_a_place_for_logs_they_are_only_named(server: Server) -> None:
    with jobs_shown(None) as show:
        show(lambda: (DONE,))
    assert server.rows()[0]["log"] == "w\\-1\\.err w\\-1\\.out w\\-1\\.log"


def test_no_name_is_read_as_markdown_or_leads_elsewhere(server: Server) -> None:
    evil = JobRow(crew="../..", name="a](javascript:x)/b c", outcome="<script>|x|\n[y](z)", job="**1**")
    with jobs_shown(URL) as show:
        show(lambda: (evil,))
    (row,) = server.rows()
    assert row["outcome"] == "\\<script\\>\\|x\\| \\[y\\]\\(z\\)"
    assert row["job"] == "\\*\\*1\\*\\*"
    assert "(http://archive-test:4280/reports/jobs/..%2F../a%5D%28javascript%3Ax%29%2Fb%20c.err)" in row["log"]


def test_they_are_shown_when_all_are_known_and_again_at_the_end(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_task_jobs, "_LOOK_SECONDS", 0.01)
    rows = [JobRow(crew="c", name="w-1", outcome="is queued")]
    with jobs_shown(URL) as show:
        show(lambda: tuple(rows))
        rows[0] = JobRow(crew="c", name="w-1", job="17.0", outcome="starts")
        deadline = time.monotonic() + 60
        while not server.told and time.monotonic() < deadline:
            time.sleep(0.01)
        assert [row["outcome"] for row in server.rows()] == ["starts"]
        rows[0] = DONE
    assert [row["outcome"] for row in server.rows()] == ["done"]
    assert len(server.told) == 2


def test_they_are_shown_when_the_stage_fails(server: Server) -> None:
    with pytest.raises(ValueError, match="the stage"), jobs_shown(URL) as show:
        show(lambda: (DONE,))
        raise ValueError("the stage")
    assert len(server.told) == 1


def test_there_is_no_table_without_jobs_or_without_a_run(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with jobs_shown(URL):
        pass
    with jobs_shown(URL) as show:
        show(lambda: ())
    monkeypatch.setattr(_task_page, "flow_run", SimpleNamespace(id=None))
    with jobs_shown(URL) as show:
        show(lambda: (DONE,))
    assert server.told == []


def test_a_server_that_does_not_answer_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(
        _task_page._PATIENCE, True, {PREFECT_API_REQUEST_TIMEOUT: 0.2, PREFECT_CLIENT_MAX_RETRIES: 0}
    )
    monkeypatch.setattr(_task_page, "_made", {})
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/api"
        begun = time.monotonic()
        with (
            temporary_settings({PREFECT_API_URL: url}),
            caplog.at_level(logging.WARNING),
            jobs_shown(URL) as show,
        ):
            show(lambda: (DONE,))
        assert time.monotonic() - begun < 30
    assert "jobs is not shown as it is now" in caplog.text

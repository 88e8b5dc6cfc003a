"""A worker of an environment, as an operator starts one, and runs that are given to it through the server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any
from urllib.error import HTTPError

from environments import Environment
from prefect_records import Records

from blocks.names import slug

ENDED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
_TRIES, _PATIENCE, _SIGNALS = 20, 240, (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL)


@contextmanager
def worker(
    environment: Environment,
    api: str,
    pool: str | None = None,
    python: str = sys.executable,
    **variables: str | None,
) -> Iterator[None]:
    """Run a process worker of an environment for as long as the block lasts.

    Parameters
    ----------
    api
        The Prefect server.
    pool
        The work pool; by default the environment's own.
    python
        The Python of the installation that it runs from.
    variables
        What it has in its environment besides, or instead; None takes a variable away.
    """
    name = f"{environment.name}@{os.uname().nodename}"
    arguments = ["--pool", pool or slug(environment.name), "--type", "process", "--name", name]
    log = (environment.area.parent / f"worker-{environment.name}.log").open("wb")
    process = subprocess.Popen(
        [python, "-m", "prefect", "worker", "start", *arguments],
        env=_variables(environment, api, variables),
        cwd=environment.area.parent,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield
    finally:
        _end(process)
        log.close()


def _variables(environment: Environment, api: str, variables: dict[str, str | None]) -> dict[str, str]:
    given = {
        **environment.variables,
        "CAPO_PROFILE": environment.name,
        "PREFECT_API_URL": api,
        "PREFECT_HOME": str(environment.area.parent / f"prefect-{environment.name}"),
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "DO_NOT_TRACK": "1",
        **variables,
    }
    return {name: value for name, value in given.items() if value is not None}


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in _SIGNALS:
        if process.poll() is None:
            os.killpg(process.pid, number)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                continue
    process.wait()


class Runs:
    """Runs of deployments on a Prefect server."""

    def __init__(self, api: str, login: str = "") -> None:
        self.api, self.records = api, Records(api, login)

    def ask(self, method: str, path: str, **content: Any) -> Any:
        """Ask the server for something, with some content."""
        return self.ask_with(method, path, content)

    def ask_with(self, method: str, path: str, content: dict[str, Any] | list[Any]) -> Any:
        """Ask the server for something; as its own clients do, again while SQLite keeps it waiting."""
        for _ in range(_TRIES):
            try:
                return self._answer(method, path, content)
            except HTTPError as error:
                if error.code != HTTPStatus.SERVICE_UNAVAILABLE:
                    raise
                time.sleep(1)
        raise TimeoutError(f"{self.api} is unavailable")

    def _answer(self, method: str, path: str, content: dict[str, Any] | list[Any]) -> Any:
        request = urllib.request.Request(  # noqa: S310 - our own server
            f"{self.api}/{path}", method=method, headers=self.records.headers
        )
        data = json.dumps(content).encode() if content or method == "POST" else None
        with urllib.request.urlopen(request, data, timeout=120) as answer:  # noqa: S310
            body = answer.read()
        return json.loads(body) if body else None

    def deployment(self, name: str) -> dict[str, Any]:
        """Return a deployment by its full name."""
        found: dict[str, Any] = self.ask("GET", f"deployments/name/{name}")
        return found

    def start(self, name: str, job_variables: dict[str, Any] | None = None, **parameters: Any) -> str:
        """Start a deployment; return the run's id."""
        path = f"deployments/{self.deployment(name)['id']}/create_flow_run"
        run = self.ask("POST", path, parameters=parameters, job_variables=job_variables or {})
        return str(run["id"])

    def ended(self, run: str) -> dict[str, Any]:
        """Wait for a run to end; return its record."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            record: dict[str, Any] = self.ask("GET", f"flow_runs/{run}")
            if record["state_type"] in ENDED:
                return record
            time.sleep(0.5)
        raise TimeoutError(f"run {run} is still {record['state_name']}")

    def message(self, run: str) -> str:
        """Wait for a run to fail; return why it did."""
        record = self.ended(run)
        assert record["state_type"] == "FAILED", record["state"]
        return str(record["state"]["message"])

    def log(self, run: str) -> list[str]:
        """Return the lines that a run has logged so far; its last ones come after its end."""
        found = self.records.ask("logs", logs={"flow_run_id": {"any_": [run]}})
        return [line["message"] for line in found]

    def logged(self, run: str, words: str) -> str:
        """Wait for a line of a run's log that has some words in it; return the line."""
        deadline = time.monotonic() + _PATIENCE / 4
        while time.monotonic() < deadline:
            for line in self.log(run):
                if words in line:
                    return line
            time.sleep(0.5)
        raise TimeoutError(f"run {run} did not log {words!r}")

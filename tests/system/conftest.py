"""The real services of the system tests: the small observatory, its file server, a Prefect server, CASA."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
from environments import Environment, MakeEnvironment, own_archive
from pools import SETTINGS, MakePool, emptied, release
from ports import free_port

from deployments.local import environment, rabbitmq
from deployments.local.condor.config import Settings
from deployments.local.condor.pool import LocalPool, running
from deployments.local.ngas_server import Fault, serving
from deployments.local.observatory.build import Observatory, build
from deployments.local.rabbitmq import LocalBroker


@pytest.fixture(scope="session")
def observatory() -> Observatory:
    return build(environment.home() / "observatories")


@pytest.fixture(scope="session")
def prefect_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prefect server with a database of its own; nothing that is deployed there runs by itself."""
    home, port = tmp_path_factory.mktemp("prefect"), free_port()
    variables = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    server = subprocess.Popen(
        [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)],
        env=variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield _healthy(f"http://127.0.0.1:{port}/api")
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture
def make_environment(tmp_path: Path, observatory: Observatory, prefect_api: str) -> Iterator[MakeEnvironment]:
    """Make profiles that share nothing but the observatory's content."""
    with ExitStack() as stack:

        def make(
            name: str = "site-test",
            faults: Mapping[tuple[str, str], Fault] | None = None,
            archive: Path | None = None,
            **properties: str,
        ) -> Environment:
            content = archive or own_archive(observatory, tmp_path / f"{name}-ngas")
            address = stack.enter_context(serving(content, faults=faults))
            made = Environment(name, tmp_path / "capo", tmp_path / name, content)
            made.write(
                {
                    "metadata_url": observatory.database_url,
                    "ngas_servers": address,
                    "ngas_timeoutSeconds": "5",
                    "prefect_apiUrl": prefect_api,
                    **properties,
                }
            )
            return made

        yield make


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBroker]:
    """A broker for all who do not stop it; each has a profile, and so queues, of its own."""
    with rabbitmq.running(tmp_path_factory.mktemp("rabbitmq")) as made:
        yield made


@pytest.fixture(scope="session")
def shared_pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPool]:
    with running(tmp_path_factory.mktemp("pool"), release(), SETTINGS) as pool:
        yield pool


@pytest.fixture
def pool(shared_pool: LocalPool) -> Iterator[LocalPool]:
    """A pool that others use before and after: its queue is empty at the end, and it runs."""
    with emptied(shared_pool):
        yield shared_pool


@pytest.fixture
def make_pool(tmp_path: Path) -> Iterator[MakePool]:
    """Make pools to be stopped, killed or filled."""
    with ExitStack() as stack:

        def make(name: str = "pool", settings: Settings = SETTINGS) -> LocalPool:
            return stack.enter_context(running(tmp_path / name, release(), settings))

        yield make


def _healthy(api: str) -> str:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{api}/health", timeout=2):  # noqa: S310 - our own server
                return api
        except OSError:
            time.sleep(0.2)
    raise TimeoutError(f"the Prefect server at {api} did not start")

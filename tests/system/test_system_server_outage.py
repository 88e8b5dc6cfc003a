"""The Prefect server dies in mid-run: the run goes on, and the server knows its end when it is back."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pools
import postgresql
import pytest
from environments import MOUS, Environment, MakeEnvironment
from ports import free_port
from prefect_servers import Server
from serving import Runs

from deployments.local.condor.pool import LocalPool
from deployments.local.ngas_faults import first, stall

LAST = "uid___A002_Xc72427_X2dfe.asdm.sdm.tar"
AWAY_SECONDS, PATIENCE = 15, 240.0
NAME = "restore X1284_X265f"


def waited(condition: Callable[[], object], seconds: float = PATIENCE) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)
    return bool(condition())


@pytest.fixture(params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    with contextlib.ExitStack() as stack:
        url = None
        if request.param == "postgresql":
            cluster = stack.enter_context(postgresql.running())
            cluster.execute("CREATE DATABASE prefect")
            url = cluster.owner_url("prefect").replace("+psycopg", "+asyncpg")
        made = Server(tmp_path / "prefect", free_port(), url)
        stack.callback(made.kill)
        made.start()
        yield made


@contextlib.contextmanager
def restoring(environment: Environment, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    with said(environment).open("wb") as log:
        process = subprocess.Popen(
            list(command) or environment.command("restore", MOUS), env=environment.variables, stderr=log
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def comes_to(
    process: subprocess.Popen[bytes], environment: Environment, sign: Callable[[Environment], bool]
) -> None:
    assert waited(lambda: sign(environment) or process.poll() is not None), "it never came so far"
    assert process.poll() is None, said(environment).read_text()


def said(environment: Environment) -> Path:
    return environment.area.parent / f"{environment.name}.stderr"


def away(server: Server) -> None:
    """Kill the server, and bring it back after a while."""
    server.kill()
    time.sleep(AWAY_SECONDS)
    server.start()


def run_of(server: Server) -> dict[str, dict[str, Any]]:
    records = Runs(server.api).records
    (own,) = records.ask("flow_runs", flow_runs={"name": {"any_": [NAME]}})
    return records.flow_runs(own["id"])


def is_fetching(environment: Environment) -> bool:
    found = (name for _, folders, _ in os.walk(environment.area / "store") for name in folders)
    return any(name.endswith(LAST) for name in found)


def has_a_block(environment: Environment) -> bool:
    return any(environment.area.glob("2017*/SOUS*/GOUS*/MOUS*/working/uid*/record.json"))


def test_away_in_mid_process_and_in_mid_gather(
    make_environment: MakeEnvironment, server: Server, pool: LocalPool
) -> None:
    """With jobs of a pool, which do not know the server at all."""
    environment = make_environment(
        "site-away",
        faults={("RETRIEVE", LAST): first(1, stall(1000, 10))},
        prefect_apiUrl=server.api,
        ngas_timeoutSeconds="60",
        **pools.properties(pool),
    )
    with restoring(environment) as process:
        comes_to(process, environment, is_fetching)
        away(server)
        comes_to(process, environment, has_a_block)
        away(server)
        assert process.wait(PATIENCE) == 0, said(environment).read_text()
    fetched = environment.retrieved()
    assert len(fetched) == len(set(fetched)) + 1, "but for the one that stalled, none was fetched twice"
    blocks = environment.restored()["blocks"]
    assert [block["proof"]["reference"] for block in blocks] == ["equal"] * len(blocks)
    ended = {name: run["state_type"] for name, run in run_of(server).items()}
    assert ended == dict.fromkeys((NAME, "gather", "process", "finish"), "COMPLETED")


IMPATIENT = (
    "from deployments import prefect_server\nprefect_server._RETRIES = '2'\nfrom cli.main import main\nmain()"
)
"""The command, with 6 s of patience instead of minutes."""


@pytest.mark.parametrize("server", ["sqlite"], indirect=True)
def test_away_for_ever(make_environment: MakeEnvironment, server: Server) -> None:
    environment = make_environment("site-lost", prefect_apiUrl=server.api)
    with restoring(environment, *impatient(environment)) as process:
        comes_to(process, environment, has_a_block)
        server.kill()
        assert process.wait(PATIENCE) == 5
    *_, line = said(environment).read_text().splitlines()
    assert line.startswith("ppi: the Prefect server: ConnectError")
    done = blocks_done(environment)
    assert len(done) == 4
    server.start()
    assert environment.ppi("restore", MOUS).returncode == 0
    restored = {Path(block["vis"]).stem: block for block in environment.restored()["blocks"]}
    assert {name: restored[name] for name in done} == done, "no block was done again"


def impatient(environment: Environment) -> list[str]:
    python, _, _, *arguments = environment.command("restore", MOUS)
    return [python, "-c", IMPATIENT, *arguments]


def blocks_done(environment: Environment) -> dict[str, Any]:
    found = environment.area.glob("2017*/SOUS*/GOUS*/MOUS*/working/uid*/record.json")
    return {path.parent.name: json.loads(path.read_bytes()) for path in found}

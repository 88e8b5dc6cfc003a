"""Fifty restores at once on one pool, with an executor that does nothing: all end, and nothing is left of them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pools
import postgresql
import psutil
import pytest
from environments import Environment, MakeEnvironment
from ports import free_port
from prefect_servers import Server

from deployments.local.condor.pool import LocalPool
from deployments.local.ngas_server import requests_of

DRIVER = Path(__file__).with_name("null_restores.py")
RESTORES, PROCESSES = 50, 10
LEAVING_SECONDS = 60.0
MOST_GROWTH = 12 << 20
"""Bytes by which a process may grow over three more restores: what Prefect and Dask keep of each is far less."""
ROUNDS, WARM = 6, 3


@pytest.fixture
def busy_server(tmp_path: Path) -> Iterator[str]:
    """A Prefect server on PostgreSQL: fifty runs at once are too many for SQLite, which has one writer."""
    with postgresql.running() as cluster:
        cluster.execute("CREATE DATABASE prefect")
        database = cluster.owner_url("prefect").replace("+psycopg", "+asyncpg")
        server = Server(tmp_path / "prefect", free_port(), database)
        try:
            server.start()
            yield server.api
        finally:
            server.kill()


def environments(
    make_environment: MakeEnvironment, pool: LocalPool, number: int, **properties: str
) -> list[Environment]:
    """Make environments that share archive, store and pool."""
    first = make_environment("null-0", **properties)
    shared = {"processing_storeDirectory": str(first.area.parent / "store")}
    cluster = {**shared, **pools.properties(pool), "cluster_maxWorkers": "1"}
    made = [first]
    first.write(properties_of(first) | cluster)
    for count in range(1, number):
        other = Environment(f"null-{count}", first.capo, first.area.with_name(f"null-{count}"), first.archive)
        other.write({**properties_of(first), **cluster, "processing_rootDirectory": str(other.area)})
        made.append(other)
    return made


def properties_of(environment: Environment) -> dict[str, str]:
    lines = (environment.capo / f"{environment.name}.properties").read_text().splitlines()
    pairs = (line.partition(" = ") for line in lines)
    return {key.removeprefix("ppi.").replace(".", "_"): value for key, _, value in pairs}


def started(rounds: int, group: list[Environment]) -> subprocess.Popen[str]:
    command = [sys.executable, str(DRIVER), str(rounds), *(each.name for each in group)]
    return subprocess.Popen(
        command, env=group[0].variables, cwd=group[0].area.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


def told(process: subprocess.Popen[str], timeout: float) -> dict[str, Any]:
    try:
        out, err = process.communicate(timeout=timeout)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, err[-3000:]
    found: dict[str, Any] = json.loads(out)
    return found


def workers_left(folder: Path) -> list[str]:
    commands = [" ".join(each.info["cmdline"] or ()) for each in psutil.process_iter(["cmdline"])]
    return [line for line in commands if str(folder) in line and ("tasks.cluster" in line or "tasks.casa" in line)]


@pytest.mark.timeout(1800)
def test_fifty_at_once_all_end_and_leave_nothing(
    make_environment: MakeEnvironment, pool: LocalPool, busy_server: str, tmp_path: Path
) -> None:
    made = environments(make_environment, pool, RESTORES, prefect_apiUrl=busy_server)
    running = [started(1, made[first::PROCESSES]) for first in range(PROCESSES)]
    try:
        verdicts = [verdict for process in running for verdict in told(process, 1500)["verdicts"]]
    finally:
        for process in running:
            process.kill()
            process.communicate()
    assert verdicts == ["success"] * RESTORES
    assert all((each.destination / "provenance.json").exists() for each in made)
    fetched = [request["file_id"] for request in requests_of(made[0].archive, "RETRIEVE")]
    assert len(fetched) == len(set(fetched)), "every file crossed the wire once, for all of them"
    ends = time.monotonic() + LEAVING_SECONDS
    while (pool.client.queue("true") or workers_left(tmp_path)) and time.monotonic() < ends:
        time.sleep(0.2)
    assert not pool.client.queue("true")
    assert workers_left(tmp_path) == []
    store = made[0].area.parent / "store"
    leases = [path for path in store.rglob("*") if path.is_symlink() and ".tally" not in path.parts]
    assert leases == [], "the store's accounts are links too"
    assert not [path for each in made for path in each.area.glob("jobs/*/tls")]


def test_a_process_does_not_grow_with_what_it_has_done(make_environment: MakeEnvironment, pool: LocalPool) -> None:
    (environment,) = environments(make_environment, pool, 1)
    held = told(started(ROUNDS, [environment]), 500)["resident"]
    assert len(held) == ROUNDS
    assert held[-1] - held[WARM - 1] < MOST_GROWTH, held

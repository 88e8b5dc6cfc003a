"""A delivery goes from the processing area into the archive once, however often whoever sends it is killed."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import postgresql
from environments import MOUS, Environment, MakeEnvironment
from sqlmodel import Session, select

from deployments.local.ngas_index import Index
from deployments.local.ngas_server import requests_of
from tasks.alma.ids import EntityId
from tasks.catalog.archived import ANNOUNCEMENT_KEY, Archived, Delivery, Ingestions
from tasks.catalog.catalog import Catalog
from tasks.catalog.connection import Database
from tasks.catalog.outbox import Outbox
from tasks.catalog.tables import RequestRow

NULL_RESTORES = Path(__file__).with_name("null_restores.py")
KILLS, MOST_REQUESTS = 3, 24
DELIVERY = Delivery(
    profile="site-test", observation=MOUS, project="2017.1.00886.L", path="/a", key="k", provenance="p" * 64,
    flow_run="made",
)  # fmt: skip
LAST = Archived(path="provenance.json", file_id="X.json", version=1, size=9, checksum="crc32:2", server="one:7777")
PATIENCE = 240
"""Seconds."""


def restored(environment: Environment) -> None:
    """Have a delivery, made by an executor that does nothing."""
    ran = subprocess.run(
        [sys.executable, NULL_RESTORES, "1", environment.name],
        env=environment.variables,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr


def killed_after(environment: Environment, requests: int) -> None:
    """Kill `ppi ingest` with SIGKILL when the archive has answered so many requests more, if it lives so long."""
    wanted = len(requests_of(environment.archive)) + requests
    process = subprocess.Popen(
        environment.command("ingest", MOUS),
        env=environment.variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    ends = time.monotonic() + PATIENCE
    while process.poll() is None and len(requests_of(environment.archive)) < wanted:
        assert time.monotonic() < ends, "it never came so far"
        time.sleep(0.002)
    process.kill()
    process.wait(10)


def told(environment: Environment) -> dict[str, Any]:
    ran = environment.ppi("ingest", MOUS, "--json")
    assert ran.returncode == 0, ran.stderr
    said: dict[str, Any] = json.loads(ran.stdout)
    return said


def made(environment: Environment) -> dict[str, int]:
    """Return the newest version of every file that an ingest has archived."""
    own = EntityId(MOUS).file_form
    return {entry.file_id: entry.file_version for entry in Index(environment.archive).like(f"{own}.%")}


def database(environment: Environment) -> Database:
    return Database(f"sqlite:///{environment.area}/catalog.db")


def announced(environment: Environment) -> list[dict[str, Any]]:
    messages = Outbox(database(environment)).unsent()
    return [json.loads(message.body) for message in messages if message.routing_key == ANNOUNCEMENT_KEY]


def requested(environment: Environment) -> RequestRow:
    with database(environment).reading() as connection, Session(connection) as session:
        return session.exec(select(RequestRow)).one()


def test_an_ingest_that_is_killed_again_and_again_archives_everything_once(
    make_environment: MakeEnvironment,
) -> None:
    environment = make_environment(broker_url="amqp://127.0.0.1:1/")
    restored(environment)
    before = made(environment)
    for kill in range(KILLS):
        killed_after(environment, random.Random(kill).randint(1, MOST_REQUESTS))  # noqa: S311
    said = told(environment)
    files = {file["file_id"]: file for file in said["files"]}
    new = {name: version for name, version in made(environment).items() if name not in before}
    assert new == dict.fromkeys(files, 1)
    blocks = [block["vis"] for block in environment.restored()["blocks"]]
    assert {f"{EntityId(MOUS).file_form}.{vis}.tar" for vis in blocks} < set(files)
    (message,) = announced(environment)
    assert {file["file_id"]: file["checksum"] for file in message["files"]} == {
        name: file["checksum"] for name, file in files.items()
    }
    assert (message["profile"], message["workflow"]) == (environment.name, "restore-ous")
    request = requested(environment)
    assert (request.id, request.ingestion_state) == (message["request"], "complete")
    again = told(environment)
    assert again["is_news"] is False
    assert all(file["was_there"] for file in again["files"])
    assert len(announced(environment)) == 1


def test_a_delivery_that_two_complete_at_once_is_announced_once_in_postgresql() -> None:
    with postgresql.running() as cluster:
        cluster.execute("CREATE DATABASE catalog")
        database = Database(cluster.owner_url("catalog"))
        Catalog(database, "site-test")
        ingestions, now = Ingestions(database, announces=True), datetime.now(UTC)
        tar = LAST.model_copy(update={"path": "log", "file_id": "X.log.tar", "version": 3})
        for _ in range(2):
            ingestions.add(DELIVERY, [tar], now)
        with ThreadPoolExecutor(4) as threads:
            done = [threads.submit(ingestions.complete, DELIVERY, f"run {n}", LAST, now) for n in range(4)]
        assert sorted(each.result() for each in done) == [False, False, False, True]
        assert len(Outbox(database).unsent()) == 1
        assert ingestions.known(DELIVERY) == {"log": tar, "provenance.json": LAST}

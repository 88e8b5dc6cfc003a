"""What the catalog knows of the archive: each file once, told of once, whatever is repeated."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import Session, select

from tasks.catalog.archived import ANNOUNCEMENT_KEY, Archived, Delivery, Ingestions
from tasks.catalog.book import Book
from tasks.catalog.catalog import Catalog
from tasks.catalog.connection import Database
from tasks.catalog.model import Execution
from tasks.catalog.outbox import Outbox
from tasks.catalog.request import Ask
from tasks.catalog.tables import ArchivedRow, RequestRow

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
MOUS, RUN, MADE_BY = "uid://A001/X1284/X265f", "run" * 12, "made" * 9
TAR = Archived(path="log", file_id="X.log.tar", version=1, size=10240, checksum="crc32:1", server="one:7777")
LAST = Archived(path="provenance.json", file_id="X.json", version=1, size=9, checksum="crc32:2", server="one:7777")
DELIVERY = Delivery(
    profile="site-test", observation=MOUS, project="2017.1.00886.L", path="/a", key="k", provenance="p" * 64,
    flow_run=MADE_BY,
)  # fmt: skip
ANEW = DELIVERY.model_copy(update={"provenance": "q" * 64})


@pytest.fixture
def database(tmp_path: Path) -> Database:
    made = Database(f"sqlite:///{tmp_path}/catalog.db")
    Catalog(made, "site-test")
    return made


@pytest.fixture
def ingestions(database: Database) -> Ingestions:
    return Ingestions(database, announces=True)


def asked_for(database: Database) -> None:
    """Have a request, and the run that it led to."""
    Book(database).record([Ask(workflow="restore-ous", observation=MOUS, origin="sweep")], NOON)
    Catalog(database, "site-test").add(
        Execution(flow="restore-ous", profile="site-test", observation=MOUS, started=NOON, flow_run=MADE_BY)
    )


def rows(database: Database) -> list[ArchivedRow]:
    with database.reading() as connection, Session(connection) as session:
        return list(session.exec(select(ArchivedRow)))


def ingestion(database: Database) -> tuple[str | None, str | None]:
    with database.reading() as connection, Session(connection) as session:
        row = session.exec(select(RequestRow)).one()
        return row.ingestion_id, row.ingestion_state


def messages(database: Database) -> list[dict[str, Any]]:
    told = Outbox(database).unsent()
    assert {message.routing_key for message in told} <= {ANNOUNCEMENT_KEY} == {"ingestion-complete.products"}
    return [json.loads(message.body) for message in told]


def test_what_is_written_down_is_known_and_only_once(database: Database, ingestions: Ingestions) -> None:
    assert ingestions.known(DELIVERY) == {}
    for _ in range(2):
        ingestions.add(DELIVERY, [TAR], NOON)
    ingestions.add(DELIVERY, [], NOON)
    assert ingestions.known(DELIVERY) == {"log": TAR}
    assert len(rows(database)) == 1


def test_of_a_file_the_last_version_is_known(ingestions: Ingestions) -> None:
    for version in (2, 1):
        ingestions.add(DELIVERY, [TAR.model_copy(update={"version": version})], NOON)
    assert ingestions.known(DELIVERY)["log"].version == 2


def test_the_same_bytes_of_a_later_delivery_are_the_later_ones(database: Database, ingestions: Ingestions) -> None:
    ingestions.add(DELIVERY, [TAR], NOON)
    ingestions.add(ANEW, [TAR], NOON + timedelta(days=1))
    assert (ingestions.known(DELIVERY), ingestions.known(ANEW)) == ({}, {"log": TAR})
    assert [row.archived for row in rows(database)] == [NOON]


def test_a_delivery_is_announced_once_with_all_its_files(database: Database, ingestions: Ingestions) -> None:
    asked_for(database)
    ingestions.begin(DELIVERY, RUN)
    assert ingestion(database) == (RUN, "running")
    ingestions.add(DELIVERY, [TAR], NOON)
    assert messages(database) == []
    assert ingestions.complete(DELIVERY, RUN, LAST, NOON) is True
    assert ingestion(database) == (RUN, "complete")
    ingestions.begin(DELIVERY, "another run")
    assert ingestions.complete(DELIVERY, "another run", LAST, NOON) is False
    assert ingestion(database) == ("another run", "complete")
    assert messages(database) == [
        {
            "profile": "site-test",
            "workflow": "restore-ous",
            "observation": MOUS,
            "project": "2017.1.00886.L",
            "request": 1,
            "flow_run": RUN,
            "key": "k",
            "directory": "/a",
            "files": [TAR.model_dump(), LAST.model_dump()],
            "time": NOON.isoformat(),
        }
    ]


def test_a_delivery_made_anew_is_announced_anew(database: Database, ingestions: Ingestions) -> None:
    ingestions.complete(DELIVERY, RUN, LAST, NOON)
    ingestions.complete(ANEW, RUN, LAST.model_copy(update={"version": 2}), NOON)
    assert [message["files"][0]["version"] for message in messages(database)] == [1, 2]
    assert {message["workflow"] for message in messages(database)} == {None}


def test_without_a_broker_nothing_is_announced(database: Database) -> None:
    assert Ingestions(database, announces=False).complete(DELIVERY, RUN, LAST, NOON) is True
    assert messages(database) == []


def test_a_run_that_fails_says_so_of_its_own_ingestion_only(database: Database, ingestions: Ingestions) -> None:
    asked_for(database)
    ingestions.begin(DELIVERY, RUN)
    ingestions.begin(DELIVERY, "a later run")
    ingestions.fail(DELIVERY, RUN)
    assert ingestion(database) == ("a later run", "running")
    ingestions.fail(DELIVERY, "a later run")
    assert ingestion(database) == ("a later run", "failed")


def test_another_observation_is_left_alone(database: Database, ingestions: Ingestions) -> None:
    asked_for(database)
    ingestions.begin(DELIVERY.model_copy(update={"observation": "uid://A001/X1284/X2660"}), RUN)
    ingestions.begin(DELIVERY.model_copy(update={"flow_run": None}), RUN)
    assert ingestion(database) == (None, None)

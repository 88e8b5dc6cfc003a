"""Sweeps over a real PostgreSQL: the same answers as over SQLite, few queries, nothing twice when they overlap."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from postgresql import USER, Cluster, running
from sqlalchemy import Engine, create_engine, event, insert, select

from deployments.local.observatory.build import Observatory
from tasks.alma import MetadataArchive
from tasks.alma.survey import Audit, Releases
from tasks.alma.tables import METADATA, AsaDeliveryStatus, AsaOus, AsaProductFiles, ObsUnitSetStatus
from tasks.catalog.book import Book, Filed
from tasks.catalog.catalog import Catalog
from tasks.catalog.connection import Database
from tasks.sweep import RunEnd, Terms, sweep

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
FLOW, MANY, MOST_RUNS, MOST_QUERIES = "restore-ous", 300, 5, 12


@dataclass
class Runs:
    """A server of runs: the same key gives the same run."""

    by_key: dict[str, str] = field(default_factory=dict)
    _one: threading.Lock = field(default_factory=threading.Lock)

    def launch(self, request: Filed, key: str) -> str:
        with self._one:
            return self.by_key.setdefault(key, f"run-{len(self.by_key)}")

    def ends(self, runs: Collection[str]) -> Mapping[str, RunEnd]:
        return dict.fromkeys(runs, RunEnd.CANCELLED)


@pytest.fixture(scope="module")
def cluster(observatory: Observatory) -> Iterator[Cluster]:
    with running() as cluster:
        for name in ("observatory", "many"):
            cluster.execute(f"CREATE DATABASE {name}")
            cluster.execute(f"ALTER DATABASE {name} SET timezone = 'America/Denver'")
        _copy(observatory.database_url, cluster.owner_url("observatory"))
        _fill(cluster.owner_url("many"))
        yield cluster


def _copy(source: str, destination: str) -> None:
    read, write = create_engine(source), create_engine(destination)
    with read.connect() as old, write.begin() as new:
        METADATA.create_all(new)
        for table in METADATA.sorted_tables:
            new.execute(insert(table), [row._asdict() for row in old.execute(select(table))])
    for engine in (read, write):
        engine.dispose()


def _fill(url: str) -> None:
    """Make observations of which each third becomes public in an hour, and one in ten is not calibrated."""
    rows: dict[type[Any], list[dict[str, Any]]] = {
        table: [] for table in (AsaOus, AsaProductFiles, AsaDeliveryStatus, ObsUnitSetStatus)
    }
    for number in range(MANY):
        uid, code = f"uid://A001/X9/X{number:x}", f"2017.1.{number % 7:05d}.S"
        release = NOON + timedelta(hours=1 if number % 3 == 0 else -1)
        delivery = f"{code}_{uid.replace('://', '___').replace('/', '_')}"
        rows[AsaOus].append({"asa_ous_id": f"k{number}", "asa_project_code": code, "member_ous_uid": uid})
        rows[ObsUnitSetStatus].append({"status_entity_id": uid})
        rows[AsaDeliveryStatus].append(
            {"delivery_id": f"d{number}", "delivery_name": delivery, "release_date": release}
        )
        rows[AsaProductFiles] += [
            {"asa_ous_id": f"k{number}", "ngas_file_id": f"{number}.{kind}", "file_class": kind}
            for kind in ("calibration", "science")
            if kind == "science" or number % 10
        ]
    engine = create_engine(url)
    with engine.begin() as connection:
        METADATA.create_all(connection)
        for table, values in rows.items():
            connection.execute(insert(table), values)
    engine.dispose()


@pytest.fixture
def catalog(cluster: Cluster, request: pytest.FixtureRequest) -> Database:
    name = f"book_{abs(hash(request.node.name))}"
    cluster.execute(f"CREATE DATABASE {name}")
    database = Database(cluster.url(name), USER, cluster.password)
    Catalog(database, "site-test", upgrade=True)
    return database


@contextmanager
def _queries() -> Iterator[list[str]]:
    sent: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        sent.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def test_postgresql_gives_the_same_evidence_as_sqlite(observatory: Observatory, cluster: Cluster) -> None:
    ids = [archived.mous for archived in observatory.sets]
    on_server = MetadataArchive(cluster.url("observatory"), "", USER, cluster.password)
    in_file = MetadataArchive(observatory.database_url)
    alone = {mous: in_file.observing_unit_set(mous).evidence for mous in ids}
    everything = Releases(None, datetime(2100, 1, 1, tzinfo=UTC), 100), Audit(None, 100)
    for archive in (on_server, in_file):
        assert archive.evidence(ids) == alone
        assert archive.survey(*everything).evidence == alone
        by_release = archive.survey(everything[0], Audit(None, 0)).evidence
        assert by_release == {mous: each for mous, each in alone.items() if each.release_date}


def test_sweeps_that_overlap_ask_and_launch_once(cluster: Cluster, catalog: Database) -> None:
    archive = MetadataArchive(cluster.url("many"), "", USER, cluster.password)
    book, runs, terms = Book(catalog), Runs(), Terms("site-test", FLOW, (), 40, None, MOST_RUNS)

    def one(_: int) -> int:
        return len(sweep(archive, Book(catalog), terms, NOON, runs, lambda held: True).asked)

    with ThreadPoolExecutor(4) as pool:
        asked = sum(pool.map(one, range(4)))
    expected = sum(1 for number in range(MANY) if number % 3 and number % 10)
    numbers = [f"uid://A001/X9/X{number:x}" for number in range(MANY)]
    assert len(book.known(numbers, FLOW)) == expected == asked
    active = book.active()
    assert len(active) == MOST_RUNS
    assert sorted(request.processing_id or "" for request in active) == sorted(runs.by_key.values())
    assert {request.launches for request in active} == {1}
    assert len({request.project for request in active}) == MOST_RUNS, "each project has its turn"


def test_what_a_release_brings_takes_few_queries(cluster: Cluster, catalog: Database) -> None:
    archive = MetadataArchive(cluster.url("many"), "", USER, cluster.password)
    book, terms = Book(catalog), Terms("site-test", FLOW, (), 10, None, MOST_RUNS)
    assert not sweep(archive, book, terms, NOON, None, lambda _: False).more
    with catalog.writing() as connection:
        connection.exec_driver_sql("UPDATE request SET state = 'succeeded'")
    with _queries() as sent:
        swept = sweep(archive, book, terms, NOON + timedelta(hours=2), Runs(), lambda _: False)
    assert len(swept.asked) > MANY // 4
    assert len(swept.runs) == MOST_RUNS
    assert len(sent) <= MOST_QUERIES, "\n".join(sent)

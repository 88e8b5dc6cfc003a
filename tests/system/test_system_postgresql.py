"""The metadata in a real PostgreSQL: the same answers, nothing ever written, and no trace of the password."""

from __future__ import annotations

import contextlib
import json
import subprocess
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg.errors
import pytest
from environments import PROPRIETARY, Environment, own_archive
from postgresql import USER, Cluster, running
from prefect_records import Records
from sqlalchemy import Engine, create_engine, delete, event, insert, select

from deployments.local.ngas_server import serving
from deployments.local.observatory.build import Observatory
from tasks.alma import EntityId, MetadataArchive
from tasks.alma.connection import Database
from tasks.alma.tables import METADATA, AsaOus
from tasks.errors import Missing, Refused, Transient

MOST_QUERIES = 10


@pytest.fixture(scope="module")
def cluster(observatory: Observatory) -> Iterator[Cluster]:
    """Two databases with all that the observatory knows: `plain`, and `named` with its tables in schema `alma`."""
    with running() as cluster:
        for database, schema in (("plain", ""), ("named", "alma")):
            cluster.execute(f"CREATE DATABASE {database}")
            _copy(observatory.database_url, cluster.owner_url(database), schema)
        yield cluster


def _copy(source: str, destination: str, schema: str) -> None:
    read, write = create_engine(source), create_engine(destination)
    with read.connect() as old, write.begin() as new:
        if schema:
            new.exec_driver_sql(f"CREATE SCHEMA {schema}")
        new = new.execution_options(schema_translate_map={None: schema or None})
        METADATA.create_all(new)
        for table in METADATA.sorted_tables:
            rows = [row._asdict() for row in old.execute(select(table))]
            assert rows, f"the observatory has nothing in {table.name}"
            new.execute(insert(table), rows)
    for engine in (read, write):
        engine.dispose()


@contextlib.contextmanager
def _queries() -> Iterator[list[str]]:
    sent: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        sent.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(Engine, "before_cursor_execute", note)


@pytest.mark.parametrize(("database", "schema"), [("plain", ""), ("named", "alma")])
def test_postgresql_answers_as_sqlite_does_in_few_queries(
    observatory: Observatory, cluster: Cluster, database: str, schema: str
) -> None:
    of_sqlite = MetadataArchive(observatory.database_url)
    of_postgresql = MetadataArchive(cluster.url(database), schema, USER, cluster.password)
    assert len(observatory.sets) >= 4
    for archived in observatory.sets:
        expected = of_sqlite.observing_unit_set(archived.mous)
        with _queries() as sent:
            assert of_postgresql.observing_unit_set(archived.mous) == expected
        assert 0 < len(sent) <= MOST_QUERIES
        assert all(statement.lstrip().startswith("SELECT") for statement in sent)


def test_an_unknown_observation_or_schema_is_missing(cluster: Cluster) -> None:
    unknown = EntityId("uid://A001/X1/X1")
    with pytest.raises(Missing, match=f"MOUS {unknown} is unknown"):
        MetadataArchive(cluster.owner_url("plain")).observing_unit_set(unknown)
    with pytest.raises(Missing, match=r"ppi\.metadata\.url and \.schema"):
        MetadataArchive(cluster.owner_url("plain"), "nowhere").observing_unit_set(unknown)
    with pytest.raises(Missing, match=r"ppi\.metadata\.url and \.schema"):
        MetadataArchive(cluster.owner_url("nowhere")).observing_unit_set(unknown)


def test_the_owner_of_all_tables_cannot_write_through_our_connection(cluster: Cluster) -> None:
    database = Database(cluster.url("plain"), username=USER, password=cluster.password)
    writing: Any = delete(AsaOus).returning(AsaOus.asa_ous_id)
    with database.reading() as reader, pytest.raises(Refused, match="read-only transaction") as caught:
        reader.rows(writing)
    cause: Any = caught.value.__cause__
    assert isinstance(cause.orig, psycopg.errors.ReadOnlySqlTransaction)
    with database.reading() as reader:
        assert len(reader.rows(select(AsaOus.asa_ous_id))) >= 4


@pytest.mark.parametrize("place", ["of their own", "in the URL"])
def test_a_wrong_password_is_refused_and_not_repeated(cluster: Cluster, place: str) -> None:
    wrong = "wr0ng-and-secret"
    if place == "in the URL":
        archive = MetadataArchive(cluster.url("plain", f"{USER}:{wrong}@"))
    else:
        archive = MetadataArchive(cluster.url("plain"), "", USER, wrong)
    with pytest.raises(Refused, match=r"does not let us in.*ppi\.metadata\.username and \.password") as caught:
        archive.observing_unit_set(EntityId(PROPRIETARY))
    assert wrong not in "".join(traceback.format_exception(caught.value))


def test_a_server_that_is_gone_is_worth_a_retry(cluster: Cluster) -> None:
    gone = MetadataArchive(cluster.url("plain").replace(str(cluster.port), "1"), "", USER, cluster.password)
    with pytest.raises(Transient):
        gone.observing_unit_set(EntityId(PROPRIETARY))


@dataclass(frozen=True)
class Restored:
    """A whole restore from PostgreSQL, and all that is left of it."""

    environment: Environment
    run: subprocess.CompletedProcess[str]
    password: str
    records: Records

    @property
    def told(self) -> dict[str, Any]:
        assert self.run.returncode == 0, self.run.stderr
        told: dict[str, Any] = json.loads(self.run.stdout)
        return told

    def flow_runs(self) -> dict[str, dict[str, Any]]:
        """Return the run and its stages, by name."""
        return self.records.flow_runs(self.told["provenance"]["flow_run"])


@pytest.fixture(scope="module")
def restored(
    cluster: Cluster, observatory: Observatory, prefect_api: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Restored]:
    folder = tmp_path_factory.mktemp("postgresql")
    made = Environment("site-test", folder / "capo", folder / "area", own_archive(observatory, folder / "ngas"))
    with serving(made.archive) as address:
        _write(made, cluster, address, prefect_api)
        yield Restored(made, made.ppi("restore", PROPRIETARY, "--json"), cluster.password, Records(prefect_api))


def _write(made: Environment, cluster: Cluster, address: str, api: str) -> None:
    made.capo.mkdir()
    lines = {
        "ppi.processing.rootDirectory": made.area, "ppi.metadata.url": cluster.url("named"),
        "ppi.metadata.schema": "alma", "ppi.metadata.username": USER, "ppi.metadata.password": cluster.password,
        "ppi.ngas.servers": address, "ppi.prefect.apiUrl": api, "ppi.access.projects": "*",
    }  # fmt: skip
    text = "".join(f"{key} = {value}\n" for key, value in lines.items())
    (made.capo / f"{made.name}.properties").write_text(text)


def test_an_observation_is_restored_from_postgresql(restored: Restored) -> None:
    told = restored.told
    assert (told["observation"], told["verdict"]["outcome"]) == (PROPRIETARY, "success")
    assert [block["proof"]["reference"] for block in told["provenance"]["blocks"]] == ["equal"]


def test_the_password_is_nowhere_but_in_the_profile(restored: Restored, tmp_path_factory: Any) -> None:
    assert restored.run.returncode == 0
    assert restored.password not in restored.run.stdout + restored.run.stderr
    found = _files_with(restored.password, restored.environment.area.parent)
    assert found == {restored.environment.capo / "site-test.properties"}
    servers = list(tmp_path_factory.getbasetemp().glob("prefect*"))
    assert any(path for folder in servers for path in folder.rglob("prefect.db"))
    assert [_files_with(restored.password, folder) for folder in servers] == [set()] * len(servers)


def _files_with(text: str, folder: Path) -> set[Path]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    return {path for path in files if text.encode() in path.read_bytes()}


@pytest.mark.parametrize(
    "what",
    ["flow_runs", "task_runs", "artifacts", "logs", "events", "block_documents", "variables", "deployments"],
)
def test_the_password_is_nothing_that_the_prefect_server_would_tell(restored: Restored, what: str) -> None:
    wanted = {"include_secrets": True} if what == "block_documents" else {}
    found = restored.records.ask(what, **wanted)
    assert restored.password not in json.dumps(found)
    assert found or what not in ("flow_runs", "task_runs", "artifacts")


def test_runs_bear_the_name_of_the_observation_and_of_their_stage(restored: Restored) -> None:
    runs = restored.flow_runs()
    assert set(runs) == {"restore X1284_X9912", "gather", "process", "finish"}
    assert {run["state_type"] for run in runs.values()} == {"COMPLETED"}
    whole = runs["restore X1284_X9912"]["parameters"]
    assert whole == {"mous": PROPRIETARY, "profile": "site-test", "procedure": "hifa_restore", "again": False}
    assert runs["process"]["parameters"] == {"profile": "site-test"}


def test_progress_came_to_its_end_and_the_result_is_shown_without_pictures(restored: Restored) -> None:
    shown = restored.records.artifacts(restored.flow_runs())
    result, transfers = shown.pop("restore"), shown.pop("transfers")
    assert transfers["type"] == "table"
    assert len(json.loads(transfers["data"])) == len(restored.told["provenance"]["inputs"])
    assert {key: (each["type"], each["data"]) for key, each in shown.items()} == {
        "gather": ("progress", 100.0), "process": ("progress", 100.0),
    }  # fmt: skip
    assert result["type"] == "markdown"
    assert PROPRIETARY in result["data"].replace("\\", "")
    assert result["description"] == restored.told["report"]
    assert not [mark for mark in ("base64", "data:", "![", "<img") if mark in result["data"]]
    assert len(result["data"]) < 20_000


def test_no_result_is_kept_by_prefect(restored: Restored) -> None:
    kept = restored.environment.area / ".prefect"
    assert kept.is_dir()
    assert not [path for path in kept.rglob("storage/*") if path.is_file()]


def test_a_wrong_password_ends_the_command_with_one_line(restored: Restored) -> None:
    made, wrong = restored.environment, "wr0ng-and-secret"
    properties = (made.capo / "site-test.properties").read_text()
    area = made.area.with_name("locked-out")
    text = properties.replace(restored.password, wrong).replace(str(made.area), str(area))
    (made.capo / "locked-out.properties").write_text(text)
    ended = Environment("locked-out", made.capo, area, made.archive).ppi("restore", PROPRIETARY)
    assert ended.returncode == Refused.exit_code
    assert "does not let us in" in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert wrong not in ended.stdout + ended.stderr

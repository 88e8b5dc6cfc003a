"""What a check finds of the metadata database, NGAS, the locator service and the broker, well and unwell."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from checks_examples import GREETING, START, answering, found, greeted, routed, written

from deployments.checks import check
from deployments.local.ngas_documents import status_document
from deployments.local.ngas_server import serving
from tasks.catalog.schema import REVISION, VERSION_TABLE
from tasks.catalog.tasks import catalog_of


def test_the_metadata_database_is_read_for_real(tmp_path: Path) -> None:
    finding = found(written(tmp_path), "metadata database")
    assert (finding.state, finding.exit_code) == ("ok", 0)
    assert finding.why.startswith("9 tables can be read; empty: aqua_ous")


@pytest.mark.parametrize(
    "change",
    [
        "DROP TABLE aqua_ous",
        "ALTER TABLE obs_unit_set_status DROP COLUMN xml",
    ],
)
def test_a_table_or_column_that_lacks_is_named(tmp_path: Path, change: str) -> None:
    profile = written(tmp_path)
    with closing(sqlite3.connect(tmp_path / "metadata.sqlite")) as connection:
        connection.execute(change)
    finding = found(profile, "metadata database")
    assert (finding.state, finding.exit_code) == ("wrong", 4)
    assert ("aqua_ous" if "aqua" in change else "obs_unit_set_status") in finding.why
    assert finding.todo


def test_a_metadata_database_that_does_not_answer_is_wrong_in_time(tmp_path: Path) -> None:
    with greeted(None) as (address, _):
        profile = written(tmp_path, metadata_url=f"postgresql+psycopg://reader:s3cret@{address}/alma")
        finding = found(profile, "metadata database", seconds=1)
    assert (finding.state, finding.exit_code) == ("wrong", 5)
    assert finding.why == "no answer within 1 s"


def test_a_catalog_is_its_profiles_own_or_is_left_to_be_made(tmp_path: Path) -> None:
    profile = written(tmp_path)
    absent = found(profile, "catalog")
    assert (absent.state, absent.why) == ("ok", f"{tmp_path / 'site-test' / 'catalog.db'}, made when it is needed")
    assert not profile.processing.root_directory.exists()
    catalog_of(profile)
    assert found(profile, "catalog").why.endswith(f"catalog.db, revision {REVISION}")
    url = f"sqlite:///{tmp_path / 'site-test' / 'catalog.db'}"
    other = found(written(tmp_path, "site-prod", catalog_url=url), "catalog")
    assert (other.state, other.exit_code) == ("wrong", 3)
    assert "belongs to profile site-test, and this is profile site-prod" in other.why


def test_a_catalog_of_another_revision_or_of_another_kind_is_wrong(tmp_path: Path) -> None:
    profile = written(tmp_path)
    catalog_of(profile)
    with closing(sqlite3.connect(tmp_path / "site-test" / "catalog.db")) as connection, connection:
        connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = '0001'")  # noqa: S608 - a constant
    old = found(profile, "catalog")
    assert (old.state, old.exit_code) == ("wrong", 3)
    assert "revision 0001" in old.why
    strange = found(written(tmp_path, catalog_url=f"sqlite:///{tmp_path / 'metadata.sqlite'}"), "catalog")
    assert (strange.state, strange.exit_code) == ("wrong", 3)
    assert "is no catalog" in strange.why


def test_every_ngas_server_is_asked(tmp_path: Path) -> None:
    with serving(tmp_path / "ngas", login=("ppi", "s3cret")) as address:
        servers = f"{address},127.0.0.1:1"
        right = written(tmp_path, ngas_servers=servers, ngas_username="ppi", ngas_password="s3cret")
        assert found(right, f"NGAS {address}").why.startswith("ONLINE, NGAS 12.0")
        gone = found(right, "NGAS 127.0.0.1:1")
        assert (gone.state, gone.exit_code) == ("wrong", 5)
        assert "it refused the connection" in gone.why
        wrong = found(written(tmp_path, ngas_servers=servers, ngas_username="ppi"), f"NGAS {address}")
        assert (wrong.state, wrong.exit_code) == ("wrong", 3)
        assert "ppi.ngas.username" in wrong.todo


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (status_document("ngas", "Successfully handled command STATUS", state="OFFLINE"), "OFFLINE"),
        (status_document("ngas", "NGAMS_ER:1:ERROR: no", succeeded=False), "NGAMS_ER"),
        (b"<html><body>It works</body></html>", "not 'NgamsStatus'"),
        (b"It works!", "status of server"),
    ],
)
def test_an_ngas_server_that_is_unwell_or_none_is_wrong(tmp_path: Path, body: bytes, says: str) -> None:
    with answering(routed({"/STATUS": (200, body)})) as address:
        finding = found(written(tmp_path, ngas_servers=address), f"NGAS {address}")
    assert finding.state == "wrong"
    assert says in finding.why
    assert finding.todo


@pytest.mark.parametrize(
    ("status", "state", "code"), [(200, "ok", 0), (404, "ok", 0), (500, "wrong", 5), (503, "wrong", 5)]
)
def test_a_locator_service_answers_or_not(tmp_path: Path, status: int, state: str, code: int) -> None:
    with answering(lambda path, _: (status, b"")) as address:
        profile = written(tmp_path, ngas_locatorServiceUrlPrefix=f"http://{address}/location")
        finding = found(profile, "locator service")
    assert (finding.state, finding.exit_code) == (state, code)
    assert f"HTTP {status}" in finding.why


def test_what_is_not_named_is_not_set_and_nothing_wrong(tmp_path: Path) -> None:
    unset = {each.what for each in check(written(tmp_path)) if each.state == "not set" and not each.exit_code}
    assert unset >= {"locator service", "broker", "Prefect server", "work pool", "worker"}


@pytest.mark.parametrize(
    ("answer", "state", "says"),
    [
        (START, "ok", "speaks AMQP 0-9-1"),
        (b"AMQP\x03\x01\x00\x00", "wrong", "it speaks AMQP 01.00.00, not 0-9-1"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "unknown", "not as a broker would"),
        (b"\x01\x00", "unknown", "not as a broker would"),
        (b"", "unknown", "not as a broker would"),
    ],
)
def test_a_broker_is_greeted(tmp_path: Path, answer: bytes, state: str, says: str) -> None:
    with greeted(answer) as (address, heard):
        finding = found(written(tmp_path, broker_url=f"amqp://ppi:s3cret@{address}/"), "broker")
    assert heard == [GREETING]
    assert finding.state == state
    assert says in finding.why


def test_a_broker_that_says_nothing_or_does_not_encrypt_is_wrong(tmp_path: Path) -> None:
    with greeted(None) as (address, _):
        finding = found(written(tmp_path, broker_url=f"amqp://{address}/"), "broker")
    assert (finding.state, finding.exit_code, finding.why) == ("wrong", 5, f"the broker at {address}: timed out")
    with greeted(START) as (address, _):
        finding = found(written(tmp_path, broker_url=f"amqps://{address}/"), "broker")
    assert (finding.state, finding.exit_code) == ("wrong", 3)
    assert "no encrypted connection" in finding.why
    finding = found(written(tmp_path, broker_url="amqp://127.0.0.1:1/"), "broker")
    assert (finding.state, finding.exit_code) == ("wrong", 5)

"""The catalog's file: made as its owner's alone, and refused where it is not one, or not this environment's."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pytest

from tasks.catalog.catalog import Catalog, Wanted
from tasks.catalog.connection import Database
from tasks.catalog.model import Execution
from tasks.catalog.schema import REVISION, VERSION_TABLE, revision
from tasks.errors import Missing, Refused, Transient


def at(file: Path) -> Database:
    return Database(f"sqlite:///{file}")


def test_a_new_catalog_is_its_owners_alone_and_journals_ahead(tmp_path: Path) -> None:
    file = tmp_path / "catalog.db"
    before = os.umask(0)
    try:
        Catalog(at(file), "site-test")
    finally:
        os.umask(before)
    with sqlite3.connect(file) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchall() == [(REVISION,)]  # noqa: S608
        modes = {path.name: oct(path.stat().st_mode & 0o777) for path in tmp_path.glob("catalog.db*")}
        assert modes == dict.fromkeys(("catalog.db", "catalog.db-wal", "catalog.db-shm"), "0o600")
    connection.close()


@pytest.mark.parametrize("what", ["nothing", "an empty file"])
def test_what_is_empty_becomes_a_catalog(tmp_path: Path, what: str) -> None:
    file = tmp_path / "catalog.db"
    if what == "an empty file":
        file.touch()
    assert Catalog(at(file), "site-test").look_up(Wanted(), lambda _: False) == ()


def test_catalogs_that_are_made_at_once_in_one_process_are_all_whole(tmp_path: Path) -> None:
    def made(number: int) -> str | None:
        database = at(tmp_path / f"{number}.db")
        Catalog(database, f"site-{number}")
        with database.reading() as connection:
            return revision(connection, database.location.where)

    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(made, range(6))) == [REVISION] * 6


def test_an_open_catalog_needs_no_alembic(tmp_path: Path) -> None:
    file = tmp_path / "catalog.db"
    Catalog(at(file), "site-test")
    program = (
        "import sys\n"
        "from tasks.catalog.catalog import Catalog\n"
        "from tasks.catalog.connection import Database\n"
        f"Catalog(Database('sqlite:///{file}'), 'site-test')\n"
        "sys.exit('alembic.command' in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[3], check=True)


def test_another_profiles_catalog_is_refused_with_both_names(tmp_path: Path) -> None:
    Catalog(at(tmp_path / "catalog.db"), "site-test")
    with pytest.raises(
        Refused,
        match=r"catalog.db: it belongs to profile site-test, and this is profile site-dev. "
        r"Next: give profile site-dev a catalog of its own: ppi.catalog.url",
    ):
        Catalog(at(tmp_path / "catalog.db"), "site-dev")


@pytest.mark.parametrize("upgrade", [False, True])
def test_a_newer_catalog_is_refused(tmp_path: Path, upgrade: bool) -> None:
    Catalog(at(tmp_path / "catalog.db"), "site-test")
    with sqlite3.connect(tmp_path / "catalog.db") as connection:
        connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")  # noqa: S608
    connection.close()
    with pytest.raises(Refused, match="it is of revision 9999, and this PPI knows none after"):
        Catalog(at(tmp_path / "catalog.db"), "site-test", upgrade=upgrade)


def test_a_database_of_something_else_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "catalog.db") as connection:
        connection.execute("CREATE TABLE execution (id INTEGER)")
    connection.close()
    before = (tmp_path / "catalog.db").read_bytes()
    with pytest.raises(Refused, match="is not empty and is no catalog: it holds execution"):
        Catalog(at(tmp_path / "catalog.db"), "site-test", upgrade=True)
    assert (tmp_path / "catalog.db").read_bytes() == before


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "catalog.db").write_text("a shopping list, and a long one at that" * 100)
    with pytest.raises(Refused, match=r"catalog.db cannot be read: file is not a database"):
        Catalog(at(tmp_path / "catalog.db"), "site-test")


def test_an_empty_file_becomes_its_owners_alone(tmp_path: Path) -> None:
    (tmp_path / "catalog.db").touch(0o644)
    Catalog(at(tmp_path / "catalog.db"), "site-test")
    assert (tmp_path / "catalog.db").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["catalog.db", "a catalog #1 at 100%?.db"])
def test_one_that_is_gone_is_not_made_anew_by_its_users(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    catalog = Catalog(at(Path(quote(str(file)))), "site-test")
    file.unlink()
    with pytest.raises(Transient, match="see that the file is there and its folder can be used"):
        catalog.add(Execution(flow="f", profile="site-test", observation="o", started=datetime.now(UTC)))
    assert not file.exists()


def test_a_place_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Missing, match="there is no such directory"):
        Catalog(at(tmp_path / "nowhere" / "catalog.db"), "site-test")


def test_a_catalog_that_somebody_keeps_locked_may_be_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.catalog.connection._BUSY_SECONDS", 0.1)
    catalog = Catalog(at(tmp_path / "catalog.db"), "site-test")
    with sqlite3.connect(tmp_path / "catalog.db", isolation_level=None) as connection:
        connection.execute("BEGIN IMMEDIATE")
        assert catalog.look_up(Wanted(), lambda _: False) == (), "reading waits for nobody"
        with pytest.raises(Transient, match="database is locked"):
            catalog.add(Execution(flow="f", profile="site-test", observation="o", started=datetime.now(UTC)))
    connection.close()


@pytest.mark.parametrize(
    "url", ["oracle+oracledb://host/?service_name=x", "sqlite://", "sqlite:///:memory:", "cat"]
)
def test_a_url_that_cannot_be_used_is_refused(url: str) -> None:
    with pytest.raises(Refused, match="the catalog cannot be opened"):
        Database(url)

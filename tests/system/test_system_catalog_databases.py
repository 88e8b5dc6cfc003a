"""The catalog's tables in SQLite and in a real PostgreSQL: made once, brought up to date, as the models say."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from postgresql import USER, Cluster, running
from sqlalchemy import inspect, text
from sqlmodel import Session

from tasks.catalog.book import Book
from tasks.catalog.catalog import Catalog, Wanted
from tasks.catalog.connection import Database
from tasks.catalog.desk import Chosen, Desk
from tasks.catalog.model import Execution, Piece, Stage
from tasks.catalog.request import SWEEP, Ask
from tasks.catalog.request_states import RequestState
from tasks.catalog.schema import MIGRATIONS, REVISION, VERSION_TABLE
from tasks.catalog.sizes import learn
from tasks.catalog.states import State
from tasks.catalog.tables import METADATA, EnvironmentRow
from tasks.errors import Missing, Refused, Transient
from tasks.usage import Work

ROOT = Path(__file__).parents[2]
AT_ONCE = 4
WORK = Work("gather", "fetch")
OPEN = """
import sys
from tasks.catalog.catalog import Catalog
from tasks.catalog.connection import Database
sys.stdin.readline()
Catalog(Database(*sys.argv[1:]), "site-test")
"""
WRITE = """
import os
from datetime import UTC, datetime
from tasks.catalog.model import Execution
from tasks.catalog.states import State
for _ in range(20):
    made = Execution(flow="f", profile="site-test", observation=str(os.getpid()), started=datetime.now(UTC))
    catalog.write(catalog.begin(made).model_copy(update={"state": State.FAILED}))
"""


@dataclass(frozen=True)
class Place:
    """An empty database."""

    url: str
    username: str
    password: str
    is_file: bool

    @property
    def database(self) -> Database:
        return Database(self.url, self.username, self.password)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running() as cluster:
        yield cluster


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "sqlite":
        return Place(f"sqlite:///{tmp_path / 'catalog.db'}", "", "", is_file=True)
    cluster: Cluster = request.getfixturevalue("cluster")
    name = f"catalog_{abs(hash(request.node.name))}"
    cluster.execute(f"CREATE DATABASE {name}")
    return Place(cluster.url(name), USER, cluster.password, is_file=False)


def older(place: Place, revision: str = "0001") -> None:
    """Make the catalog that an earlier PPI made; by default the first one with a catalog."""
    with place.database.alone() as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        with Session(connection) as session:
            session.add(EnvironmentRow(id=1, profile="site-test", created=datetime.now(UTC)))
            session.flush()
        insert = (
            "INSERT INTO execution (flow, profile, observation, state, reasons, started)"
            " VALUES ('restore-ous', 'site-test', 'uid://A001/X1/X1', 'succeeded', '[]', '2026-05-04 12:00:00')"
        )
        connection.execute(text(insert))


def test_the_migrations_make_what_the_models_say(place: Place) -> None:
    Catalog(place.database, "site-test")
    with place.database.reading() as connection:
        options = {"version_table": VERSION_TABLE, "compare_type": True}
        context = MigrationContext.configure(connection, opts=options)
        differences = compare_metadata(context, METADATA)
        assert context.get_current_revision() == REVISION
    if place.is_file:  # alembic cannot read there in which order an index has its columns
        differences = [each for each in differences if "ix_request_order" not in str(each)]
    assert differences == []
    assert ScriptDirectory(str(MIGRATIONS)).get_heads() == [REVISION]


@pytest.mark.parametrize("earlier", ["0001", "0002"])
def test_an_older_catalog_is_kept_and_brought_up_to_date(place: Place, earlier: str) -> None:
    older(place, earlier)
    if not place.is_file:
        with pytest.raises(
            Refused, match=rf"is of revision {earlier}, and this PPI works with \d+. Next: ppi deploy site-t"
        ):
            Catalog(place.database, "site-test")
        with place.database.reading() as connection:
            assert "piece" not in inspect(connection).get_table_names()
    assert learn(place.database, [WORK]).memory(WORK) is None, "it teaches nothing, and stays as it is"
    catalog = Catalog(place.database, "site-test", upgrade=not place.is_file)
    (kept,) = catalog.look_up(Wanted(), lambda _: False)
    assert (kept.observation, kept.owner, kept.stages, kept.pieces) == ("uid://A001/X1/X1", None, (), ())
    done = Piece(stage=WORK.stage, step=WORK.step, peak_memory_bytes=2**40)
    parts = {"stages": (Stage(name="plan"),), "pieces": (done, done)}
    catalog.write(kept.model_copy(update=parts))
    found = Catalog(place.database, "site-test").find(kept.id, lambda _: False)
    assert (found.stages, found.pieces) == ((Stage(name="plan"),), (done, done))
    others = [WORK, Work("gather", "fetch products"), Work("process", "restore", kind="another")]
    known = learn(place.database, others)
    assert [known.expect(each).runs for each in others] == [2, 0, 0]
    assert (known.memory(WORK) or 0) > 2**40


def test_another_profiles_older_catalog_is_not_touched(place: Place) -> None:
    older(place)
    with pytest.raises(Refused, match="belongs to profile site-test, and this is profile site-dev"):
        Catalog(place.database, "site-dev", upgrade=True)
    with place.database.reading() as connection:
        assert "step" not in inspect(connection).get_table_names()


@pytest.mark.parametrize("there", ["nothing", "an older one"])
def test_several_processes_at_once_make_one_catalog(place: Place, there: str) -> None:
    if there == "an older one" and place.is_file:
        older(place)
    openers = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", OPEN, place.url, place.username, place.password],
            cwd=ROOT, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(AT_ONCE)
    ]  # fmt: skip
    for opener in openers:
        assert opener.stdin
        opener.stdin.write("\n")
        opener.stdin.flush()
    told = [opener.communicate(timeout=60)[1] for opener in openers]
    assert [opener.returncode for opener in openers] == [0] * AT_ONCE, told
    with place.database.reading() as connection:
        assert connection.execute(text("SELECT profile FROM environment")).scalars().all() == ["site-test"]
        assert connection.execute(text(f"SELECT count(*) FROM {VERSION_TABLE}")).scalar() == 1  # noqa: S608


def test_what_fails_in_the_middle_leaves_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: EnvironmentRow, **_: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(EnvironmentRow, "__init__", broken)
        with pytest.raises(RuntimeError, match="killed"):
            Catalog(place.database, "site-test")
    with place.database.reading() as connection:
        assert inspect(connection).get_table_names() == []
    Catalog(place.database, "site-test")


def test_writers_wait_for_each_other(place: Place) -> None:
    program = OPEN.replace("Catalog(Database", "catalog = Catalog(Database") + WRITE
    arguments = [sys.executable, "-c", program, place.url, place.username, place.password]
    writers = [
        subprocess.Popen(arguments, cwd=ROOT, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    told = [writer.communicate(timeout=120)[1] for writer in writers]
    assert [writer.returncode for writer in writers] == [0] * 3, told
    found = Catalog(place.database, "site-test").look_up(Wanted(), lambda _: False)
    assert sorted(record.id for record in found) == list(range(1, 61))
    assert {record.state for record in found} == {State.FAILED}


def test_a_server_that_does_not_let_us_use_it_is_explained(cluster: Cluster) -> None:
    cases = [
        (cluster.url("nowhere"), USER, cluster.password, Missing, "does not exist"),
        (cluster.url("postgres"), USER, "wrong", Refused, "does not let us in"),
        ("postgresql+psycopg://127.0.0.1:9/x", USER, "secret", Transient, "cannot be reached"),
    ]
    for url, username, password, kind, words in cases:
        with pytest.raises(kind, match=words) as raised:
            Catalog(Database(url, username, password), "site-test")
        assert password not in str(raised.value)


def test_an_account_that_may_only_read_is_explained(cluster: Cluster) -> None:
    cluster.execute("CREATE DATABASE readonly")
    cluster.execute("ALTER DATABASE readonly SET default_transaction_read_only = on")
    with pytest.raises(Refused, match="the catalog at"):
        Catalog(Database(cluster.url("readonly"), USER, cluster.password), "site-test")


def test_executions_are_numbered_by_each_database(place: Place) -> None:
    catalog = Catalog(place.database, "site-test")
    made = Execution(flow="f", profile="site-test", observation="o", started=datetime.now(UTC), reasons=("a", "b"))
    assert [catalog.begin(made).id for _ in range(3)] == [1, 2, 3]
    assert catalog.find(1, lambda _: True).model_dump(exclude={"id", "state", "error"}) == catalog.find(
        2, lambda _: True
    ).model_dump(exclude={"id", "state", "error"})
    assert catalog.find(3, lambda _: True).reasons == ("a", "b")


def test_runs_and_sweeps_that_come_at_once_have_one_request(place: Place) -> None:
    catalog = Catalog(place.database, "site-test", announces=True)
    observations = [f"o{number}" for number in range(20)]
    asks = [Ask(workflow="f", observation=each, origin=SWEEP) for each in observations]

    def begin(run: str) -> None:
        for each in observations:
            begun = Execution(
                flow="f", profile="site-test", observation=each, flow_run=run, started=datetime.now(UTC)
            )
            catalog.begin(begun)

    def sweep(origin: str) -> None:
        for ask in asks:
            Book(place.database).record([ask.model_copy(update={"origin": origin})], datetime.now(UTC))

    with ThreadPoolExecutor(AT_ONCE) as threads:
        for done in [threads.submit(work, str(number)) for number, work in enumerate([begin, sweep] * 2)]:
            done.result(120)
    requests = Desk(place.database, "operator", partial(datetime.now, UTC)).look_up(Chosen())
    assert sorted(request.observation for request in requests) == sorted(observations)
    assert {request.state for request in requests} == {RequestState.RUNNING}
    assert {request.processing_id for request in requests} <= {"0", "2"}


def test_requests_are_listed_and_moved_in_each_database(place: Place) -> None:
    Catalog(place.database, "site-test")
    desk, now = Desk(place.database, "operator", partial(datetime.now, UTC)), datetime.now(UTC)
    asks = [Ask(workflow="f", observation=f"o{number}", project="p", origin=SWEEP) for number in range(5)]
    Book(place.database).record(asks, now)
    assert [request.place for request in desk.look_up(Chosen(project="p"))] == [1, 2, 3, 4, 5]
    assert len(desk.hold(Chosen(observations=frozenset({"o1", "o2"}))).done) == 2
    assert len(desk.release(Chosen(states=frozenset({RequestState.HELD}))).done) == 2
    assert len(desk.cancel(Chosen(project="p")).done) == 5
    assert len(desk.retry(Chosen(project="p")).done) == 5
    desk.prioritise(Chosen(observations=frozenset({"o4"})), 3)
    assert [request.observation for request in desk.look_up(Chosen(), 2)] == ["o4", "o0"]
    assert desk.counts() == {RequestState.WAITING: 5}


def test_what_a_person_holds_while_it_is_launched_is_not_launched(cluster: Cluster) -> None:
    """Who launches waits for the person, and then looks again."""
    cluster.execute("CREATE DATABASE held")
    database, now = Database(cluster.owner_url("held")), datetime.now(UTC)
    Catalog(database, "site-test")
    book = Book(database)
    book.record([Ask(workflow="f", observation=f"o{number}", origin=SWEEP) for number in range(3)], now)
    first, *others = [request.id for request in book.candidates("f", 3, now)]
    with ThreadPoolExecutor(1) as threads:
        with database.writing() as connection:
            connection.execute(text("UPDATE request SET state = 'held' WHERE id = :id"), {"id": first})
            launching = threads.submit(book.launch, [first, *others], 3, now)
            _wait_for_a_waiter(database)
        assert [change.number for change in launching.result(120)] == others
    assert [request.id for request in book.active()] == others


def _wait_for_a_waiter(database: Database) -> None:
    ends = time.monotonic() + 120
    while time.monotonic() < ends:
        with database.reading() as connection:
            if connection.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted")).scalar():
                return
        time.sleep(0.02)
    raise TimeoutError("nobody waits")


def test_what_somebody_keeps_locked_is_not_waited_for_for_ever(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    Catalog(place.database, "site-test")
    Book(place.database).record([Ask(workflow="f", observation="o", origin=SWEEP)], datetime.now(UTC))
    monkeypatch.setattr("tasks.catalog.connection._BUSY_SECONDS", 0.05)
    desk = Desk(place.database, "operator", partial(datetime.now, UTC))
    with place.database.writing() as connection:
        connection.execute(text("UPDATE request SET priority = 1"))
        with pytest.raises(Transient, match="lock"):
            desk.hold(Chosen(observations=frozenset({"o"})))
    assert len(desk.hold(Chosen(observations=frozenset({"o"}))).done) == 1

"""A small world to sweep: an archive that changes, a catalog, runs that end in every way, kills at any moment."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event

from tasks.alma.archive import MetadataArchive
from tasks.alma.ids import EntityId
from tasks.alma.tables import METADATA
from tasks.catalog.book import Book, Filed
from tasks.catalog.catalog import Catalog
from tasks.catalog.connection import Database
from tasks.catalog.model import Execution
from tasks.catalog.request_states import RequestState
from tasks.catalog.states import State
from tasks.sweep import RunEnd, Swept, Terms, sweep

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
FLOW, PROFILE = "restore-ous", "site-test"
ALLOWED = "2017.1.00003.S"


class Killed(BaseException):
    """What ends a sweep at a moment that nobody chose."""


def mous(number: int) -> EntityId:
    return EntityId(f"uid://A001/X1/X{number:x}")


def project(number: int) -> str:
    return f"2017.1.{number % 4:05d}.S"


@dataclass(frozen=True)
class Facts:
    """What the archive has of an observation."""

    archived: bool = True
    status: bool = True
    calibration: bool = True
    science: bool = True
    hand_calibrated: bool = False
    release: datetime | None = NOON - 10 * HOUR


@dataclass
class Runs:
    """A server of runs: the same key gives the same run."""

    by_key: dict[str, str] = field(default_factory=dict)
    ended: dict[str, RunEnd] = field(default_factory=dict)
    tick: Callable[[], None] = lambda: None
    refusal: Exception | None = None

    def launch(self, request: Filed, key: str) -> str:
        self.tick()
        if self.refusal:
            raise self.refusal
        run = self.by_key.setdefault(key, f"run-{len(self.by_key)}")
        self.tick()
        return run

    def ends(self, runs: Collection[str]) -> Mapping[str, RunEnd]:
        self.tick()
        return {run: self.ended[run] for run in runs if run in self.ended}

    def of(self, observation: str) -> list[str]:
        return [run for key, run in self.by_key.items() if f"/{observation}/" in key]


class World:
    """An archive in SQLite, a catalog, and the time."""

    def __init__(self, templates: Mapping[str, bytes], folder: Path, **terms: Any) -> None:
        for name, content in templates.items():
            (folder / name).write_bytes(content)
        self.now, self.facts, self.runs = NOON, dict[int, Facts](), Runs()
        self.archive_url = f"sqlite:///{folder / 'alma.db'}"
        self.archive = MetadataArchive(self.archive_url)
        self.database = Database(f"sqlite:///{folder / 'catalog.db'}")
        self.catalog, self.book = Catalog(self.database, PROFILE), Book(self.database)
        self.terms = Terms(PROFILE, FLOW, (ALLOWED,), **({"audit_size": 2, "since": None, "most_runs": 3} | terms))
        self._alma = folder / "alma.db"

    def put(self, *numbers: int, **known: Any) -> None:
        """Let the archive have something of observations; what is not said stays."""
        with sqlite3.connect(self._alma) as connection:
            for number in numbers:
                self.facts[number] = replace(self.facts.get(number, Facts()), **known)
                _write(connection, number, self.facts[number])
        connection.close()

    def may_be_restored(self, number: int) -> bool:
        """Say by the facts, and by nothing of what is tested, whether an observation may be restored."""
        facts = self.facts.get(number, Facts(archived=False))
        there = facts.archived and facts.status and facts.calibration and facts.science
        seen = project(number) == ALLOWED or (facts.release is not None and facts.release <= self.now)
        return there and not facts.hand_calibrated and seen

    def sweep(self, **options: Any) -> Swept:
        arguments = (self.archive, self.book, self.terms, self.now, self.runs, lambda _: False)
        return sweep(*arguments, **options)

    def requests(self) -> dict[str, RequestState]:
        return self.book.known([mous(number) for number in range(64)], FLOW)

    def active(self) -> dict[str, Filed]:
        return {request.observation: request for request in self.book.active()}

    def end(self, request: Filed, how: State | RunEnd) -> None:
        """Let the run of a request end: by itself, with a state in the catalog, or as only the server knows."""
        run = request.processing_id
        if run is None or run in self.runs.ended:
            return
        if isinstance(how, State):
            made = Execution(
                flow=FLOW, profile=PROFILE, observation=request.observation, flow_run=run, started=self.now
            )
            done = {"state": how, "finished": self.now, "error": "said by the run"}
            self.catalog.write(self.catalog.begin(made).model_copy(update=done))
            how = RunEnd.FAILED if how is State.FAILED else RunEnd.COMPLETED
        self.runs.ended[run] = how


def templates(folder: Path) -> dict[str, bytes]:
    """Make an empty archive and an empty catalog, to be copied."""
    engine = create_engine(f"sqlite:///{folder / 'alma.db'}")
    METADATA.create_all(engine)
    engine.dispose()
    Catalog(Database(f"sqlite:///{folder / 'catalog.db'}"), PROFILE)
    return {path.name: path.read_bytes() for path in folder.glob("*.db")}


@contextmanager
def at_statement(number: int, what: Callable[[], None], runs: Runs, only: str = "") -> Iterator[None]:
    """Do something once: before a statement of some number, or a commit, or a call to the server of runs."""
    left = number

    def tick(statement: str = "") -> None:
        nonlocal left
        left -= statement.startswith(only)
        if left == 0:
            left = -1
            what()

    def before(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        tick(statement)

    def committed(connection: Any) -> None:
        tick("COMMIT")

    event.listen(Engine, "before_cursor_execute", before)
    event.listen(Engine, "commit", committed)
    runs.tick = tick
    try:
        yield
    finally:
        runs.tick = lambda: None
        event.remove(Engine, "before_cursor_execute", before)
        event.remove(Engine, "commit", committed)


@contextmanager
def counted() -> Iterator[list[str]]:
    """Collect the statements that are sent, but for those that only begin a transaction."""
    sent: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if not statement.startswith("BEGIN"):
            sent.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def _write(connection: sqlite3.Connection, number: int, facts: Facts) -> None:
    uid, key = mous(number), f"key-{number}"
    for table, column in (
        ("asa_ous", "asa_ous_id"), ("asa_product_files", "asa_ous_id"), ("asa_delivery_status", "delivery_id"),
    ):  # fmt: skip
        connection.execute(f"DELETE FROM {table} WHERE {column} = ?", (key,))  # noqa: S608
    connection.execute("DELETE FROM obs_unit_set_status WHERE status_entity_id = ?", (uid,))
    if facts.status:
        connection.execute(
            "INSERT INTO obs_unit_set_status (status_entity_id, domain_entity_state, obs_project_id)"
            " VALUES (?, 'Delivered', 'uid://A001/X2/X2')",
            (uid,),
        )
    if not facts.archived:
        return
    connection.execute("INSERT INTO asa_ous VALUES (?, ?, NULL, ?)", (key, project(number), uid))
    kinds = {"calibration": facts.calibration, "science": facts.science, "script": facts.hand_calibrated}
    for kind in (kind for kind, there in kinds.items() if there):
        name = f"{uid.file_form}.scriptForCalibration.{kind}"
        connection.execute("INSERT INTO asa_product_files VALUES (?, ?, ?, 1)", (key, name, kind))
    release = facts.release.strftime("%Y-%m-%dT%H:%M:%S.000") if facts.release else None
    delivery = f"{project(number)}_{uid.file_form}"
    connection.execute("INSERT INTO asa_delivery_status VALUES (?, ?, ?, 'Y')", (key, delivery, release))

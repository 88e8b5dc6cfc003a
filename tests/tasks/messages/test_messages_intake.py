"""What becomes of batches of messages in a real catalog: recorded once, refused one by one, never lost."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from tasks.catalog.book import Book
from tasks.catalog.catalog import Catalog
from tasks.catalog.connection import Database
from tasks.catalog.heard import Heard
from tasks.catalog.request import Ask, Change
from tasks.catalog.request_states import RequestState
from tasks.errors import Refused, Transient
from tasks.messages.intake import Arrived, Intake

WORKFLOW = "restore-ous"
NOW = datetime.now(UTC).replace(microsecond=0)


def uid(number: int) -> str:
    return f"uid://A001/X1/X{number:x}"


def announced(number: int, **more: object) -> Arrived:
    return Arrived(json.dumps({"mous": uid(number), **more}).encode())


def told(number: int, minutes: int, stage: str | None, **more: object) -> Arrived:
    time = (NOW + timedelta(minutes=minutes)).isoformat()
    said = {"workflow": WORKFLOW, "observation": uid(number), "state": "running", "stage": stage, "time": time}
    return Arrived(json.dumps({**said, **more}).encode(), is_status=True)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    made = Database(f"sqlite:///{tmp_path / 'catalog.db'}")
    Catalog(made, "site-test")
    return made


def intake_of(database: Database, book: object = None, ready: Callable[[], None] = lambda: None) -> Intake:
    return Intake("site-test", WORKFLOW, book or Book(database), Heard(database), ready)  # type: ignore[arg-type]


def test_the_same_announcement_is_one_request(database: Database) -> None:
    intake = intake_of(database)
    taken = intake.take([announced(1), announced(2, priority=3), announced(1)])
    assert taken.reasons == (None, None, None)
    assert [(change.observation, change.state) for change in taken.changes] == [
        (uid(1), RequestState.WAITING), (uid(2), RequestState.WAITING),
    ]  # fmt: skip
    assert intake.take([announced(2), announced(1)]).changes == ()
    first, second = Book(database).candidates(WORKFLOW, 10, datetime.now(UTC))
    assert (first.observation, first.priority, first.origin) == (uid(2), 3, "announcement")
    assert second.observation == uid(1)


def test_what_is_malformed_is_refused_and_the_rest_recorded(database: Database) -> None:
    unreadable = Arrived(announced(4).body, unreadable="its properties cannot be read: year 292278994")
    batch = [Arrived(b"no"), announced(3), announced(9, profile="site-prod"), unreadable]
    taken = intake_of(database).take(batch)
    assert [change.observation for change in taken.changes] == [uid(3)]
    assert [reason and reason.partition(":")[0] for reason in taken.reasons] == [
        "it cannot be understood", None, "it is not for us", "its properties cannot be read",
    ]  # fmt: skip


def test_a_catalog_that_is_away_refuses_nothing(database: Database) -> None:
    class Away:
        def record(self, asks: Sequence[Ask], now: datetime) -> tuple[Change, ...]:
            raise Transient("the catalog", "it is away")

    with pytest.raises(Transient, match="it is away"):
        intake_of(database, Away()).take([announced(1), Arrived(b"no")])


class Choosy:
    """A book that does not take one observation."""

    def __init__(self, book: Book) -> None:
        self._book = book

    def record(self, asks: Sequence[Ask], now: datetime) -> tuple[Change, ...]:
        if any(ask.observation == uid(2) for ask in asks):
            raise ValueError("not that one")
        return self._book.record(asks, now)


def test_a_message_that_the_catalog_does_not_take_is_refused_alone(database: Database) -> None:
    taken = intake_of(database, Choosy(Book(database))).take([announced(1), announced(2), announced(3)])
    assert taken.reasons == (None, "not that one", None)
    assert [change.observation for change in taken.changes] == [uid(1), uid(3)]


def test_no_message_is_blamed_for_a_catalog_that_is_not_well(database: Database) -> None:
    def unwell() -> None:
        raise Refused("the catalog", "it is of another revision")

    with pytest.raises(Refused, match="another revision"):
        intake_of(database, Choosy(Book(database)), unwell).take([announced(1), announced(2)])


def stage_of(database: Database, number: int) -> tuple[str | None, datetime | None]:
    (found,) = [each for each in Book(database).active() if each.observation == uid(number)]
    return found.stage, found.told


def test_a_status_is_noted_if_it_is_newer_and_of_the_run_that_is_known(database: Database) -> None:
    intake, book, run = intake_of(database), Book(database), str(uuid4())
    intake.take([announced(1)])
    (change,) = book.launch([f.id for f in book.candidates(WORKFLOW, 1, datetime.now(UTC))], 1, NOW)
    book.note_runs({change.number: run})
    intake.take([told(1, -5, "gathering data", flow_run=run), told(1, -9, "too old", flow_run=run)])
    assert stage_of(database, 1) == ("gathering data", NOW - timedelta(minutes=5))
    intake.take([told(1, -6, "older"), told(1, -4, "another's", flow_run=str(uuid4()))])
    assert stage_of(database, 1) == ("gathering data", NOW - timedelta(minutes=5))
    intake.take([told(1, -3, "running casa"), told(1, -2, None), told(1, -1, "x", profile="site-prod")])
    assert stage_of(database, 1) == ("running casa", NOW - timedelta(minutes=2))
    assert book.known([uid(1)], WORKFLOW) == {uid(1): RequestState.LAUNCHED}


def test_a_status_of_what_nobody_asked_for_is_nothing_to_us(database: Database) -> None:
    assert intake_of(database).take([told(7, -1, "running casa")]).reasons == (None,)
    assert Book(database).known([uid(7)], WORKFLOW) == {}

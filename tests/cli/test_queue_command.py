"""`ppi queue`: requests are listed in their order, and held, released, cancelled, tried again, many at once."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from cli.main import app
from tasks.catalog.book import Book
from tasks.catalog.catalog import Catalog
from tasks.catalog.connection import Database
from tasks.catalog.model import Execution
from tasks.catalog.request import SWEEP, Ask
from tasks.catalog.states import State
from tasks.errors import Missing, Refused

PROFILE = """\
ppi.processing.rootDirectory = {area}
ppi.metadata.url = sqlite:////nowhere
ppi.ngas.servers = one:7777
"""
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
PROJECT, OTHER = "2017.1.00886.L", "2019.1.00001.S"
FIRST, SECOND, THIRD = "uid://A001/X1284/X265f", "uid://A001/X1284/X2660", "uid://A001/X133d/X1"
RUN = "0f" * 18


@pytest.fixture(autouse=True)
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "site-test.properties").write_text(PROFILE.format(area=tmp_path))
    for name, value in {"CAPO_PATH": str(tmp_path), "CAPO_PROFILE": "site-test", "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "installation"))
    monkeypatch.setattr("getpass.getuser", lambda: "operator")


@pytest.fixture
def database(tmp_path: Path) -> Database:
    """A catalog in which a sweep has asked for three observations."""
    database = Database(f"sqlite:///{tmp_path / 'catalog.db'}")
    Catalog(database, "site-test")
    book, known = Book(database), {"workflow": "restore-ous", "origin": SWEEP, "reason": "released"}
    book.record([Ask(observation=each, project=PROJECT, **known) for each in (FIRST, SECOND)], NOON)
    book.record([Ask(observation=THIRD, project=OTHER, **known)], NOON)
    return database


def begun(database: Database, observation: str = FIRST) -> None:
    """Have a run work on an observation that is of no process that can be seen from here."""
    Catalog(database, "site-test").begin(
        Execution(
            flow="restore-ous", profile="site-test", observation=observation, flow_run=RUN, started=NOON,
            host="elsewhere", owner="elsewhere/boot pid:[1]/2/3", account="almapipe",
        )
    )  # fmt: skip


def queue(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["queue", *arguments])


def told(*arguments: str) -> dict[str, object]:
    answer = queue(*arguments, "--json")
    assert answer.exit_code == 0, answer.output
    found: dict[str, object] = json.loads(answer.stdout)
    return found


def listed(*arguments: str) -> list[tuple[str, str, int | None]]:
    answer = queue("list", *arguments, "--json")
    assert answer.exit_code == 0, answer.output
    return [(each["observation"], each["state"], each["place"]) for each in json.loads(answer.stdout)]


def test_what_is_to_come_is_listed_in_its_order(database: Database) -> None:
    begun(database)
    shown = queue("list")
    assert shown.exit_code == 0, shown.output
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in shown.stdout.splitlines() if "│" in line]
    assert [row[:6] for row in rows] == [
        ["", FIRST, PROJECT, "restore-ous", "running", "0"],
        ["1", THIRD, OTHER, "restore-ous", "waiting", "0"],
        ["2", SECOND, PROJECT, "restore-ous", "waiting", "0"],
    ]
    assert rows[0][8:] == [RUN, "run by almapipe"]
    assert rows[1][7:] == ["0", "", "released"]
    assert shown.stdout.splitlines()[-1] == "1 running, 2 waiting"
    assert listed("--project", OTHER) == [(THIRD, "waiting", 1)]
    assert listed(SECOND.replace("://", "___").replace("/", "_")) == [(SECOND, "waiting", 2)]
    assert listed("--limit", "1") == [(FIRST, "running", None)]


def test_what_came_to_its_end_is_listed_if_it_is_asked_for(database: Database) -> None:
    told("cancel", "--project", PROJECT)
    assert listed() == [(THIRD, "waiting", 1)]
    assert listed("--state", "cancelled") == [(FIRST, "cancelled", None), (SECOND, "cancelled", None)]
    assert listed(FIRST) == [(FIRST, "cancelled", None)]


def test_where_nothing_was_asked_for_nothing_is_made(tmp_path: Path) -> None:
    shown = queue("list")
    assert (shown.exit_code, shown.stdout.strip()) == (
        0,
        "Nothing of that kind is asked for in profile site-test.",
    )
    assert listed() == []
    assert isinstance(queue("hold", FIRST).exception, Missing)
    assert not (tmp_path / "catalog.db").exists()


def test_requests_are_held_released_and_moved_by_project_and_by_name(database: Database) -> None:
    assert told("hold", "--project", PROJECT) == {"done": [FIRST, SECOND], "left": {}, "unknown": [], "runs": []}
    assert told("release", FIRST, THIRD, "uid://A001/X1/X1") == {
        "done": [FIRST], "left": {THIRD: "waiting"}, "unknown": ["uid://A001/X1/X1"], "runs": [],
    }  # fmt: skip
    assert told("prioritise", SECOND, "--to", "7")["done"] == [SECOND]
    told("release", "--state", "held")
    assert listed()[0] == (SECOND, "waiting", 1)


def test_what_cannot_be_done_is_left_and_said(database: Database) -> None:
    shown = queue("release", FIRST, "uid://A001/X1/X1")
    assert shown.exit_code == Refused.exit_code
    assert shown.stdout.splitlines() == [
        "0 requests are released now.",
        f"{FIRST} is left as it is: waiting",
        "uid://A001/X1/X1 was not asked for yet",
    ]
    shown = queue("hold", FIRST)
    assert (shown.exit_code, shown.stdout) == (0, "1 request is held now.\n")


def test_only_some_of_many_that_are_left_are_named(database: Database) -> None:
    many = [Ask(workflow="f", observation=f"uid://A001/X1/X{number}", origin=SWEEP) for number in range(20)]
    Book(database).record(many, NOON)
    shown = queue("release", "--state", "waiting").stdout.splitlines()
    assert (len(shown), shown[-1]) == (12, "... and so are 13 others")


def test_for_safety_something_must_be_named(database: Database) -> None:
    for action in ("hold", "release", "cancel", "retry", "prioritise"):
        shown = queue(action)
        assert (shown.exit_code, "name observations, a --project or a --state" in shown.output) == (2, True)
    assert isinstance(queue("hold", "not-a-uid").exception, Refused)
    assert isinstance(queue("hold", "--project", "2001.1.00001.S").exception, Missing)
    assert {state for _, state, _ in listed()} == {"waiting"}


def test_what_has_succeeded_is_done_again_only_if_it_is_said(database: Database) -> None:
    catalog = Catalog(database, "site-test")
    begun(database)
    record = catalog.find(1, lambda _: True)
    catalog.write(record.model_copy(update={"state": State.SUCCEEDED, "verdict": "success"}))
    assert queue("retry", FIRST).exit_code == Refused.exit_code
    assert told("retry", FIRST, "--again")["done"] == [FIRST]
    (request,) = json.loads(queue("list", FIRST, "--json").stdout)
    assert (request["state"], request["reason"], request["tries"]) == ("waiting", "asked for again by operator", 0)


def test_a_run_that_cannot_be_ended_from_here_is_said(database: Database) -> None:
    begun(database)
    shown = queue("cancel", FIRST)
    assert shown.exit_code == 0, shown.output
    assert "1 request is cancelled now." in shown.stdout
    assert f"restore-ous {FIRST} goes on: " in shown.stdout
    assert "run this command on elsewhere" in shown.stdout
    assert listed(FIRST) == [(FIRST, "cancelled", None)]
    again = queue("cancel", FIRST)
    assert again.exit_code == Refused.exit_code
    assert "goes on: " in again.stdout, "a command that was cut off is caught up with"

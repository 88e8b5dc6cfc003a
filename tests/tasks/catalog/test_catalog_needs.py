"""What the catalog says is needed, before anything is cleared away."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlmodel import Session

from tasks.catalog.catalog import Catalog
from tasks.catalog.connection import Database
from tasks.catalog.model import Execution
from tasks.catalog.needs import Needs, needs
from tasks.catalog.request_states import OPEN, RequestState
from tasks.catalog.tables import ExecutionRow, RequestRow

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    Catalog(database := Database(f"sqlite:///{tmp_path / 'catalog.db'}"), "site-test")
    return database


def file(
    database: Database, observation: str, state: RequestState, workflow: str = "restore-ous", **known: str
) -> None:
    row = RequestRow(
        workflow=workflow, observation=observation, origin="sweep", asked=NOON, due=NOON, state=state,
        changed=NOON + timedelta(days=len(workflow)), **known,
    )  # fmt: skip
    with database.writing() as connection, Session(connection) as session:
        session.add(row)
        session.flush()


def test_nothing_is_needed_of_an_empty_catalog(database: Database) -> None:
    assert needs(database, ["uid://A001/X1/X1"]) == Needs()


def test_what_is_asked_for_or_runs_is_wanted_and_what_was_cancelled_is_given_up(database: Database) -> None:
    for number, state in enumerate(RequestState):
        file(database, f"uid://A001/X1/X{number}", state)
    observations = {f"uid://A001/X1/X{number}": state for number, state in enumerate(RequestState)}
    found = needs(database, observations)
    assert found.wanted == {
        mous: f"its request is {state}" for mous, state in observations.items() if state in OPEN
    }
    assert found.given_up == {
        mous: NOON + timedelta(days=len("restore-ous"))
        for mous, state in observations.items()
        if state is RequestState.CANCELLED
    }
    assert needs(database, []).wanted == {}


def test_an_observation_is_given_up_when_all_that_was_asked_for_it_is(database: Database) -> None:
    file(database, "uid://A001/X1/X1", RequestState.CANCELLED)
    file(database, "uid://A001/X1/X1", RequestState.CANCELLED, "calibrate-ous")
    file(database, "uid://A001/X1/X2", RequestState.CANCELLED)
    file(database, "uid://A001/X1/X2", RequestState.SUCCEEDED, "calibrate-ous")
    file(database, "uid://A001/X1/X3", RequestState.CANCELLED)
    file(database, "uid://A001/X1/X3", RequestState.HELD, "calibrate-ous")
    found = needs(database, [f"uid://A001/X1/X{number}" for number in (1, 2, 3)])
    assert found.given_up == {"uid://A001/X1/X1": NOON + timedelta(days=len("calibrate-ous"))}
    assert found.wanted == {"uid://A001/X1/X3": "its request is held"}


def test_runs_are_needed_that_go_on_or_that_a_request_counts_on(database: Database) -> None:
    file(database, "uid://A001/X1/X1", RequestState.LAUNCHED, processing_id="launched")
    file(database, "uid://A001/X1/X2", RequestState.SUCCEEDED, processing_id="done")
    file(
        database, "uid://A001/X1/X3", RequestState.SUCCEEDED, processing_id="made", ingestion_id="ingests",
        ingestion_state="running",
    )  # fmt: skip
    execution = Execution(
        flow="restore-ous", profile="site-test", observation="uid://A001/X1/X4", started=NOON, flow_run="runs"
    )
    with database.writing() as connection, Session(connection) as session:
        session.add(ExecutionRow(**execution.model_dump()))
        session.flush()
    found = needs(database)
    assert found.runs == {"launched", "made", "ingests", "runs"}
    assert found.wanted == {"uid://A001/X1/X4": "the catalog shows a run of it as running"}

"""Executions in the catalog: how they begin, end, are killed, are looked up, and which states they may take."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.catalog.catalog import KILLED, Catalog, Wanted
from tasks.catalog.connection import Database
from tasks.catalog.model import Execution, Piece, Product, Record, Stage, Step
from tasks.catalog.states import State, require_change, state_after
from tasks.errors import Failed, Missing, PpiError, Refused, Transient

NOON = datetime(2026, 5, 4, 12, 0, 0, 123456, tzinfo=UTC)
ONE, OTHER = "uid://A001/X1284/X265f", "uid://A001/X1284/X2660"
ENDS = sorted(set(State) - {State.RUNNING})


def nobody(observation: str) -> bool:
    return False


@pytest.fixture(scope="module")
def template() -> Iterator[Path]:
    """An empty catalog, since making one takes most of the time."""
    with tempfile.TemporaryDirectory() as folder:
        opened(Path(folder, "catalog.db"))
        yield Path(folder, "catalog.db")


@pytest.fixture
def catalog(template: Path, tmp_path: Path) -> Catalog:
    return opened(Path(shutil.copyfile(template, tmp_path / "catalog.db")))


def opened(file: Path) -> Catalog:
    return Catalog(Database(f"sqlite:///{file}"), "site-test")


def execution(observation: str = ONE, minutes: float = 0, **known: Any) -> Execution:
    started = NOON + timedelta(minutes=minutes)
    whole = Execution(flow="restore-ous", profile="site-test", observation=observation, started=started)
    return whole.model_copy(update=known)


def ended(record: Record, state: State = State.SUCCEEDED, **known: Any) -> Record:
    return record.model_copy(update={"state": state, "finished": record.started + timedelta(minutes=1), **known})


def test_what_is_written_is_read_back(catalog: Catalog) -> None:
    known = ended(
        catalog.begin(execution(flow_run="0f" * 18, host="one", account="ppi", owner="one/boot pid:[1]/2/3")),
        project="2017.1.00886.L",
        verdict="success with caveats",
        reasons=("one thing", "another"),
        bytes_fetched=2**40,
        stages=(Stage(name="plan", started=NOON, wall_seconds=0.25), Stage(name="gather")),
        steps=(
            Step(stage="gather", name="fetch", block="uid://A002/X1/X2", bytes_fetched=2**40),
            Step(stage="process", name="casa", cpu_seconds=3.5, peak_memory_bytes=2**33, verdict="success"),
            Step(stage="process", name="casa", cpu_seconds=9.5, peak_memory_bytes=2**34, taken_over=True),
        ),
        pieces=(
            Piece(stage="gather", step="fetch", item="uid://A002/X1/X2", input_bytes=2**40, place="slot1@one"),
            Piece(stage="process", step="restore", kind="casatasks", peak_memory_bytes=2**34, attempts=3),
        ),
        products=(Product(path="a", kind="image", size=2**33, checksum="sha256:0", provenance="sha256:1"),),
    )
    catalog.write(known)
    catalog.write(known)
    assert catalog.find(known.id, nobody) == known
    assert (known.wall_seconds, known.cpu_seconds, known.peak_memory_bytes) == (60.0, 3.5, 2**33)
    assert catalog.look_up(Wanted(), nobody) == (known,)


def test_a_time_is_read_as_utc_wherever_it_was_written(catalog: Catalog) -> None:
    here = datetime.fromisoformat("2026-05-04T14:00:00+02:00")
    record = catalog.begin(execution(started=here))
    assert catalog.find(record.id, nobody).started.isoformat() == "2026-05-04T12:00:00+00:00"


def test_one_that_was_killed_is_settled_by_the_next_on_its_observation(catalog: Catalog) -> None:
    killed, other = catalog.begin(execution()), catalog.begin(execution(OTHER))
    assert catalog.find(killed.id, lambda _: True).state is State.RUNNING
    assert catalog.find(killed.id, nobody).state is State.INTERRUPTED
    catalog.begin(execution(minutes=1))
    settled = catalog.find(killed.id, lambda _: True)
    assert (settled.state, settled.error, settled.finished) == (State.INTERRUPTED, KILLED, None)
    assert catalog.find(other.id, lambda _: True).state is State.RUNNING


def test_one_that_ended_before_it_began_settles_nobody(catalog: Catalog) -> None:
    running = catalog.begin(execution())
    catalog.add(execution(minutes=1, state=State.REFUSED, error="proprietary"))
    last, first = catalog.look_up(Wanted(observation=ONE), lambda _: True)
    assert (last.state, last.error) == (State.REFUSED, "proprietary")
    assert (first.id, first.state) == (running.id, State.RUNNING)


@pytest.mark.parametrize("state", [None, *ENDS])
def test_a_delivery_that_was_found_is_written_once(catalog: Catalog, state: State | None) -> None:
    """`None`: the catalog knows nothing of its run."""
    if state:
        begun = catalog.begin(execution(host="one", account="ppi", owner="one/boot/2/3"))
        catalog.write(ended(begun, state, error=KILLED, pieces=(Piece(stage="gather", step="fetch"),)))
    product = Product(path="a", kind="report")
    found = ended(Record(id=0, **execution().model_dump()), products=(product,))
    if state in (State.REFUSED, State.UNCHANGED):
        with pytest.raises(Refused, match=f"is {state} and cannot become succeeded"):
            catalog.deliver_late(found)
        return
    for _ in range(2):
        catalog.deliver_late(found)
    (record,) = catalog.look_up(Wanted(), nobody)
    assert record.state is State.SUCCEEDED
    assert (record.host, record.account) == (("one", "ppi") if state else (None, None))
    assert record.owner == ("one/boot/2/3" if state else None)
    assert [piece.step for piece in record.pieces] == (["fetch"] if state else [])
    assert record.products == (() if state is State.SUCCEEDED else (product,))


def test_an_execution_that_is_not_there_is_named(catalog: Catalog) -> None:
    with pytest.raises(Missing, match=r"execution 7: .*catalog.db has none. Next: see `ppi history`"):
        catalog.find(7, nobody)
    with pytest.raises(Missing, match="execution 7"):
        catalog.write(Record(id=7, **execution().model_dump()))


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        ({}, [4, 3, 2, 1]),
        ({"limit": 2}, [4, 3]),
        ({"observation": ONE}, [4, 3, 1]),
        ({"observation": "uid://A001/X1/X1"}, []),
        ({"since": NOON + timedelta(minutes=1)}, [4, 3, 2]),
        ({"until": NOON + timedelta(minutes=1)}, [1]),
        ({"since": NOON + timedelta(minutes=1), "until": NOON + timedelta(minutes=3)}, [3, 2]),
        ({"states": {State.SUCCEEDED}}, [1]),
        ({"states": {State.RUNNING}}, [4]),
        ({"states": {State.INTERRUPTED}}, [3, 2]),
        ({"states": {State.INTERRUPTED}, "limit": 1}, [3]),
        ({"states": {State.INTERRUPTED, State.SUCCEEDED}, "observation": ONE}, [3, 1]),
    ],
)
def test_what_is_wanted_is_found_newest_first(catalog: Catalog, wanted: dict[str, Any], ids: list[int]) -> None:
    """The second was killed just now; the third was, and is settled; the fourth runs."""
    catalog.write(ended(catalog.begin(execution())))
    catalog.begin(execution(OTHER, minutes=1))
    catalog.begin(execution(minutes=2))
    catalog.begin(execution(minutes=3))
    found = catalog.look_up(Wanted(**wanted), lambda observation: observation == ONE)
    assert [record.id for record in found] == ids


@pytest.mark.parametrize("old", State)
@pytest.mark.parametrize("new", State)
def test_a_state_changes_only_as_drawn(catalog: Catalog, old: State, new: State) -> None:
    drawn = {(State.RUNNING, end) for end in ENDS} | {
        (State.INTERRUPTED, State.SUCCEEDED),
        (State.FAILED, State.SUCCEEDED),
    }
    record = catalog.begin(execution())
    catalog.write(ended(record, old))
    if old is new or (old, new) in drawn:
        require_change(1, old, new)
        catalog.write(ended(record, new))
        assert catalog.find(record.id, lambda _: True).state is new
        return
    with pytest.raises(Refused, match=f"it is {old} and cannot become {new}"):
        catalog.write(ended(record, new))
    assert catalog.find(record.id, lambda _: True).state is old


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (Refused("a"), State.REFUSED),
        (Missing("a"), State.REFUSED),
        (Transient("a"), State.FAILED),
        (Failed("a"), State.FAILED),
        (ValueError("a"), State.FAILED),
        (KeyboardInterrupt(), State.INTERRUPTED),
        (SystemExit(1), State.INTERRUPTED),
    ],
)
def test_what_ends_an_execution_says_how_it_ended(error: BaseException, state: State) -> None:
    assert state_after(error) is state


OPERATIONS = st.lists(
    st.tuples(st.sampled_from([ONE, OTHER]), st.sampled_from(["begin", "kill", "note", "late", *ENDS])),
    max_size=14,
)


@settings(max_examples=25, deadline=None)
@given(OPERATIONS)
def test_any_history_keeps_what_must_hold(template: Path, operations: list[tuple[str, str]]) -> None:
    """A small model of runs that hold their observations, beside the catalog."""
    with tempfile.TemporaryDirectory() as folder:
        catalog = opened(Path(shutil.copyfile(template, Path(folder, "catalog.db"))))
        held: dict[str, Record] = {}
        expected: dict[int, State] = {}
        for minute, (observation, operation) in enumerate(operations):
            record = held.get(observation)
            if operation == "begin" and record is None:
                record = catalog.begin(execution(observation, minute))
                expected = {
                    number: State.INTERRUPTED
                    if state is State.RUNNING and catalog.find(number, nobody).observation == observation
                    else state
                    for number, state in expected.items()
                }
                held[observation], expected[record.id] = record, State.RUNNING
            elif operation == "kill":
                held.pop(observation, None)
            elif operation == "note" and record:
                catalog.write(record.model_copy(update={"stages": (Stage(name="plan"),)}))
            elif operation == "late":
                _find_a_delivery(catalog, observation, expected, held)
            elif operation in ENDS and record:
                catalog.write(ended(record, State(operation)))
                expected[held.pop(observation).id] = State(operation)
            _check(catalog, expected, held)
        _check_what_is_found(catalog, held)


def _find_a_delivery(
    catalog: Catalog, observation: str, expected: dict[int, State], held: dict[str, Record]
) -> None:
    """The oldest run of an observation turns out to have delivered, if it was seen to end badly or was killed."""
    for old in reversed(catalog.look_up(Wanted(observation=observation), nobody)):
        live = observation in held and held[observation].id == old.id
        if not live and old.state in (State.INTERRUPTED, State.FAILED, State.SUCCEEDED):
            for _ in range(2):
                catalog.deliver_late(ended(old))
            expected[old.id] = State.SUCCEEDED
            return


def _check(catalog: Catalog, expected: dict[int, State], held: dict[str, Record]) -> None:
    written = {record.id: record for record in catalog.look_up(Wanted(), lambda _: True)}
    assert {number: record.state for number, record in written.items()} == expected
    assert sorted(written) == list(range(1, len(written) + 1))
    seen = catalog.look_up(Wanted(), lambda observation: observation in held)
    assert [record.started for record in seen] == sorted((record.started for record in seen), reverse=True)
    running = [record.id for record in written.values() if record.state is State.RUNNING]
    assert len({written[number].observation for number in running}) == len(running)
    for observation, record in held.items():
        assert written[record.id].state is State.RUNNING, observation


def _check_what_is_found(catalog: Catalog, held: dict[str, Record]) -> None:
    seen = catalog.look_up(Wanted(), lambda observation: observation in held)
    for state in State:
        found = catalog.look_up(Wanted(states={state}), lambda observation: observation in held)
        assert [record.id for record in found] == [record.id for record in seen if record.state is state]


def test_the_errors_of_ppi_are_all_ended_by_a_known_state() -> None:
    for kind in PpiError.__subclasses__():
        assert state_after(kind("a")) in (State.REFUSED, State.FAILED)

"""What the processing area says of itself, at whatever moment it is asked."""

from __future__ import annotations

from pathlib import Path

import pytest
from workspace_examples import BLOCKS, MOUS, OTHER, PROJECT, attempt, block, provenance, restored

from tasks import disk
from tasks.casa.request import StepTime
from tasks.casa.verdict import Outcome, Verdict
from tasks.errors import Failed
from tasks.workspace.layout import Area
from tasks.workspace.status import State, states


@pytest.fixture
def area(tmp_path: Path) -> Area:
    return Area(tmp_path / "area")


def test_an_area_that_was_never_used_is_empty(area: Area) -> None:
    assert states(area) == ()
    assert not area.root.exists()


def test_an_attempt_is_running_as_long_as_it_is_held(area: Area) -> None:
    with area.held(MOUS):
        path = attempt(area).attempt
        expected = State(observation=MOUS, project=PROJECT, state="running", blocks_done=0, path=path)
        assert states(area) == (expected,)
    assert states(area) == (expected.model_copy(update={"state": "interrupted"}),)


def test_of_an_attempt_its_finished_blocks_and_its_last_steps_are_told(area: Area) -> None:
    with area.held(MOUS):
        tree, _ = restored(area)
        working, silent = (tree.new_attempt(uid.file_form) for uid in BLOCKS)
        _step(working, StepTime(step="import", seconds=3.5))
        _step(working, StepTime(step="flags", seconds=None))
        _step(silent)
        (state,) = states(area)
    assert (state.blocks_done, state.step) == (2, f"{BLOCKS[0].file_form}.1: flags")


def test_a_step_that_is_just_being_written_is_not_told_yet(area: Area) -> None:
    with area.held(MOUS):
        working = attempt(area).new_attempt(BLOCKS[0].file_form)
        _step(working, StepTime(step="import", seconds=3.5), ending='\n{"step": "fla')
        (state,) = states(area)
        assert state.step == f"{BLOCKS[0].file_form}.1: import"
        (working / "steps.jsonl").write_text('{"step": "imp')
        (state,) = states(area)
    assert state.step == ""


def _step(directory: Path, *steps: StepTime, ending: str = "\n") -> None:
    with (directory / "steps.jsonl").open("a") as stream:
        stream.write("".join(step.model_dump_json() + ending for step in steps))


@pytest.mark.parametrize("outcome", Outcome)
def test_a_delivery_bears_its_verdict(area: Area, outcome: Outcome) -> None:
    destination = area.destination(PROJECT, OTHER)
    destination.mkdir(parents=True)
    history = provenance(block(BLOCKS[0]), observation=OTHER, verdict=Verdict(outcome=outcome))
    disk.write_whole(destination / "provenance.json", history.model_dump_json().encode())
    assert states(area) == (
        State(observation=OTHER, project=PROJECT, state=outcome.value, blocks_done=1, path=destination),
    )


def test_what_is_being_put_together_or_removed_is_no_delivery(area: Area) -> None:
    destination = area.destination(PROJECT, MOUS)
    removed = destination.with_name(f".{destination.name}.removed")
    removed.mkdir(parents=True)
    (removed / "provenance.json").write_text(provenance().model_dump_json())
    assert states(area) == ()


def test_a_spoilt_delivery_is_named(area: Area) -> None:
    destination = area.destination(PROJECT, MOUS)
    destination.mkdir(parents=True)
    (destination / "provenance.json").write_text("{}")
    with pytest.raises(Failed, match=r"provenance\.json"):
        states(area)

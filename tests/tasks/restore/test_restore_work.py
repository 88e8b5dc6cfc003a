"""The pieces of work of a plan, and what a stage of them will probably take."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from restore_examples import CASA, FIRST, SECOND, Archived

from tasks.catalog.model import Piece
from tasks.catalog.sizes import Sizes
from tasks.cluster.resources import Resources
from tasks.restore.forecast import StageForecast, StepForecast, forecast
from tasks.restore.plan import Casa
from tasks.restore.work import works
from tasks.usage import Work

GB = 10**9
CLASS = Resources("casa", memory=4 * GB, least_memory=2 * GB, memory_limit=8 * GB)


def test_every_piece_of_work_is_named_with_what_decides_its_size(archived: Archived) -> None:
    archived.put_all()
    plan = archived.plan()
    first, second = (block.raw.stored.size for block in plan.blocks)
    kind = f"casatasks {CASA.version} hifa_restore"
    assert works(plan) == {
        "gather": (
            Work("gather", "fetch", FIRST, "", first),
            Work("gather", "fetch", SECOND, "", second),
            Work("gather", "fetch products", "", "", plan.size - first - second),
        ),
        "process": (
            Work("process", "restore", FIRST, kind, first),
            Work("process", "restore", SECOND, kind, second),
        ),
        "finish": (Work("finish", "deliver", "", "hifa_restore", plan.size),),
    }


def test_the_pipeline_does_all_execution_blocks_in_one(archived: Archived) -> None:
    archived.put_all()
    plan = archived.plan(Casa(executor="pipeline", version=CASA.version))
    kind = f"pipeline {CASA.version} hifa_restore"
    assert works(plan)["process"] == (Work("process", "pipeline", "", kind, plan.size),)


def blocks(*sizes: int) -> tuple[Work, ...]:
    return tuple(
        Work("process", "restore", f"uid://A002/X1/X{number}", "", size) for number, size in enumerate(sizes)
    )


def known(*pieces: tuple[int, float, int]) -> Sizes:
    return Sizes(
        Piece(
            stage="process",
            step="restore",
            input_bytes=size,
            wall_seconds=wall,
            cpu_seconds=wall / 2,
            peak_memory_bytes=peak,
        )
        for size, wall, peak in pieces
    )


def test_a_forecast_says_what_is_asked_for_and_how_long_the_stage_takes() -> None:
    sizes = known((GB, 10.0, 3 * GB), (GB, 10.0, 3 * GB))
    assert forecast("process", blocks(GB, GB, GB), sizes, 2, CLASS) == StageForecast(
        "process", 2, (StepForecast("restore", 3, int(3.75 * GB), 10.0, 15.0, 3 * GB, 2),), 20.0
    )


@pytest.mark.parametrize(("peak", "asked"), [(GB, 2 * GB), (7 * GB, 8 * GB)])
def test_what_is_asked_for_stays_within_the_bounds_of_the_class(peak: int, asked: int) -> None:
    (step,) = forecast("process", blocks(GB), known((GB, 10.0, peak)), 2, CLASS).steps
    assert step.requested_memory == asked


def test_where_nothing_was_measured_the_class_says_what_is_asked_for() -> None:
    nothing = StepForecast("restore", 2, 4 * GB, None, None, None, 0)
    assert forecast("process", blocks(GB, GB), Sizes(), 64, CLASS) == StageForecast("process", 2, (nothing,), None)
    (here,) = forecast("process", blocks(GB), Sizes(), 1, None).steps
    assert here.requested_memory is None, "without jobs nothing is asked for"


def test_steps_of_a_stage_are_told_apart_and_share_its_places() -> None:
    stage = (*blocks(GB, GB), Work("process", "other"))
    sizes = known((GB, 10.0, GB))
    told = forecast("process", stage, sizes, 2, None)
    assert [(step.step, step.jobs, step.runs) for step in told.steps] == [("restore", 2, 1), ("other", 1, 0)]
    assert told.wall_seconds is None, "it is not known how long the other one takes"


@given(st.lists(st.integers(1, 100), min_size=1, max_size=12), st.integers(1, 8))
def test_a_stage_is_never_shorter_than_its_work(walls: list[int], at_once: int) -> None:
    sizes = known(*((wall, float(wall), GB) for wall in (1, 10, 100)))
    length = forecast("process", blocks(*walls), sizes, at_once, None).wall_seconds
    assert length == pytest.approx(length)
    assert sum(walls) / at_once - 1e-6 <= (length or 0) <= sum(walls) + 1e-6
    assert (length or 0) >= max(walls) - 1e-6

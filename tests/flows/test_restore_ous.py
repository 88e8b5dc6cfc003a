"""The flow as Prefect sees it: its form in the UI, its names, and what is tried again."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.states import exception_to_failed_state

import flows._run_name
import flows._stage
from blocks.profile import Cluster, Metadata, Ngas, Processing, Profile
from flows.restore_ous import restore_ous
from tasks import _task
from tasks.alma.ids import EntityId
from tasks.errors import Exhausted, Failed, Missing, PpiError, Refused, Transient
from tasks.ppr.procedures import OF_RESTORE
from tasks.restore import tasks as steps

ROOT = Path(__file__).parents[2]
TASKS = {name: value for name, value in vars(steps).items() if isinstance(value, Task)}
SCREEN = 60


def test_the_form_in_the_ui_explains_every_parameter() -> None:
    form = restore_ous.parameters
    assert set(form.required) == {"mous", "profile"}
    said = {name: entry.get("description", "") for name, entry in form.properties.items()}
    assert set(said) == {"mous", "profile", "procedure", "again"}
    assert [name for name, text in said.items() if len(text) < 10] == []
    assert "uid://" in said["mous"]
    assert form.properties["procedure"]["enum"] == list(OF_RESTORE)
    assert form.properties["procedure"]["default"] == "hifa_restore"
    assert restore_ous.description


@pytest.mark.parametrize(
    ("mous", "name"),
    [
        ("uid://A001/X1284/X265f", "restore X1284_X265f"),
        (" uid___A001_X1284_X265f ", "restore X1284_X265f"),
        ("../etc/passwd", "restore ../etc/passwd"),
    ],
)
def test_a_run_bears_the_name_of_its_observation(monkeypatch: pytest.MonkeyPatch, mous: str, name: str) -> None:
    monkeypatch.setattr(flows._run_name, "flow_run", SimpleNamespace(parameters={"mous": mous}))
    assert callable(restore_ous.flow_run_name)
    assert restore_ous.flow_run_name() == name


@pytest.mark.parametrize("path", sorted((ROOT / "flows").glob("*.py")), ids=lambda path: path.name)
def test_a_flow_is_read_in_one_screen(path: Path) -> None:
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < SCREEN, node.name


def test_no_result_is_kept_by_prefect() -> None:
    assert restore_ous.persist_result is False
    assert len(TASKS) >= 6
    for name, task in TASKS.items():
        assert task.persist_result is False, name
        assert task.cache_policy == NO_CACHE, name


def test_every_task_of_the_restore_is_tried_again_where_that_helps() -> None:
    assert set(TASKS) <= set(steps.__all__)
    tried_again = {name for name, task in TASKS.items() if task.retries}
    assert tried_again == {"restore_block", "restore_with_pipeline"}, "the others have patient clients"
    for name, task in TASKS.items():
        assert task.retry_condition_fn is _task._retry_helps, name
        assert all(delay > 0 for delay in task.retry_delay_seconds), name


@pytest.mark.parametrize("kind", [Refused, Missing, Transient, Exhausted, Failed])
def test_only_what_passes_is_tried_again(kind: type[PpiError]) -> None:
    assert _is_retried(kind("the archive", "it is busy", "wait")) == kind.retry_helps
    assert kind.retry_helps == (kind is Transient)


@pytest.mark.parametrize("error", [ValueError("a bug"), OSError("no space"), KeyError("x"), TimeoutError()])
def test_what_ppi_cannot_explain_is_not_tried_again(error: Exception) -> None:
    assert not _is_retried(error)


def _is_retried(error: Exception) -> bool:
    state = asyncio.run(exception_to_failed_state(error))
    return _task._retry_helps(TASKS["plan_restore"], SimpleNamespace(), state)  # type: ignore[arg-type]


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    return Profile(
        name="site-test",
        processing=Processing(root_directory=tmp_path),
        metadata=Metadata(url="sqlite:////nowhere"),
        ngas=Ngas(servers="one:7777,two:7777", streams_per_server=3),
        cluster=Cluster(max_workers=5),
    )


@pytest.mark.parametrize(("resources", "workers"), [("transfer", 6), ("casa", 5), ("light", 1)])
def test_a_stage_is_a_subflow_with_its_own_workers_that_is_told_the_profile_by_name(
    profile: Profile, monkeypatch: pytest.MonkeyPatch, resources: str, workers: int
) -> None:
    made: dict[str, Any] = {}

    def flow(**options: Any) -> Callable[[Callable[[str], Any]], Callable[[str], Any]]:
        made.update(options)
        return lambda function: lambda *given: (made.update(given=given), function(*given))[1]

    monkeypatch.setattr(flows._stage, "flow", flow)
    stage = flows._stage.stage("gather", resources)  # type: ignore[arg-type]
    case = flows._stage.Case(profile, "restore-ous", "", EntityId("uid://A001/X1/X2"), "")
    assert stage(lambda case, plan: (case.profile.name, plan))(case, "a plan") == ("site-test", "a plan")
    assert (made["name"], made["flow_run_name"], made["persist_result"]) == ("gather", "gather", False)
    assert made["task_runner"]._max_workers == workers
    assert made["given"] == ("site-test",)

"""The ingest as Prefect sees it: its form in the UI, its names, and what is tried again."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from prefect import Task
from prefect.cache_policies import NO_CACHE

import flows._run_name
from flows.ingest_products import ingest_products
from tasks.catalog.archived import Archived
from tasks.ingest import tasks as steps
from tasks.ingest.jobs import Placed
from tasks.ingest.page import said, table
from tasks.report.marks import plain

TASKS = {name: value for name, value in vars(steps).items() if isinstance(value, Task)}


def test_the_form_in_the_ui_explains_every_parameter() -> None:
    form = ingest_products.parameters
    assert set(form.required) == {"mous", "profile"}
    assert set(form.properties) == {"mous", "profile", "key"}
    assert [name for name, entry in form.properties.items() if len(entry.get("description", "")) < 10] == []


@pytest.mark.parametrize(
    ("mous", "name"),
    [
        ("uid___A001_X1284_X265f", "ingest X1284_X265f"),
        ("../etc/passwd", "ingest ../etc/passwd"),
    ],
)
def test_a_run_bears_the_name_of_its_observation(monkeypatch: pytest.MonkeyPatch, mous: str, name: str) -> None:
    monkeypatch.setattr(flows._run_name, "flow_run", SimpleNamespace(parameters={"mous": mous}))
    assert callable(ingest_products.flow_run_name)
    assert ingest_products.flow_run_name() == name


def test_no_result_is_kept_by_prefect_and_what_writes_the_catalog_is_tried_again() -> None:
    assert ingest_products.persist_result is False
    assert {name: task.retries for name, task in TASKS.items()} == {
        "look_at": 0,
        "archive_lot": 2,
        "archive_last": 2,
    }
    for task in TASKS.values():
        assert task.persist_result is False
        assert task.cache_policy == NO_CACHE


def test_the_table_says_what_was_sent_and_shows_no_markup() -> None:
    file = Archived(
        path="images/<b>.fits", file_id="a|b", version=1, size=2_000_000, checksum="crc32:1", server="one:7777"
    )
    files = (Placed(file=file, was_there=False), Placed(file=file, was_there=True))
    assert said(files) == "2 files, 2.0 MB sent, 1 was there already"
    assert said(files[1:]) == "1 file, 1 was there already"
    data, description = table(files)
    assert [row["of the delivery"] for row in json.loads(data)] == [plain(file.path)] * 2
    assert "2 files" in description

"""Sweeps of an environment that is served: found, started, failed, and all of it seen in a browser."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from browser import browsing, keep, open_deployment, page_of
from environments import MOUS, Environment
from playwright.sync_api import Browser, Page
from sides import Side, one_served
from standin_installation import VERSION, installed

from deployments.local.observatory.build import Observatory
from tasks.errors import Refused

SWEEP, RESTORE = "ingestion-sweep/swept-test", "restore-ous/swept-test"
REASON = "SEVERE in the log: applycal::::casa: Task applycal raised an exception of class RuntimeError"
PATIENCE = 240.0
T = TypeVar("T")


def found(look: Callable[[], T | None]) -> T:
    ends = time.monotonic() + PATIENCE
    while (seen := look()) is None:
        assert time.monotonic() < ends
        time.sleep(0.5)
    return seen


@pytest.fixture(scope="module")
def side(observatory: Observatory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Side]:
    """An environment that restores all by itself, with a CASA that always fails."""
    folder = tmp_path_factory.mktemp("swept")
    casa = installed(folder / "casa", folder / "nothing")
    casa.behave("severe")
    properties = {
        "sweep_since": "2000-01-01",
        "casa_executor": "pipeline",
        "casa_home": str(casa.home),
        "casa_defaultVersion": VERSION,
    }
    with one_served(folder, observatory, "swept-test", **properties) as made:
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as made:
        yield made


@pytest.fixture(scope="module")
def failed(side: Side) -> dict[str, Any]:
    """The run that a sweep has started; it failed."""
    side.runs.ended(side.runs.start(SWEEP))
    deployment = side.runs.deployment(RESTORE)["id"]

    def made() -> str | None:
        runs = side.runs.records.ask("flow_runs", flow_runs={"deployment_id": {"any_": [deployment]}})
        return str(runs[0]["id"]) if runs else None

    return side.runs.ended(found(made))


def artifacts(side: Side, key: str, run: str | None = None) -> list[dict[str, Any]]:
    of_run = {"flow_run_id": {"any_": [run]}} if run else {}
    return side.runs.records.ask("artifacts", artifacts={"key": {"any_": [key]}, **of_run})


def launching(side: Side) -> str:
    """Return the sweep that has started the run: ours, or one that came by itself."""
    (table,) = [each for each in artifacts(side, "sweep-observations") if "[launched]" in each["data"]]
    return str(table["flow_run_id"])


def test_a_sweep_is_due_every_five_minutes_by_itself(side: Side, browser: Browser) -> None:
    deployment = side.runs.deployment(SWEEP)["id"]
    wanted = {"deployment_id": {"any_": [deployment]}, "state": {"type": {"any_": ["SCHEDULED"]}}}

    def scheduled() -> list[dict[str, Any]] | None:
        runs = side.runs.records.ask("flow_runs", flow_runs=wanted)
        return [run for run in runs if run["auto_scheduled"]] or None

    assert {run["expected_start_time"][15:17] for run in found(scheduled)} <= {"0:", "5:"}
    page = page_of(browser)
    open_deployment(page, side.ui, side.name, "ingestion-sweep")
    page.get_by_text("every-5-minutes", exact=True).first.wait_for()
    page.get_by_text("Scheduled for").first.wait_for()
    keep(page, "sweep-schedule")


def test_its_table_says_what_was_found_and_started(side: Side, failed: dict[str, Any], browser: Browser) -> None:
    sweep = launching(side)
    (numbers,) = artifacts(side, "sweep", sweep)
    counts = {row["what"]: row["how many"] for row in json.loads(numbers["data"])}
    assert {what: counts[what] for what in ("looked at", "asked for", "launched")} == {
        "looked at": "4",
        "asked for": "1",
        "launched": "1",
    }
    page = artifact(browser, side, sweep, "sweep")
    page.get_by_text("of these restorable").first.wait_for()
    keep(page, "sweep-table")
    page = artifact(browser, side, sweep, "sweep-observations")
    assert (
        page.get_by_role("link", name="launched").first.get_attribute("href")
        == f"{side.ui}/runs/flow-run/{failed['id']}"
    )
    keep(page, "sweep-observations")


def artifact(browser: Browser, side: Side, run: str, key: str) -> Page:
    """Go to something that a run shows, by way of the run's own page."""
    page = page_of(browser)
    page.goto(f"{side.ui}/runs/flow-run/{run}")
    page.get_by_text("Artifacts", exact=True).first.click()
    page.get_by_text(key, exact=True).first.wait_for()
    keep(page, f"run-with-{key}")
    page.get_by_text(key, exact=True).first.click()
    page.get_by_text("Show raw data").first.wait_for()
    return page


def test_a_failed_run_says_why_and_leads_to_its_log(side: Side, failed: dict[str, Any], browser: Browser) -> None:
    assert (failed["state_type"], failed["parameters"]["mous"]) == ("FAILED", MOUS)
    assert REASON in failed["state"]["message"]
    page = artifact(browser, side, failed["id"], "failure")
    page.get_by_text(REASON).first.wait_for()
    link = page.get_by_role("link", name="open").first
    link.wait_for()
    keep(page, "failed-run-reason")
    answer = page.goto(str(link.get_attribute("href")))
    assert answer is not None
    assert answer.ok
    assert "Task applycal raised an exception of class RuntimeError" in answer.text()
    keep(page, "failed-run-log")


def test_what_failed_is_not_started_again_until_a_person_says_so(side: Side, failed: dict[str, Any]) -> None:
    (request,) = json.loads(side.environment.ppi("queue", "list", "--state", "failed", "--json").stdout)
    assert (request["state"], request["observation"], request["processing_id"]) == ("failed", MOUS, failed["id"])
    again = side.environment.ppi("sweep", "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["observations"] == []


def test_without_a_server_a_sweep_asks_and_starts_nothing(observatory: Observatory, tmp_path: Path) -> None:
    alone = Environment("alone-test", tmp_path / "capo", tmp_path / "area", tmp_path)
    own = {"metadata_url": observatory.database_url, "ngas_servers": "127.0.0.1:9", "sweep_since": "2000-01-01"}
    alone.write(own)
    assert f"{MOUS} │ 2017.1.00886.L │ asked for" in alone.ppi("sweep", "--dry-run").stdout
    done = alone.ppi("sweep", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [(row["observation"], row["what"]) for row in told["observations"]] == [(MOUS, "asked for")]
    assert told["counts"]["of these restorable"] == 1
    assert "nothing is started: alone-test names no Prefect server" in done.stderr


def test_what_became_public_long_ago_is_left_to_people_until_they_ask_for_a_time(
    observatory: Observatory, tmp_path: Path
) -> None:
    alone = Environment("left-test", tmp_path / "capo", tmp_path / "area", tmp_path)
    alone.write({"metadata_url": observatory.database_url, "ngas_servers": "127.0.0.1:9"})
    told = json.loads(alone.ppi("sweep", "--json").stdout)
    assert (told["counts"]["left to people"], told["observations"]) == (1, [])
    told = json.loads(alone.ppi("sweep", "--json", "--since", "2019-01-01", "--until", "2020-01-01").stdout)
    assert [row["observation"] for row in told["observations"]] == [MOUS]
    refused = alone.ppi("sweep", "--until", "2020-01-01")
    assert refused.returncode == Refused.exit_code
    assert "it has an end and no beginning" in refused.stderr

"""Two environments side by side: each run stays in its own, nothing is fetched twice, no secret is left behind."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from browser import browsing, keep, open_deployment, page_of, quick_run
from environments import MOUS
from playwright.sync_api import Browser, Page
from sides import OTHER, SECRETS, TEST, Side, prefect, served

from deployments.local.ngas_server import requests_of
from deployments.local.observatory.build import Observatory

RESTORED = "restore X1284_X265f"


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory, observatory: Observatory) -> Iterator[tuple[Side, Side]]:
    with served(tmp_path_factory.mktemp("sides"), observatory) as both:
        yield both


@pytest.fixture(scope="module")
def by_command(sides: tuple[Side, Side]) -> Side:
    """`dsoc-test`, where Prefect's own command has run the restore."""
    side, _ = sides
    ended = prefect(side, "deployment", "run", f"restore-ous/{side.name}", "-p", f"mous={MOUS}", "--watch")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return side


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as browser:
        yield browser


@pytest.fixture(scope="module")
def by_click(sides: tuple[Side, Side], by_command: Side, browser: Browser) -> tuple[Side, Page]:
    """`naasc-test`, where somebody has pressed Quick run, and the page of that run."""
    _, side = sides
    page = page_of(browser)
    open_deployment(page, side.ui, side.name)
    form = quick_run(page)
    form.get_by_role("textbox").first.fill(MOUS)
    keep(page, "form")
    form.get_by_role("button", name="Run", exact=True).click()
    page.get_by_role("link", name=RESTORED).first.click()
    page.wait_for_url("**/runs/flow-run/**")
    record = side.runs.ended(page.url.rpartition("/")[2].partition("?")[0])
    assert record["state_type"] == "COMPLETED", record["state"]
    return side, page


def test_a_deployment_restores_when_prefects_command_runs_it(by_command: Side) -> None:
    restored = by_command.environment.restored()
    assert (restored["profile"], restored["verdict"]["outcome"]) == (TEST, "success")
    assert all(block["proof"]["reference"] == "equal" for block in restored["blocks"])


def test_a_deployment_restores_when_quick_run_is_pressed(by_click: tuple[Side, Page]) -> None:
    side, _ = by_click
    restored = side.environment.restored()
    assert (restored["profile"], restored["verdict"]["outcome"]) == (OTHER, "success")


def test_the_form_explains_itself_and_offers_procedures(sides: tuple[Side, Side], browser: Browser) -> None:
    page = page_of(browser)
    open_deployment(page, sides[1].ui, OTHER)
    form = quick_run(page)
    text = form.inner_text()
    for words in ("uid://A001/X1284/X265f", "hifa_image", "naasc-test", "Do it anew"):
        assert words in text
    form.get_by_role("button", name="hifa_restore").press("ArrowDown")
    page.locator(".p-select-option__text", has_text="hifa_image").wait_for()
    keep(page, "procedures")


def test_a_deployment_is_described_and_tagged(sides: tuple[Side, Side], browser: Browser) -> None:
    page = page_of(browser)
    open_deployment(page, sides[1].ui, OTHER)
    for tag in ("naasc", "test"):
        page.get_by_text(tag, exact=True).first.wait_for()
    page.get_by_text("Description", exact=True).click()
    page.get_by_text("Restores an ALMA observation").wait_for()
    keep(page, "description")


def test_the_run_links_its_report_which_a_browser_opens(by_click: tuple[Side, Page]) -> None:
    side, page = by_click
    page.get_by_text("Artifacts", exact=True).last.click()
    page.get_by_role("link", name=f"{side.reports}/").first.wait_for()
    keep(page, "artifacts")
    page.get_by_role("link", name=f"{side.reports}/").first.click()
    link = page.get_by_role("link", name=f"Report of {MOUS}").first
    answer = page.goto(str(link.get_attribute("href")))
    assert answer is not None
    assert answer.ok
    page.get_by_text(MOUS).first.wait_for()
    keep(page, "report")


def test_a_server_with_a_password_shows_nothing_without_it(by_command: Side, browser: Browser) -> None:
    page = page_of(browser)
    page.goto(f"{by_command.ui}/deployments")
    page.get_by_role("textbox").or_(page.locator("input[type=password]")).first.fill(by_command.login)
    assert RESTORED not in page.content()
    keep(page, "login")
    page.keyboard.press("Enter")
    open_deployment(page, by_command.ui, TEST)
    page.get_by_role("link", name=RESTORED).first.wait_for()


def test_nothing_of_one_environment_is_in_the_other(
    sides: tuple[Side, Side], by_command: Side, by_click: tuple[Side, Page]
) -> None:
    for own, other in (sides, sides[::-1]):
        runs = own.runs.records.ask("flow_runs")
        assert {run["parameters"]["profile"] for run in runs} == {own.name}
        assert {each["name"] for each in own.runs.records.ask("deployments")} == {own.name}
        assert {each["name"] for each in own.runs.records.ask("work_pools")} == {own.name}
        history = json.loads(own.environment.ppi("history", "--json").stdout)
        assert {each["profile"] for each in history} == {own.name}
        assert {each["flow_run"] for each in history} <= {run["id"] for run in runs}
        assert _files_with(own.environment.area.parent, other.name) == []
        assert _files_with(own.environment.area.parent, str(other.environment.area)) == []


def test_what_both_need_is_fetched_once(sides: tuple[Side, Side], by_click: tuple[Side, Page]) -> None:
    fetched = [request["file_id"] for request in requests_of(sides[0].environment.archive, "RETRIEVE")]
    assert fetched
    assert len(fetched) == len(set(fetched))


def test_no_secret_is_left_behind(sides: tuple[Side, Side], by_command: Side, by_click: tuple[Side, Page]) -> None:
    environment, records = by_command.environment, by_command.runs.records
    shown = environment.ppi("profile", "show").stdout
    assert "ppi.prefect.password" in shown
    told = [records.ask(what) for what in ("flow_runs", "task_runs", "logs", "artifacts", "deployments", "events")]
    documents = records.ask("block_documents")
    assert documents
    for key, secret in SECRETS.items():
        for text in (shown, json.dumps(told), json.dumps(documents)):
            assert secret not in text, key
        for side in sides:
            assert _files_with(side.environment.area.parent, secret) == [], key


def test_the_servers_keep_their_runs_where_their_profiles_say(sides: tuple[Side, Side], by_click: object) -> None:
    test, other = sides
    assert _sqlite(test.environment.area.parent) == []
    assert any(_runs_in(path) for path in _sqlite(other.environment.area.parent))


def _files_with(folder: Path, words: str) -> list[str]:
    """Return the files that have some words in them; what PostgreSQL keeps is searched too."""
    wanted = words.encode()
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return [str(path.relative_to(folder)) for path in files if wanted in path.read_bytes()]


def _sqlite(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*.db") if path.name.startswith("prefect") and _runs_in(path)]


def _runs_in(path: Path) -> int:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        try:
            return int(database.execute("SELECT count(*) FROM flow_run").fetchone()[0])
        except sqlite3.OperationalError:
            return 0

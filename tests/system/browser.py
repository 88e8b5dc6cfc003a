"""A real browser without a screen, and a person's way through Prefect's pages in it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, sync_playwright

SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
"""Where a test run leaves what it saw."""
_QUIET = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
          "--disable-component-update", "--disable-sync")  # fmt: skip


@contextmanager
def browsing() -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.fail("Chromium is needed here: install the system's package `chromium`")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(_QUIET))
        try:
            yield browser
        finally:
            browser.close()


def page_of(browser: Browser) -> Page:
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.set_default_timeout(30_000)
    return page


def keep(page: Page, name: str) -> Path:
    """Keep what is seen now."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    path = SCREENSHOTS / f"{name}.png"
    page.screenshot(path=path)
    return path


def open_deployment(page: Page, ui: str, name: str, flow: str = "restore-ous") -> None:
    """Go to the deployment of a flow: all of an environment have its name."""
    page.goto(f"{ui}/deployments")
    of_flow = page.get_by_role("row").filter(has=page.get_by_role("link", name=flow, exact=True))
    of_flow.get_by_role("link", name=name, exact=True).first.click()
    page.wait_for_url("**/deployment/**")


def quick_run(page: Page) -> Locator:
    """Press Run, then Quick run; return the form that asks for what is missing."""
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_text("Quick run").click()
    form = page.get_by_role("dialog")
    form.get_by_text("Parameters", exact=True).wait_for()
    return form

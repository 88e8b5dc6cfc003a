"""Reports and logs of jobs are shown to browsers, and nothing else that lies beside or around them."""

from __future__ import annotations

import asyncio
import base64
import os
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette

from deployments.serve import report_pages
from deployments.serve.report_pages import application

MOUS = "MOUS_uid___A001_X1284_X265f"
REPORT = f"/2017.1.00886.L/{MOUS}/qa/report.html"
CREW = "process-4f2a"
LOG = f"/jobs/{CREW}/w-1.err"
WORKING = "2017.1.00886.L_2026_11_21/SOUS_a/GOUS_b/MOUS_c/working"
CASA_LOGS = tuple(f"{WORKING}/{name}" for name in ("casa.log", "attempts/x.1/stderr.txt", "uid___A/casa-1.log"))
SECRET = b"not for browsers"


@pytest.fixture
def deliveries(tmp_path: Path) -> Path:
    folder = tmp_path / "area" / "delivered" / "2017.1.00886.L" / MOUS
    (folder / "qa").mkdir(parents=True)
    (folder / "calibrated").mkdir()
    (folder / "qa" / "report.html").write_text("<h1>success</h1>")
    (folder / "qa" / "before.png").write_bytes(b"a picture")
    for hidden in (
        "qa/.draft.html",
        "provenance.json",
        "calibrated/table.dat",
        "../index.html",
        "../../../catalog.db",
    ):
        (folder / hidden).write_bytes(SECRET)
    crew = logs_of(tmp_path / "area" / "delivered") / CREW
    (crew / "tls").mkdir(parents=True)
    (crew / "w-1.err").write_text("Traceback <script>\n")
    for hidden in ("crew.json", ".w-1.err", "tls/key.pem", "tls/w.log", "../w.log", "../../w.log"):
        (crew / hidden).write_bytes(SECRET)
    for name in CASA_LOGS:
        path = tmp_path / "area" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("SEVERE <script>\n")
    for hidden in ("x.ms", ".casa.log", "attempts/x.1/ppr.log", "attempts/x.1/deep/casa.log", "../casa.log"):
        path = tmp_path / "area" / WORKING / hidden
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(SECRET)
    return tmp_path / "area" / "delivered"


def logs_of(deliveries: Path) -> Path:
    """Return where the logs are, in the area beside the deliveries."""
    return deliveries.parent / "jobs"


@dataclass(frozen=True)
class Browser:
    """Asks the application, without a network between."""

    application: Starlette

    def request(self, method: str, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.application)
            async with httpx.AsyncClient(transport=transport, base_url="http://reports") as client:
                return await client.request(method, path, headers=headers)

        return asyncio.run(ask())

    def get(self, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
        return self.request("GET", path, headers)


def client(deliveries: Path, **options: str) -> Browser:
    return Browser(application("site-test", deliveries, logs_of(deliveries), **options))


def test_a_report_and_its_pictures_are_shown_but_run_no_script(deliveries: Path) -> None:
    answer = client(deliveries).get(REPORT)
    assert (answer.status_code, answer.text) == (200, "<h1>success</h1>")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; img-src 'self'")
    assert answer.headers["x-content-type-options"] == "nosniff"
    picture = client(deliveries).get(REPORT.replace("report.html", "before.png"))
    assert (picture.content, picture.headers["content-type"]) == (b"a picture", "image/png")


def test_a_log_of_a_job_is_shown_as_the_text_that_it_is(deliveries: Path) -> None:
    answer = client(deliveries).get(LOG)
    assert (answer.status_code, answer.text) == (200, "Traceback <script>\n")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")


@pytest.mark.parametrize("log", CASA_LOGS)
def test_what_casa_said_in_an_attempt_is_shown_and_nothing_else_of_it(deliveries: Path, log: str) -> None:
    answer = client(deliveries).get(f"/attempts/{log}")
    assert (answer.status_code, answer.text) == (200, "SEVERE <script>\n")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    (deliveries.parent / log).unlink()
    (deliveries.parent / log).symlink_to(deliveries.parent / WORKING / "x.ms")
    assert client(deliveries).get(f"/attempts/{log}").status_code == 404
    others = ("x.ms", ".casa.log", "attempts/x.1/ppr.log", "attempts/x.1/deep/casa.log", "../casa.log")
    paths = [f"{WORKING}/{each}" for each in others] + ["../catalog.db", "jobs/w.log", f"../area/{CASA_LOGS[1]}"]
    for path in [*paths, *(each.replace("/", "%2F").replace("..", "%2E%2E") for each in paths)]:
        told = client(deliveries).get(f"/attempts/{path}")
        assert (told.status_code, SECRET in told.content) == (404, False)
    assert client(deliveries, login="ppi:word").get(f"/attempts/{CASA_LOGS[0]}").status_code == 401


def test_of_a_long_log_the_end_is_shown(deliveries: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_pages, "_MOST_OF_A_LOG", 8)
    assert client(deliveries).get(LOG).text == "<script>\n"[-8:]


def test_it_says_whose_reports_it_has(deliveries: Path) -> None:
    assert client(deliveries).get("/health").text == "the reports of site-test"


def test_it_may_stand_below_a_path(deliveries: Path) -> None:
    assert client(deliveries, base="/reports").get(f"/reports{REPORT}").status_code == 200
    assert client(deliveries, base="/reports").get(REPORT).status_code == 404
    assert client(deliveries, base="/reports").get(f"/reports{LOG}").status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_it_takes_nothing(deliveries: Path, method: str) -> None:
    assert client(deliveries).request(method, REPORT).status_code == 405
    assert client(deliveries).request(method, LOG).status_code == 405


@pytest.mark.parametrize(
    "path",
    [
        "/", "/2017.1.00886.L", "/2017.1.00886.L/", f"/2017.1.00886.L/{MOUS}/qa", f"/2017.1.00886.L/{MOUS}/qa/",
        f"/2017.1.00886.L/{MOUS}/provenance.json", f"/2017.1.00886.L/{MOUS}/calibrated/table.dat",
        f"/2017.1.00886.L/{MOUS}/qa/.draft.html", f"/2017.1.00886.L/{MOUS}/qa/%2e%2e%2fprovenance.json",
        f"/2017.1.00886.L/{MOUS}/qa/none.html", "/2017.1.00886.L/index.html", f"/%2e%2e/{MOUS}/qa/report.html",
        "/jobs", "/jobs/", f"/jobs/{CREW}", f"/jobs/{CREW}/", f"/jobs/{CREW}/crew.json", f"/jobs/{CREW}/.w-1.err",
        f"/jobs/{CREW}/tls/key.pem", f"/jobs/{CREW}/tls/w.log", f"/jobs/{CREW}/tls%2fw.log", "/jobs/w.log",
        f"/jobs/{CREW}/..%2fw.log", "/jobs/%2e%2e/w.log", f"/jobs/{CREW}/%00.log", "/jobs/MOUS_x/qa/w.log",
        "/2017.1.00886.L/MOUS_%00/qa/report.html", f"/2017.1.00886.L/{'MOUS_' + 'x' * 300}/qa/report.html",
    ],
)  # fmt: skip
def test_nothing_else_is_shown(deliveries: Path, path: str) -> None:
    answer = client(deliveries).get(path)
    assert answer.status_code == 404
    assert SECRET not in answer.content


STEPS = st.sampled_from(
    [
        "..",
        ".",
        "",
        "qa",
        MOUS,
        "2017.1.00886.L",
        "provenance.json",
        "catalog.db",
        "%2e%2e",
        "\0",
        "jobs",
        CREW,
        "tls",
        "w.log",
        "key.pem",
        "crew.json",
    ]
)
PARTS = st.lists(STEPS | st.text(max_size=8), max_size=7)


@given(parts=PARTS, separator=st.sampled_from(["/", "%2f", "//", "\\"]))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_path_leads_elsewhere(deliveries: Path, parts: list[str], separator: str) -> None:
    path = "/" + separator.join(
        part.encode("utf-8", "ignore").hex("%") if "\0" in part else part for part in parts
    )
    scope = {"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b""}
    told: list[bytes] = []
    _ask(deliveries, scope, told)
    assert SECRET not in b"".join(told)


def _ask(deliveries: Path, scope: dict[str, object], told: list[bytes]) -> None:
    """Ask the application itself: a client would tidy the path up."""

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b""}

    async def send(message: dict[str, object]) -> None:
        told.append(bytes(message.get("body", b"")))  # type: ignore[arg-type]

    asyncio.run(application("site-test", deliveries, logs_of(deliveries))(scope, receive, send))  # type: ignore[arg-type]


@pytest.mark.parametrize("linked", ["file", "qa", "mous", "project", "pipe", "folder"])
def test_links_and_what_is_no_file_are_not_followed(deliveries: Path, linked: str) -> None:
    folder = deliveries / "2017.1.00886.L" / MOUS
    path, report = (
        "/2017.1.00886.L/MOUS_x/qa/report.html",
        deliveries / "2017.1.00886.L" / "MOUS_x" / "qa" / "report.html",
    )
    if linked == "mous":
        (deliveries / "2017.1.00886.L" / "MOUS_x").symlink_to(folder)
    elif linked == "project":
        (deliveries / "other").symlink_to(folder.parent)
        path = f"/other/{MOUS}/qa/report.html"
    elif linked == "qa":
        report.parents[1].mkdir()
        report.parent.symlink_to(folder / "qa")
    else:
        report.parent.mkdir(parents=True)
        if linked == "file":
            report.symlink_to(folder / "provenance.json")
        elif linked == "pipe":
            os.mkfifo(report)
        else:
            report.mkdir()
    assert client(deliveries).get(path).status_code == 404


@pytest.mark.parametrize("linked", ["file", "crew", "pipe", "folder"])
def test_logs_that_are_links_or_no_files_are_not_followed(deliveries: Path, linked: str) -> None:
    logs, log = logs_of(deliveries), logs_of(deliveries) / CREW / "w-2.log"
    path = f"/jobs/{CREW}/w-2.log"
    if linked == "file":
        log.symlink_to(logs / CREW / "w-1.err")
    elif linked == "crew":
        (logs / "other").symlink_to(logs / CREW)
        path = "/jobs/other/w-1.err"
    elif linked == "pipe":
        os.mkfifo(log)
    else:
        log.mkdir()
    assert client(deliveries).get(path).status_code == 404


def test_where_there_is_nothing_yet(tmp_path: Path) -> None:
    assert client(tmp_path / "none").get(REPORT).status_code == 404
    assert client(tmp_path / "none").get(LOG).status_code == 404


def signed(login: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}


@pytest.mark.parametrize("path", [REPORT, LOG])
def test_with_a_login_only_who_has_it_sees_anything(deliveries: Path, path: str) -> None:
    guarded = client(deliveries, login="ppi:s3crét")
    asked = guarded.get(path)
    assert (asked.status_code, asked.headers["www-authenticate"]) == (401, 'Basic realm="PPI reports"')
    for wrong in ("ppi:", "ppi:s3cret", ":", "other:s3crét"):
        assert guarded.get(path, headers=signed(wrong)).status_code == 401
    assert guarded.get(path, headers=signed("ppi:s3crét")).status_code == 200
    assert guarded.get("/health").status_code == 200

"""`ppi serve`: it starts what is not up, says where, ends it all however it ends itself, and dies with a part."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import psutil
import psycopg
import pytest
from environments import MOUS, Environment
from ports import free_port
from prefect_records import Records
from serving import Runs

from deployments import postgresql
from deployments.local.observatory.build import Observatory

LOGIN, SERVER_SECRET, CATALOG_SECRET = "ppi:pl4nted-login", "pl4nted:server/@?", "pl4nted-catalog"
SECRETS = ("pl4nted-login", SERVER_SECRET, CATALOG_SECRET)
PATIENCE = 300
RESTORE = "restore-ous/local"
LOCAL_REPORT = "/2017.1.00886.L/MOUS_uid___A001_X1284_X265f/qa/report.html"


@dataclass(frozen=True)
class Site:
    """An environment on this host alone: private PostgreSQL, a server behind a password, reports, a worker."""

    environment: Environment
    database: int
    api: str
    reports: str


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)
    return condition()


def answer(url: str, login: str = "", data: bytes | None = None) -> tuple[int, str] | None:
    """Ask as a stranger would, or as who has a login; None where nobody answers."""
    signed = {"Authorization": f"Basic {b64encode(login.encode()).decode()}"} if login else {}
    headers = {"Content-Type": "application/json", **signed}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=10) as told:  # noqa: S310
            return told.status, told.read().decode(errors="replace")
    except HTTPError as error:
        return error.code, ""
    except OSError:
        return None


def processes(area: Path) -> list[psutil.Process]:
    """Return what runs for an area: it inherits a mark from `ppi serve`, or, as CASA, is told where to work."""
    return [process for process in psutil.process_iter() if _is_of(process, area)]


def _is_of(process: psutil.Process, area: Path) -> bool:
    with contextlib.suppress(psutil.Error):
        named = process.environ().get("MARK") == str(area) or str(area) in " ".join(process.cmdline())
        return named and process.status() != psutil.STATUS_ZOMBIE
    return False


def commands(area: Path) -> list[str]:
    found = []
    for process in processes(area):
        with contextlib.suppress(psutil.Error):
            found.append(" ".join(process.cmdline()))
    return found


@contextlib.contextmanager
def serving(environment: Environment, *arguments: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        environment.command("serve", "--json", *arguments),
        env=environment.variables | {"MARK": str(environment.area)} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def up(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Wait for what a `ppi serve` says when all is up."""
    assert process.stdout
    lines: list[str] = []
    while not lines or lines[-1] != "}\n":
        if not (line := process.stdout.readline()):
            pytest.fail(f"it ended with {process.wait()}: {process.communicate()[1]}")
        lines.append(line)
    told: dict[str, Any] = json.loads("".join(lines))
    return told


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    database, prefect, reports = free_port(), free_port(), free_port()
    made = Environment("site-test", folder / "capo", folder / "area", folder)
    url = f"postgresql+psycopg://127.0.0.1:{database}"
    properties = {
        "prefect.apiUrl": f"http://127.0.0.1:{prefect}/api",
        "prefect.username": LOGIN.partition(":")[0],
        "prefect.password": LOGIN.partition(":")[2],
        "prefect.database.url": f"{url}/prefect_site_test",
        "prefect.database.username": "prefect",
        "prefect.database.password": SERVER_SECRET,
        "catalog.url": f"{url}/site_test",
        "catalog.username": "catalog",
        "catalog.password": CATALOG_SECRET,
        "reports.url": f"http://127.0.0.1:{reports}/reports",
        "processing.rootDirectory": str(made.area),
        "metadata.url": "sqlite:////nowhere.db",
        "ngas.servers": "127.0.0.1:1",
    }
    made.capo.mkdir()
    (made.capo / "site-test.properties").write_text("".join(f"ppi.{k} = {v}\n" for k, v in properties.items()))
    yield Site(made, database, properties["prefect.apiUrl"], properties["reports.url"])
    shutil.rmtree(postgresql.home_for(made.area, database), ignore_errors=True)


@pytest.fixture(scope="module")
def served(site: Site) -> Iterator[dict[str, Any]]:
    """What it says when all is up; at last it is told to end, and does so in order."""
    with serving(site.environment) as process:
        yield up(process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert within(5, lambda: not processes(site.environment.area))


def test_it_says_what_it_started_and_where_the_pages_are(site: Site, served: dict[str, Any]) -> None:
    assert [(each["part"], each["state"]) for each in served["parts"]] == [
        (part, "started") for part in ("database", "server", "reports", "worker")
    ]
    assert served["parts"][1]["where"] == site.api.removesuffix("/api")
    assert served["parts"][2]["where"] == site.reports
    assert answer(site.api.removesuffix("/api")) is not None


def test_the_server_lets_in_who_has_the_login_and_no_foreign_page(site: Site, served: dict[str, Any]) -> None:
    asked = f"{site.api}/admin/version"
    assert answer(asked) == (HTTPStatus.UNAUTHORIZED, "")
    assert answer(asked, "ppi:wrong") == (HTTPStatus.UNAUTHORIZED, "")
    assert (answer(asked, LOGIN) or (0, ""))[0] == HTTPStatus.OK
    assert answer(f"{site.api}/flows/filter", LOGIN, b"{}") == (HTTPStatus.FORBIDDEN, "")
    assert len(Records(site.api, LOGIN).ask("flows")) > 0


def test_the_reports_are_behind_the_same_login(site: Site, served: dict[str, Any]) -> None:
    assert answer(f"{site.reports}/health") == (HTTPStatus.OK, "the reports of site-test")
    assert answer(f"{site.reports}{LOCAL_REPORT}") == (HTTPStatus.UNAUTHORIZED, "")
    assert answer(f"{site.reports}{LOCAL_REPORT}", LOGIN) == (HTTPStatus.NOT_FOUND, "")


def tables(site: Site, database: str, user: str, password: str) -> set[str]:
    with psycopg.connect(
        host="127.0.0.1", port=site.database, dbname=database, user=user, password=password
    ) as connection:
        named = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return {row[0] for row in named}


def test_each_account_owns_its_database_and_sees_no_other(site: Site, served: dict[str, Any]) -> None:
    assert {"flow_run", "block_document"} <= tables(site, "prefect_site_test", "prefect", SERVER_SECRET)
    assert "execution" in tables(site, "site_test", "catalog", CATALOG_SECRET)
    assert not list(site.environment.area.rglob("*.db"))
    with pytest.raises(psycopg.OperationalError):
        tables(site, "site_test", "catalog", SERVER_SECRET)


def test_what_is_up_is_not_started_again(site: Site, served: dict[str, Any]) -> None:
    before = {process.pid for process in processes(site.environment.area)}
    again = site.environment.ppi("serve", "--json")
    assert again.returncode == 0, again.stderr
    assert {each["state"] for each in json.loads(again.stdout)["parts"]} == {"up already"}
    assert {process.pid for process in processes(site.environment.area)} == before
    said = site.environment.ppi("serve", "worker")
    assert "Everything was up already." in said.stdout


def test_a_check_finds_a_worker(site: Site, served: dict[str, Any]) -> None:
    checked = site.environment.ppi("profile", "check", "--json")
    found = {each["what"]: each for each in json.loads(checked.stdout)["findings"]}
    assert {found[what]["state"] for what in ("Prefect server", "work pool", "worker", "catalog")} == {"ok"}
    assert found["worker"]["why"] == f"site-test@{os.uname().nodename}"


def test_no_secret_is_in_an_argument_or_a_log(site: Site, served: dict[str, Any]) -> None:
    running = commands(site.environment.area)
    assert len(running) >= 8
    assert not [line for line in running if any(secret in line for secret in SECRETS)]
    files = [path for path in site.environment.area.rglob("*") if path.is_file() and "/ui/" not in str(path)]
    assert any(path.name == "server.log" for path in files)
    assert not [path for path in files if any(secret.encode() in path.read_bytes() for secret in SECRETS)]
    modes = {
        path: path.stat().st_mode & 0o077 for path in (site.environment.area, *site.environment.area.iterdir())
    }
    assert not [path for path, mode in modes.items() if mode and path.is_dir()]


def test_a_part_that_dies_ends_all_and_is_named(site: Site, served: object) -> None:
    """Of a second environment, beside the first."""
    second = _second(site)
    with serving(second) as process:
        assert [each["state"] for each in up(process)["parts"]] == ["started", "started", "started"]
        (worker,) = [each for each in processes(second.area) if each.cmdline()[1:4] == ["-m", "prefect", "worker"]]
        worker.kill()
        assert process.wait(60) == 6
        said = process.communicate()[1]
    assert "worker of profile site-second: it ended with status 137" in said
    assert "worker.log" in said
    assert within(5, lambda: not processes(second.area))
    assert "pl4nted" not in said


def _second(site: Site) -> Environment:
    folder = site.environment.area.parent / "second"
    folder.mkdir()
    text = (site.environment.capo / "site-test.properties").read_text()
    api, reports = f"http://127.0.0.1:{free_port()}/api", f"http://127.0.0.1:{free_port()}"
    changed = {site.api: api, site.reports: reports, str(site.environment.area): str(folder / "area")}
    for old, new in changed.items():
        text = text.replace(old, new)
    lines = [line for line in text.splitlines() if "prefect.database" not in line and "catalog." not in line]
    (site.environment.capo / "site-second.properties").write_text("\n".join(lines))
    return Environment("site-second", site.environment.capo, folder / "area", folder)


@dataclass(frozen=True)
class Local:
    """The embedded environment, served for all commands that use it."""

    environment: Environment
    home: Path
    port: int

    def ppi(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.environment.command(*arguments),
            env=self.variables,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    @property
    def runs(self) -> Runs:
        return Runs(self.api)

    def flow_runs(self) -> list[dict[str, Any]]:
        """Return the runs that somebody started, and their stages."""
        found: list[dict[str, Any]] = self.runs.ask("POST", "flow_runs/filter")
        return [run for run in found if not run["auto_scheduled"]]

    @property
    def variables(self) -> dict[str, str]:
        return self.environment.variables | {"PPI_HOME": str(self.home)}


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory, observatory: Observatory) -> Local:
    home = tmp_path_factory.mktemp("embedded")
    (home / "observatories").symlink_to(observatory.archive_root.parents[1])
    return Local(Environment("local", home / "capo", home / "area", home), home, _two_free_ports())


def _two_free_ports() -> int:
    while True:
        port = free_port()
        with contextlib.suppress(OSError), socket_at(port + 1):
            return port


@contextlib.contextmanager
def socket_at(port: int) -> Iterator[None]:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        probe.listen()
        yield


def test_the_embedded_environment_is_served_for_other_commands_and_killed_leaves_nothing(local: Local) -> None:
    with serving(local.environment, "--port", str(local.port), PPI_HOME=str(local.home)) as process:
        assert [each["part"] for each in up(process)["parts"]] == ["server", "reports", "worker"]
        twice = local.ppi("serve")
        assert (twice.returncode, "it is served already" in twice.stderr) == (5, True)
        _restore_on_the_worker(local)
        _restore_by_command(local)
        local.runs.start(RESTORE, mous=MOUS, again=True)
        assert within(60, lambda: any("_supervisor" in line for line in commands(local.environment.area)))
    assert within(60, lambda: not processes(local.environment.area))
    assert local.ppi("status").returncode == 0, "without the one that served, a command serves itself again"
    _start_anew(local)


def _restore_on_the_worker(local: Local) -> None:
    run = local.runs.start(RESTORE, mous=MOUS)
    assert local.runs.ended(run)["state_type"] == "COMPLETED"
    shown = local.runs.records.artifacts(local.runs.records.flow_runs(run))
    page = f"http://127.0.0.1:{local.port + 1}{LOCAL_REPORT}"
    assert shown["report"]["data"] == f"[Report of {MOUS}]({page})"
    assert f"[Open the report](<{page}>)" in shown["restore"]["data"]
    assert (answer(page) or (0, ""))[0] == HTTPStatus.OK


def _restore_by_command(local: Local) -> None:
    """What a command restores is seen on the server that is served."""
    before = len(local.flow_runs())
    done = local.ppi("restore", MOUS, "--json")
    assert done.returncode == 0, done.stderr
    assert len(local.flow_runs()) > before


def _start_anew(local: Local) -> None:
    """The run that was killed with its worker is told to have crashed, so that it blocks nothing."""
    with serving(local.environment, "--port", str(local.port), PPI_HOME=str(local.home)) as process:
        up(process)
        assert {run["state_type"] for run in local.flow_runs()} == {"COMPLETED", "CRASHED"}
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0


def test_a_port_that_is_taken_is_told_before_anything_starts(local: Local) -> None:
    with socket_at(local.port + 1):
        refused = local.ppi("serve", "--port", str(local.port))
    assert refused.returncode == 3
    assert f"port {local.port + 1}" in refused.stderr
    assert "--port" in refused.stderr


def test_other_profiles_say_their_port_themselves(site: Site) -> None:
    refused = site.environment.ppi("serve", "--port", "4200")
    assert (refused.returncode, "ppi.prefect.apiUrl" in refused.stderr) == (3, True)


def test_a_part_of_another_host_is_not_started_here(site: Site) -> None:
    file = site.environment.capo / "site-away.properties"
    text = (site.environment.capo / "site-test.properties").read_text()
    file.write_text(text.replace(site.api, "http://192.0.2.1:4200/api"))
    away = Environment("site-away", site.environment.capo, site.environment.area.parent / "away", file.parent)
    refused = away.ppi("serve", "server")
    assert refused.returncode == 3
    assert "that is not on this host. Next: serve it there" in refused.stderr

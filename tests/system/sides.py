"""Two environments as two operators serve them on one host: nothing is shared but the archive and the store."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

from environments import Environment, own_archive
from ports import free_port
from serving import Runs

from blocks.profile import Profile
from deployments import postgresql
from deployments.local.ngas_server import serving
from deployments.local.observatory.build import Observatory

TEST, OTHER = "dsoc-test", "naasc-test"
SECRETS = {
    "prefect_password": "pl4nted-prefect-secret",
    "prefect_database_password": "pl4nted-server-secret",
    "catalog_password": "pl4nted-catalog-secret",
    "ngas_password": "pl4nted-ngas-secret",
    "broker_password": "pl4nted-broker-secret",
}
_PATIENCE = 240


@dataclass(frozen=True)
class Side:
    """An environment that is served: its Prefect server, and where its reports are."""

    environment: Environment
    api: str
    reports: str
    login: str = ""

    @property
    def name(self) -> str:
        return self.environment.name

    @property
    def ui(self) -> str:
        return self.api.removesuffix("/api")

    @cached_property
    def runs(self) -> Runs:
        return Runs(self.api, self.login)

    @property
    def variables(self) -> dict[str, str]:
        """What somebody has in the shell who uses Prefect's own command with this environment."""
        login = {"PREFECT_API_AUTH_STRING": self.login} if self.login else {}
        home = {"PREFECT_HOME": str(self.environment.area.parent / f"home-{self.name}"), "DO_NOT_TRACK": "1"}
        return {**self.environment.variables, **home, **login, "PREFECT_API_URL": self.api}


@contextmanager
def served(folder: Path, observatory: Observatory) -> Iterator[tuple[Side, Side]]:
    """Serve `dsoc-test`, on PostgreSQL and behind a password, and `naasc-test`, on SQLite."""
    archive = own_archive(observatory, folder / "ngas")
    with serving(archive) as address, ExitStack() as stack:
        shared = {
            "metadata_url": observatory.database_url,
            "ngas_servers": address,
            "ngas_username": "ppi",
            "ngas_password": SECRETS["ngas_password"],
            "processing_storeDirectory": str(folder / "store"),
        }
        sides = (_make(folder, archive, TEST, shared | _postgresql()), _make(folder, archive, OTHER, shared))
        for side in sides:
            stack.enter_context(_serve(side))
        yield sides
    _remove_databases(sides[0])


@contextmanager
def one_served(folder: Path, observatory: Observatory, name: str, **properties: str) -> Iterator[Side]:
    """Serve an environment of its own, on SQLite and without a password; `_` stands for the dots of a key."""
    archive = own_archive(observatory, folder / "ngas")
    with serving(archive) as address:
        own = {"metadata_url": observatory.database_url, "ngas_servers": address}
        side = _make(folder, archive, name, own | properties)
        with _serve(side):
            yield side


def _postgresql() -> dict[str, str]:
    """Return what `dsoc-test` has besides: databases that are made for it, and a password for its server."""
    server = f"postgresql+psycopg://127.0.0.1:{free_port()}"
    login = {"prefect_username": "operator", "prefect_database_username": "prefect", "catalog_username": "catalog"}
    broker = {"broker_url": f"amqp://127.0.0.1:{free_port()}/", "broker_username": "ppi"}
    named = {"prefect_database_url": f"{server}/prefect_dsoc_test", "catalog_url": f"{server}/catalog_dsoc_test"}
    return login | broker | named | SECRETS


def _remove_databases(side: Side) -> None:
    """Remove the private PostgreSQL, which lies outside of the test's folder where root has made it."""
    profile = Profile.load(side.name, str(side.environment.capo))
    port = urlsplit(str(profile.catalog.url)).port
    shutil.rmtree(postgresql.home_for(profile.processing.root_directory, int(port or 0)))


def _make(folder: Path, archive: Path, name: str, properties: dict[str, str]) -> Side:
    api, reports = f"http://127.0.0.1:{free_port()}/api", f"http://127.0.0.1:{free_port()}"
    site, _, kind = name.partition("-")
    own = {
        "profile_site": site.upper(),
        "profile_environment": kind,
        "prefect_apiUrl": api,
        "reports_url": reports,
        "processing_rootDirectory": str(folder / name / "area"),
    }
    environment = Environment(name, folder / "capo", folder / name / "area", archive)
    environment.area.parent.mkdir()
    environment.write({**properties, **own})
    password = properties.get("prefect_password")
    return Side(environment, api, reports, f"operator:{password}" if password else "")


@contextmanager
def _serve(side: Side) -> Iterator[None]:
    log = side.environment.area.parent / "serve.log"
    variables = {**side.environment.variables, "PREFECT_WORKER_QUERY_SECONDS": "1"}
    with log.open("wb") as stream:
        process = subprocess.Popen(
            side.environment.command("serve"), env=variables, stdout=stream, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
    try:
        _wait_for_worker(side, process, log)
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(90)


def _wait_for_worker(side: Side, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            if any(worker["status"] == "ONLINE" for worker in side.runs.ask("POST", _workers(side.name))):
                return
        except OSError:
            pass
        time.sleep(0.5)
    raise RuntimeError(f"{side.name} is not served:\n{log.read_text()}")


def _workers(name: str) -> str:
    return f"work_pools/{name}/workers/filter"


def prefect(side: Side, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Call Prefect's own command as a user of one environment."""
    program = Path(sys.executable).with_name("prefect")
    return subprocess.run(
        [program, *arguments], env=side.variables, capture_output=True, text=True, timeout=300, check=False
    )

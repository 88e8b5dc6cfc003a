"""A PostgreSQL of the tests' own: a private cluster on loopback that ends with them."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

USER = "ppi_reader"


@dataclass(frozen=True)
class Cluster:
    """A running server; its one account may do everything."""

    port: int
    password: str

    def url(self, database: str, login: str = "") -> str:
        return f"postgresql+psycopg://{login}127.0.0.1:{self.port}/{database}"

    def owner_url(self, database: str) -> str:
        return self.url(database, f"{USER}:{self.password}@")

    def execute(self, statement: str) -> None:
        parameters = f"host=127.0.0.1 port={self.port} user={USER} password={self.password} dbname=postgres"
        with psycopg.connect(parameters, autocommit=True, connect_timeout=2) as connection:
            connection.execute(statement.encode())


@contextmanager
def running() -> Iterator[Cluster]:
    """Make a cluster with a sorting order that is not the computer's, as an observatory's would be, and run it."""
    programs, account = _programs(), _account()
    with tempfile.TemporaryDirectory(prefix="ppi-postgresql-") as folder:
        home = Path(folder)
        password = secrets.token_urlsafe(24)
        (home / "password").write_text(password)
        for path in (home, home / "password"):
            if account:
                os.chown(path, account["user"], account["group"])
        subprocess.run(
            [programs / "initdb", "--pgdata", home / "data", "--username", USER, "--pwfile", home / "password",
             "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8", "--locale-provider", "icu",
             "--icu-locale", "en-US", "--no-sync"],
            cwd=home, check=True, stdout=subprocess.DEVNULL, **account,
        )  # fmt: skip
        with _serving(programs, home, account, password) as cluster:
            yield cluster


@contextmanager
def _serving(programs: Path, home: Path, account: dict[str, Any], password: str) -> Iterator[Cluster]:
    cluster = Cluster(_free_port(), password)
    settings = {
        "listen_addresses": "127.0.0.1", "port": str(cluster.port), "unix_socket_directories": "", "fsync": "off",
        "shared_buffers": "16MB", "max_connections": "20",
    }  # fmt: skip
    given = [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")]
    with (home / "log").open("wb") as log:
        server = subprocess.Popen(
            [programs / "postgres", "-D", home / "data", *given], cwd=home, stdout=log, stderr=log, **account
        )
        try:
            _wait(cluster, server, home / "log")
            yield cluster
        finally:
            server.terminate()
            server.wait(30)


def _programs() -> Path:
    """Return where the server's programs are: the newest version of Debian's, or those on PATH."""
    versions = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    found = shutil.which("initdb")
    if not versions and not found:
        pytest.fail("PostgreSQL's server is needed here: install the system's package `postgresql`")
    newest = max(versions, key=lambda path: float(path.parent.name), default=None)
    return newest or Path(found or "").resolve().parent


def _account() -> dict[str, Any]:
    """Return as whom to run it, since it refuses to be root's: as subprocess wants it."""
    if os.geteuid() != 0:
        return {}
    known = [entry for name in ("postgres", "nobody") for entry in pwd.getpwall() if entry.pw_name == name]
    return {"user": known[0].pw_uid, "group": known[0].pw_gid, "extra_groups": []}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(cluster: Cluster, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            cluster.execute("SELECT 1")
        except psycopg.OperationalError as error:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text()}") from error
            time.sleep(0.05)
        else:
            return

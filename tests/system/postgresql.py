"""A PostgreSQL of the tests' own: a private cluster on loopback that ends with them."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from ports import free_port

from deployments import postgresql

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
    own = postgresql.account()
    with tempfile.TemporaryDirectory(prefix="ppi-postgresql-") as folder:
        home = Path(folder)
        if own:
            os.chown(home, own["user"], own["group"])
        order = ("--locale-provider", "icu", "--icu-locale", "en-US")
        password = postgresql.initialise(home, USER, "--no-sync", *order)
        with _serving(home, own, password) as cluster:
            yield cluster


@contextmanager
def _serving(home: Path, own: dict[str, Any], password: str) -> Iterator[Cluster]:
    cluster = Cluster(free_port(), password)
    settings = {"fsync": "off", "shared_buffers": "16MB", "max_connections": "20"}
    command = postgresql.server_command(home / "data", cluster.port, **settings)
    with (home / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=home, stdout=log, stderr=log, **own)
        try:
            _wait(cluster, server, home / "log")
            yield cluster
        finally:
            server.terminate()
            server.wait(30)


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

"""What a benchmark needs beside it, in processes of their own, so that their work is nobody else's."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg

from deployments import postgresql
from deployments.lifeline import Command, keep

__all__ = ["postgresql_server", "prefect_server", "prefect_variables", "served"]

_USER = "ppi_bench"


@contextmanager
def served(root: Path) -> Iterator[str]:
    """Serve an archive's folder while the block runs; yields its `host:port`."""
    command = [sys.executable, "-m", "deployments.local.ngas_server", "--root", str(root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield next(iter(server.stdout or ())).strip()
        finally:
            server.terminate()


@contextmanager
def prefect_server(folder: Path) -> Iterator[str]:
    """Run a Prefect server that is alone in a new folder while the block runs; yields its API."""
    folder.mkdir()
    port = _free_port()
    start = ("-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port))
    variables = {"PATH": os.environ["PATH"], "HOME": str(folder), "PREFECT_HOME": str(folder), "DO_NOT_TRACK": "1"}
    server = keep(Command((sys.executable, *start), variables, folder), folder / "server.log")
    try:
        api = f"http://127.0.0.1:{port}/api"
        while not _answers(f"{api}/health"):
            if server.status() is not None:
                sys.exit((folder / "server.log").read_text())
            time.sleep(0.2)
        yield api
    finally:
        server.end()


@contextmanager
def postgresql_server() -> Iterator[str]:
    """Run a PostgreSQL cluster in a new folder while the block runs; yields how its databases' URLs begin."""
    own = postgresql.account()
    with tempfile.TemporaryDirectory(prefix="ppi-bench-") as folder:
        home, port = Path(folder), _free_port()
        if own:
            os.chown(home, own["user"], own["group"])
        password = postgresql.initialise(home, _USER, "--no-sync")
        settings = {"shared_buffers": "1GB", "max_wal_size": "8GB", "synchronous_commit": "off"}
        command = postgresql.server_command(home / "data", port, **settings)
        with (
            (home / "log").open("wb") as log,
            subprocess.Popen(command, cwd=home, stdout=log, stderr=log, **own) as server,
        ):
            try:
                _wait_for(f"host=127.0.0.1 port={port} user={_USER} password={password} dbname=postgres", server)
                yield f"postgresql+psycopg://{_USER}:{password}@127.0.0.1:{port}"
            finally:
                server.send_signal(signal.SIGINT)


def _wait_for(parameters: str, server: subprocess.Popen[bytes]) -> None:
    while True:
        try:
            psycopg.connect(parameters).close()
        except psycopg.OperationalError:
            if server.poll() is not None:
                sys.exit("PostgreSQL did not start")
            time.sleep(0.1)
        else:
            return


def prefect_variables(folder: Path, api: str) -> dict[str, str]:
    """Return the environment of a process that uses a server, and no other, and has its own files in a folder."""
    return {
        "PREFECT_HOME": str(folder),
        "PREFECT_API_URL": api,
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
        "DO_NOT_TRACK": "1",
    }


def _answers(url: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(url, timeout=2):  # noqa: S310
        return True
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

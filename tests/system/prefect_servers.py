"""Prefect servers of the system tests that can be killed, and that may have a database of their own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

_PATIENCE = 240.0


@dataclass
class Server:
    """A Prefect server that can be killed, and started again on the same port and database."""

    home: Path
    port: int
    database: str | None = None
    process: subprocess.Popen[bytes] | None = None

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    def start(self) -> None:
        given = {"PREFECT_SERVER_DATABASE_CONNECTION_URL": self.database} if self.database else {}
        variables = {
            "PREFECT_HOME": str(self.home),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(self.port)],
            env={"PATH": os.environ["PATH"], "HOME": str(self.home), **variables, **given},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + _PATIENCE
        while not self._is_well():
            assert time.monotonic() < deadline, f"the Prefect server at {self.api} did not start"
            time.sleep(0.1)

    def kill(self) -> None:
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def _is_well(self) -> bool:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.api}/admin/version", timeout=2):  # noqa: S310
            return True
        return False

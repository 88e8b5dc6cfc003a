"""The private Prefect server of a command whose profile names none: it ends with the command, whatever ends it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
from prefect.client.orchestration import get_client

from tasks import disk

__all__ = ["start_private_server"]

_REAPER = """
import os, signal, sys
sys.stdin.read()
for pid in sys.argv[1:]:
    try:
        os.kill(int(pid), signal.SIGTERM)
    except ProcessLookupError:
        pass
"""
"""Reads until the pipe ends, which it does when the command is gone, and then ends the server."""


def start_private_server() -> None:
    """Have Prefect start its server now, one command at a time, since each migrates the same database."""
    with disk.locked(Path(os.environ["PREFECT_HOME"]) / "lock", wait=True):
        get_client(sync_client=True)
    _end_with_us([child.pid for child in psutil.Process().children() if "uvicorn" in child.cmdline()])


def _end_with_us(pids: list[int]) -> None:
    """Leave the writing end of a pipe open for as long as this process lives, and a reaper at its other end."""
    reading, _ = os.pipe()
    subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _REAPER, *map(str, pids)],
        stdin=reading,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(reading)

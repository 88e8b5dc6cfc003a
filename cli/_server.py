"""The private Prefect server of a command whose profile names none: it ends with the command, whatever ends it."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
from prefect.client.orchestration import get_client

from deployments.lifeline import end_with_us
from tasks import disk

__all__ = ["start_private_server"]


def start_private_server() -> None:
    """Have Prefect start its server now, one command at a time, since each migrates the same database."""
    with disk.locked(Path(os.environ["PREFECT_HOME"]) / "lock", wait=True):
        get_client(sync_client=True)
    end_with_us(child.pid for child in psutil.Process().children() if "uvicorn" in child.cmdline())

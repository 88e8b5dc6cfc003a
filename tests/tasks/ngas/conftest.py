"""An archive on loopback, and servers that are none."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from ngas_archive import Archive

from deployments.local.ngas_server import serving


@pytest.fixture
def archive_there(tmp_path: Path) -> Iterator[Archive]:
    there = Archive(tmp_path / "archive")
    with serving(there.root, faults=there.faults) as address:
        there.address = address
        yield there


@pytest.fixture
def dead_server() -> str:
    """An address where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def silent_server() -> Iterator[str]:
    """An address where connections are taken and never answered."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        yield f"127.0.0.1:{silent.getsockname()[1]}"

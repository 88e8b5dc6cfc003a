"""An archive that is served from a process of its own, so that its work is not counted as the client's."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["served"]


@contextmanager
def served(root: Path) -> Iterator[str]:
    """Serve an archive's folder while the block runs; yields its `host:port`."""
    command = [sys.executable, "-m", "deployments.local.ngas_server", "--root", str(root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield next(iter(server.stdout or ())).strip()
        finally:
            server.terminate()

"""An archive of one's own on loopback that speaks NGAS: what the embedded environment and the tests fetch from.

It is not the observatory's archive and says so in its version. It is faithful to what was seen of a public NGAS
12.0 server where clients can notice: the protocol, the odd answers to ranges, errors, versions and checksums.
Its content outlives it in a folder.

Run it with ``python -m deployments.local.ngas_server --root DIR --port 0``; it prints its address.
"""

from __future__ import annotations

import argparse
import json
import signal
import socketserver
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deployments.local.ngas_handler import Fault, Handler
from deployments.local.ngas_index import Entry, Index, Plugin, archive

__all__ = ["Entry", "Fault", "NgasServer", "archive", "main", "requests_of", "serving"]


class NgasServer(socketserver.ThreadingTCPServer):
    """The server.

    Parameters
    ----------
    root
        The archive's folder; made when it is needed.
    port
        On loopback; 0 takes a free one.
    plugin, signed
        How the checksums of files that come in are recorded.
    login
        Username and password that every request must show, or None.
    faults
        By command and file id; may be changed while it runs.
    """

    allow_reuse_address = True
    request_queue_size = 128

    def __init__(
        self,
        root: Path,
        *,
        port: int = 0,
        plugin: Plugin = "crc32",
        signed: bool = False,
        login: tuple[str, str] | None = None,
        faults: Mapping[tuple[str, str], Fault] | None = None,
    ) -> None:
        self.index = Index(root)
        self.plugin, self.signed, self.login = plugin, signed, login
        self.faults: Mapping[tuple[str, str], Fault] = {} if faults is None else faults
        self.stopping = threading.Event()
        self._log = _log_path(root)
        super().__init__(("127.0.0.1", port), Handler)

    @property
    def address(self) -> str:
        """`host:port`."""
        return f"127.0.0.1:{self.server_address[1]}"

    def log(self, handler: Handler) -> None:
        """Add a line to the request log, when a request is over: perhaps after its client has gone on."""
        line = {
            "time": handler.began.isoformat(),
            "command": handler.ngas_command,
            "file_id": handler.subject,
            "bytes": handler.sent,
            "client": handler.client_address[0],
            "status": handler.status,
            "range": handler.headers.get("Range", ""),
        }
        with self._log.open("a") as stream:
            stream.write(json.dumps(line) + "\n")


def _log_path(root: Path) -> Path:
    return root / "requests.jsonl"


def requests_of(root: Path, command: str = "") -> list[dict[str, Any]]:
    """Return the requests to an archive that are over, or those of one command, in the order they began."""
    path = _log_path(root)
    lines = path.read_text().splitlines() if path.exists() else []
    requests: list[dict[str, Any]] = [json.loads(line) for line in lines]
    return sorted((each for each in requests if command in ("", each["command"])), key=lambda each: each["time"])


@contextmanager
def serving(
    root: Path,
    *,
    port: int = 0,
    plugin: Plugin = "crc32",
    signed: bool = False,
    login: tuple[str, str] | None = None,
    faults: Mapping[tuple[str, str], Fault] | None = None,
) -> Iterator[str]:
    """Serve an archive from a thread of this process; see `NgasServer` for the parameters.

    Yields
    ------
    str
        Its `host:port`.
    """
    with NgasServer(root, port=port, plugin=plugin, signed=signed, login=login, faults=faults) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), name="ngas", daemon=True)
        thread.start()
        try:
            yield server.address
        finally:
            server.stopping.set()
            server.shutdown()
            thread.join()


def main() -> None:
    """Serve an archive until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(prog="ngas_server", description="An NGAS-speaking archive on loopback.")
    parser.add_argument("--root", type=Path, required=True, help="the archive's folder")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    options = parser.parse_args()
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    with serving(options.root, port=options.port) as address:
        sys.stdout.write(f"{address}\n")
        sys.stdout.flush()
        over.wait()


if __name__ == "__main__":
    main()

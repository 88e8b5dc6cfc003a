"""An archive of one's own on loopback that speaks NGAS: what the embedded environment and the tests fetch from.

It is not the observatory's archive and says so in its version. It is faithful to what was seen of a public NGAS
12.0 server where clients can notice: the protocol, the odd answers to ranges, errors, states, versions, replicas,
checksums, and how several servers over one index send clients to each other. Its content outlives it in a folder.

Run it with ``python -m deployments.local.ngas_server --root DIR --port 0``; it prints its address.
"""

from __future__ import annotations

import argparse
import signal
import socketserver
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from deployments.local.ngas_cluster import Cluster
from deployments.local.ngas_handler import Fault, Handler
from deployments.local.ngas_index import DISK_ID, Entry, Index, Plugin, archive, nth_disk
from deployments.local.ngas_log import RequestLog, most_at_once, requests_of
from deployments.local.ngas_refusal import BUSY

__all__ = [
    "Entry", "Fault", "NgasServer", "archive", "main", "most_at_once", "requests_of", "serving",
    "serving_cluster",
]  # fmt: skip


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
        By command and file id, `*` standing for any; may be changed while it runs.
    disk_id
        The volume that is its own.
    cluster
        The servers that share the folder; by default it is alone.
    max_requests
        How many it answers at once; those beyond get the bare line of a busy server.
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
        disk_id: str = DISK_ID,
        cluster: Cluster | None = None,
        max_requests: int = 1000,
    ) -> None:
        self.index, self._log = Index(root), RequestLog(root)
        self.plugin, self.signed, self.login = plugin, signed, login
        self.faults: Mapping[tuple[str, str], Fault] = {} if faults is None else faults
        self.disk_id = disk_id
        self.state: Literal["ONLINE", "OFFLINE"] = "ONLINE"
        self.mounted = True
        """Whether its volume is; it is when the server starts."""
        self.stopping = threading.Event()
        self._free = threading.BoundedSemaphore(max_requests)
        super().__init__(("127.0.0.1", port), Handler)
        self.address = f"127.0.0.1:{self.server_address[1]}"
        """`host:port`; it stays when the server is gone."""
        self.cluster = cluster or Cluster()
        self.cluster.join(self)

    @property
    def within_reach(self) -> bool:
        """Whether its files can be had, as far as the others know."""
        return self.state == "ONLINE" and self.mounted

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread, or turn away unheard, which makes the kernel reset the connection."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
            return
        with suppress(OSError):
            request.sendall(BUSY)
        self.shutdown_request(request)
        self._record(datetime.now(UTC), client_address, status=503)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and be free for another."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report a defect, but not a client that has gone."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)

    def die(self) -> None:
        """Be gone as a killed server is: nobody listens, and what is being sent breaks off."""
        self.stopping.set()
        self.shutdown()
        self.socket.close()

    def log(self, handler: Handler) -> None:
        """Add a line to the request log, when a request is over."""
        self._record(
            handler.began,
            handler.client_address,
            seconds=handler.seconds,
            command=handler.ngas_command,
            file_id=handler.subject,
            bytes=handler.sent,
            status=handler.status,
            range=handler.headers.get("Range", ""),
        )

    def _record(self, began: datetime, client_address: Any, **line: Any) -> None:
        blank = {"seconds": 0.0, "command": "", "file_id": "", "bytes": 0, "range": ""}
        self._log.add(time=began.isoformat(), server=self.address, client=client_address[0], **(blank | line))


@contextmanager
def serving(root: Path, **options: Any) -> Iterator[str]:
    """Serve an archive from a thread of this process; see `NgasServer` for the options.

    Yields
    ------
    str
        Its `host:port`.
    """
    with _running(NgasServer(root, **options)) as server:
        yield server.address


@contextmanager
def serving_cluster(
    root: Path, nodes: int, *, proxy: bool = False, **options: Any
) -> Iterator[tuple[NgasServer, ...]]:
    """Serve an archive from several servers, the first with the first volume, and so on; options are of each.

    Yields
    ------
    tuple of NgasServer
        The servers; what they are told while they run, they heed.
    """
    cluster = Cluster(proxy=proxy)
    with ExitStack() as stack:
        yield tuple(
            stack.enter_context(
                _running(NgasServer(root, disk_id=nth_disk(number + 1), cluster=cluster, **options))
            )
            for number in range(nodes)
        )


@contextmanager
def _running(server: NgasServer) -> Iterator[NgasServer]:
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), name="ngas", daemon=True)
        thread.start()
        try:
            yield server
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

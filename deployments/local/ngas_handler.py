"""How the embedded archive answers one request, faithful to what was seen of a public NGAS 12.0 server.

HTTP/1.0, one request a connection; nearly every failure is a 400 with the reason in XML; a resumed RETRIEVE is
answered with 200; a file that is not there and one whose volume is out of reach sound the same.
"""

from __future__ import annotations

import hmac
import re
import select
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlsplit

from deployments.local.ngas_cluster import Located
from deployments.local.ngas_commands import carry_out
from deployments.local.ngas_documents import VERSION, status_document
from deployments.local.ngas_index import Entry
from deployments.local.ngas_refusal import Refusal

if TYPE_CHECKING:
    from deployments.local.ngas_server import NgasServer

__all__ = ["Delivery", "Fault", "Handler"]

_FROM: Final = re.compile(r"bytes=(\d+)-")
_PIECE: Final = 8 << 20
_LAST_PIECE: Final = 64 << 10
_LOOK_SECONDS: Final = 0.02


@dataclass(frozen=True)
class Delivery:
    """A file that is about to be sent."""

    entry: Entry
    path: Path
    size: int
    """Bytes on disk, whatever the index says: the real server looks there too."""
    start: int
    """The first byte asked for, perhaps beyond the end."""

    @property
    def headers(self) -> dict[str, str]:
        """What is said before the bytes."""
        headers = {
            "Content-Type": self.entry.format,
            "Content-Disposition": f'attachment; filename="{self.path.name}"',
            "Content-Length": str(self.size - self.start),
        }
        if self.start:
            headers["Content-Range"] = f"bytes {self.start}-{self.size - 1}/{self.size}"
        return headers


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: NgasServer
    server_version = f"NGAMS/{VERSION}"
    sys_version = ""
    protocol_version = "HTTP/1.0"
    timeout = 60

    ngas_command = ""
    """RETRIEVE, STATUS, and so on."""
    parameters: Mapping[str, str] = {}
    began = datetime.min.replace(tzinfo=UTC)
    status = 0
    sent = 0
    """Bytes of the body so far."""
    seconds = 0.0
    """From its beginning to when its client was last known to wait, with the last bytes still to be sent."""

    def do_GET(self) -> None:
        """Answer a GET, POST or PUT."""
        self.began, self._clock = datetime.now(UTC), time.monotonic()
        url = urlsplit(self.path)
        self.ngas_command = url.path.strip("/")
        self.parameters = dict(parse_qsl(url.query, keep_blank_values=True))
        try:
            with suppress(ConnectionError, TimeoutError):
                self._answer_or_refuse()
        finally:
            self.server.log(self)

    do_POST = do_GET  # noqa: N815 - named by the library
    do_PUT = do_GET  # noqa: N815

    def do_HEAD(self) -> None:
        """Close without a word, as the real server does for methods that it does not know."""

    do_DELETE = do_HEAD  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named by the library
        """Print nothing; the request log has it."""

    @property
    def subject(self) -> str:
        """The file that the request is about, or the pattern of a query."""
        names = (self.parameters.get(name, "") for name in ("file_id", "like", "filename"))
        return next(filter(None, names), "")

    def _answer_or_refuse(self) -> None:
        try:
            self._authorise()
            fault = self._fault()
            if not (fault and fault(self)):
                carry_out(self)
        except Refusal as refusal:
            self.document(refusal.message, status=refusal.status)

    def _fault(self) -> Fault | None:
        faults = self.server.faults
        return faults.get((self.ngas_command, self.subject)) or faults.get((self.ngas_command, "*"))

    def _authorise(self) -> None:
        login = self.server.login
        if login is None:
            return
        wanted = "Basic " + b64encode(":".join(login).encode()).decode()
        if not hmac.compare_digest(self.headers.get("Authorization", "").encode(), wanted.encode()):
            raise Refusal("Unauthorized", status=401)

    def located(self) -> Located:
        """Find the copy that is asked for.

        Raises
        ------
        Refusal
            There is none within reach.
        """
        given = self.parameters
        file_id, version = given.get("file_id", ""), given.get("file_version") or "0"
        if not file_id or not re.fullmatch(r"-1|\d{1,9}", version):
            raise Refusal("Illegal or missing file_id or file_version")
        wanted = {name: given.get(name, "") for name in ("host_id", "disk_id")}
        return self.server.cluster.locate(self.server, file_id, int(version), **wanted)

    def delivery(self) -> Delivery:
        """Find the file that is asked for, and where to begin in it.

        Raises
        ------
        Refusal
            There is none, or the range is not of the one form that is understood.
        ConnectionAbortedError
            It is gone from the disk: the connection closes without a word.
        """
        wanted = _FROM.fullmatch(self.headers.get("Range", "bytes=0-"))
        if wanted is None:
            raise Refusal("Invalid Range header, must have the form 'bytes=start-' (start offset only)")
        entry = self.located().entry
        path = self.server.index.path_of(entry)
        if not path.exists():
            raise ConnectionAbortedError
        return Delivery(entry, path, path.stat().st_size, int(wanted[1]))

    def document(self, message: str, *, status: int = 200, found: Located | None = None) -> None:
        """Answer with a status document."""
        server = self.server
        described = {"entry": found.entry, "holder": found.holder.address} if found else {}
        body = status_document(
            server.address,
            message,
            succeeded=status < 400,
            state=server.state,
            **described,  # type: ignore[arg-type]
        )
        self.answer(status, body, {"Content-Type": "text/xml"})

    def answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        """Answer with a body that is at hand."""
        self.head(status, {"Content-Length": str(len(body)), **headers})
        self.send(body)

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        """Send the status line and the headers."""
        self.status = status
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self._touch()
        self.end_headers()

    def send(self, piece: bytes) -> None:
        """Send a part of the body."""
        self._touch()
        self.wfile.write(piece)
        self.sent += len(piece)

    def send_bytes(self, delivery: Delivery, start: int, stop: int) -> None:
        """Send a part of a file, by the kernel alone; break off when the server stops."""
        with delivery.path.open("rb") as stream:
            for at, end in _pieces(start, stop):
                if self.server.stopping.is_set():
                    raise ConnectionAbortedError
                self._touch()
                try:
                    self.connection.sendfile(stream, at, end - at)
                finally:
                    self.sent += stream.tell() - at

    def _touch(self) -> None:
        self.seconds = time.monotonic() - self._clock

    def linger(self, seconds: float) -> bool:
        """Do nothing for a while, and return whether the client still waits and the server lives."""
        hanging_up = select.poll()
        hanging_up.register(self.connection, select.POLLIN)
        ends = time.monotonic() + seconds
        while not self.server.stopping.is_set() and (now := time.monotonic()) < ends:
            if hanging_up.poll(min(ends - now, _LOOK_SECONDS) * 1000):
                return False
            self.seconds = now - self._clock
        return not self.server.stopping.is_set()


def _pieces(start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Cut a range; the last piece is small, for the sake of the log's seconds."""
    last = max(start, stop - _LAST_PIECE)
    for at in range(start, last, _PIECE):
        yield at, min(at + _PIECE, last)
    if last < stop:
        yield last, stop


Fault = Callable[[Handler], bool]
"""Given a request before anything is answered; returns whether it has answered it."""

"""How the embedded archive answers one request, faithful to what was seen of a public NGAS 12.0 server.

HTTP/1.0, one request a connection; nearly every failure is a 400 with the reason in XML; a resumed RETRIEVE is
answered with 200; a file that is not there and one whose volume is out of reach sound the same.
"""

from __future__ import annotations

import hmac
import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlsplit

from deployments.local.ngas_documents import VERSION, listing, status_document
from deployments.local.ngas_index import COLUMNS, DISK_ID, Entry
from deployments.local.ngas_receiving import receive
from deployments.local.ngas_refusal import Refusal, unavailable_file

if TYPE_CHECKING:
    from deployments.local.ngas_server import NgasServer

__all__ = ["Delivery", "Fault", "Handler"]

_FROM: Final = re.compile(r"bytes=(\d+)-")
_PIECE: Final = 8 << 20
_XML: Final = "text/xml"


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

    def do_GET(self) -> None:
        """Answer a GET, POST or PUT."""
        self.began = datetime.now(UTC)
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
            fault = self.server.faults.get((self.ngas_command, self.subject))
            if not (fault and fault(self)):
                self._dispatch()
        except Refusal as refusal:
            document = status_document(self.server.address, refusal.message, succeeded=False, state=refusal.state)
            self.answer(refusal.status, document, {"Content-Type": _XML})

    def _authorise(self) -> None:
        login = self.server.login
        if login is None:
            return
        wanted = "Basic " + b64encode(":".join(login).encode()).decode()
        if not hmac.compare_digest(self.headers.get("Authorization", "").encode(), wanted.encode()):
            raise Refusal("Unauthorized", status=401)

    def _dispatch(self) -> None:
        commands: dict[str, Callable[[], None]] = {
            "RETRIEVE": self._retrieve,
            "STATUS": self._status,
            "QUERY": self._query,
            "ARCHIVE": self._archive,
            "QARCHIVE": self._archive,
        }
        command = commands.get(self.ngas_command)
        if command is None:
            raise Refusal(f"Unknown command: {self.ngas_command}", status=404)
        command()

    def _retrieve(self) -> None:
        delivery = self.delivery()
        self.head(200, delivery.headers)
        self.send_bytes(delivery, delivery.start, delivery.size)

    def _status(self) -> None:
        entry = self._entry() if "file_id" in self.parameters else None
        self._succeed("Successfully handled command STATUS", entry)

    def _query(self) -> None:
        index = self.server.index
        host, port = self.server.address.rsplit(":", 1)
        form = self.parameters.get("format", "")
        match self.parameters.get("query", "").lower():
            case "files_like":
                rows = [astuple(each) for each in index.like(self.parameters.get("like", "%"))]
                found = listing(COLUMNS, rows, form)
            case "files_list":
                found = listing(COLUMNS, [astuple(each) for each in index.like("%")], form)
            case "disks_list":
                found = listing(("disk_id", "host_id", "mounted"), [(DISK_ID, self.server.address, 1)], form)
            case "hosts_list":
                found = listing(("host_id", "srv_port", "srv_state"), [(host, int(port), "ONLINE")], form)
            case other:
                raise Refusal(f"Invalid query specified: {other}")
        self.answer(200, found.body, {"Content-Type": found.media_type})

    def _archive(self) -> None:
        entry = receive(self.server, self.headers, self.parameters, self.rfile)
        self._succeed(f"Successfully handled Archive Push Request for data file with URI {entry.file_id}", entry)

    def _succeed(self, message: str, entry: Entry | None) -> None:
        document = status_document(self.server.address, message, entry=entry)
        self.answer(200, document, {"Content-Type": _XML})

    def _entry(self) -> Entry:
        file_id, version = self.parameters.get("file_id", ""), self.parameters.get("file_version") or "0"
        if not file_id or not re.fullmatch(r"-1|\d{1,9}", version):
            raise Refusal("Illegal or missing file_id or file_version")
        entry = self.server.index.find(file_id, int(version))
        if entry is None:
            raise unavailable_file(file_id)
        return entry

    def delivery(self) -> Delivery:
        """Find the file that is asked for.

        Raises
        ------
        Refusal
            There is none, or the range is not of the one form that is understood.
        ConnectionAbortedError
            It is gone from the disk: the connection closes without a word.
        """
        entry = self._entry()
        wanted = _FROM.fullmatch(self.headers.get("Range", "bytes=0-"))
        if wanted is None:
            raise Refusal("Illegal Range header")
        path = self.server.index.files / entry.file_name
        if not path.exists():
            raise ConnectionAbortedError
        return Delivery(entry, path, path.stat().st_size, int(wanted[1]))

    def answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        """Answer with a body that is at hand."""
        self.head(status, {"Content-Length": str(len(body)), **headers})
        self.wfile.write(body)
        self.sent += len(body)

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        """Send the status line and the headers."""
        self.status = status
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def send_bytes(self, delivery: Delivery, start: int, stop: int) -> None:
        """Send a part of a file, by the kernel alone; break off when the server stops."""
        with delivery.path.open("rb") as stream:
            for at in range(start, stop, _PIECE):
                if self.server.stopping.is_set():
                    raise ConnectionAbortedError
                try:
                    self.connection.sendfile(stream, at, min(_PIECE, stop - at))
                finally:
                    self.sent += stream.tell() - at


Fault = Callable[[Handler], bool]
"""Given a request before anything is answered; returns whether it has answered it."""

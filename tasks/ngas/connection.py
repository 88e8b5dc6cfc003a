"""One request over one connection, which keeps to its time and can be cut from outside.

A socket's own time-out only says how long the next byte may take: a server that sends one now and then would be
waited for without end. Here an answer's head, and every document, must be whole within the time-out, and a file
must keep flowing. What goes wrong on the way becomes an error of ours, in a few words.
"""

from __future__ import annotations

import http.client
import selectors
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple

from tasks.abandon import on_abandon, require_wanted
from tasks.errors import Failed, Refused, Transient
from tasks.ngas.reply import excerpt

if TYPE_CHECKING:
    from email.message import Message

    from _typeshed import WriteableBuffer

__all__ = ["AGAIN", "FLOOR", "LARGEST", "Answer", "Ask", "Unwell", "Upload", "exchange"]

AGAIN: Final = "run again later; if it stays so, tell the archive's operators"
"""What to do about a failure that may pass."""
FLOOR: Final = 1024
"""Bytes a second: who sends less over a whole time-out counts as stalled."""
LARGEST: Final = 64 << 20
"""Bytes that a document may have: a listing of some hundred thousand files."""

_CONNECT_SECONDS: Final = 10.0
_LEAST_SECONDS: Final = 0.001
_LOOK_SECONDS: Final = 0.5
_PIECE: Final = 1 << 16
_AT_ONCE: Final = 16 << 20
"""Bytes that are sent between two words of how far it is."""
_READ_AGAIN: Final = 50 << 20
"""Bytes a second: what a server takes in it may read again, and copy to a second disk, before it answers."""


class Unwell(Transient):
    """The server itself is busy, gone or slow, whatever it is asked for."""


class Upload(NamedTuple):
    """What is sent with a request.

    Parameters
    ----------
    name
        How errors name it.
    parts
        Gives its parts from the first one on, each open at its beginning, with its bytes; asked for again where it
        has to be sent again.
    size
        Bytes of all parts.
    on_bytes
        Called with each gain in bytes.
    """

    name: str
    parts: Callable[[], Iterable[tuple[BinaryIO, int]]]
    size: int
    on_bytes: Callable[[int], None] = lambda count: None


class Ask(NamedTuple):
    """A request, whichever server it is sent to."""

    method: str
    headers: Mapping[str, str]
    upload: Upload | None = None
    meanwhile: Callable[[], None] | None = None
    """Called about twice a second while the answer is awaited, which may then take any time."""


class _Late(TimeoutError):
    """A time-out that says which."""


class _Line(socket.socket):
    """A socket that does not wait for who sends next to nothing."""

    _ends: float | None = None
    _window = _since = 0.0
    _came = 0

    def due(self, seconds: float) -> None:
        """Take what is read from now on if all of it comes within so many seconds."""
        self._ends = time.monotonic() + seconds

    def flow(self, seconds: float) -> None:
        """Take what is read from now on as long as it flows: something, and not too little, in so many seconds."""
        self._ends, self._window, self._since, self._came = None, seconds, time.monotonic(), 0
        self.settimeout(seconds)

    def recv_into(self, buffer: WriteableBuffer, nbytes: int = 0, flags: int = 0) -> int:
        if self._ends is not None:
            self.settimeout(_left(self._ends))
            return super().recv_into(buffer, nbytes, flags)
        count = super().recv_into(buffer, nbytes, flags)
        if count:
            self._watch(count)
        return count

    def _watch(self, count: int) -> None:
        self._came += count
        now = time.monotonic()
        if now - self._since >= self._window:
            if self._came < FLOOR * self._window:
                raise _Late(f"it stalled: only {self._came} bytes came within the time-out")
            self._since, self._came = now, 0


def _left(ends: float) -> float:
    left = ends - time.monotonic()
    if left <= 0:
        raise _Late("it stalled: its answer was not whole within the time-out")
    return left


class _Connection(http.client.HTTPConnection):
    """A connection for one request.

    Parameters
    ----------
    server
        `host:port`.
    seconds
        The time-out.
    """

    def __init__(self, server: str, seconds: float) -> None:
        super().__init__(server)
        self._seconds = seconds
        self._line: _Line | None = None

    def cut(self) -> None:
        """End it, from another thread: whoever waits for it gets an error at once."""
        if self._line:
            self._line.shutdown(socket.SHUT_RDWR)

    def _connected(self) -> _Line:
        """Connect to the first address that takes it; all of them together have the time of one."""
        ends = time.monotonic() + min(self._seconds, _CONNECT_SECONDS)
        *others, last = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        for left, address in zip(range(len(others) + 1, 1, -1), others, strict=True):
            with suppress(OSError):
                return self._open(*address, seconds=(ends - time.monotonic()) / left)
        return self._open(*last, seconds=ends - time.monotonic())

    def _open(self, family: int, kind: int, protocol: int, _: str, address: Any, *, seconds: float) -> _Line:
        self.close()
        self.sock = line = self._line = _Line(family, kind, protocol)
        require_wanted()
        line.settimeout(max(_LEAST_SECONDS, seconds))
        try:
            line.connect(address)
        except TimeoutError as error:
            raise _Late("it does not answer: no connection within the time-out") from error
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return line

    def close(self) -> None:
        """Let go of it, however far it has come."""
        super().close()
        if self._line:
            self._line.close()

    def ask(self, path: str, ask: Ask) -> _Line:
        """Send a request; what is read from then on must come in time."""
        line = self._connected()
        line.settimeout(self._seconds)
        self.putrequest(ask.method, path, skip_accept_encoding=True)
        for name, value in ask.headers.items():
            self.putheader(name, value)
        self.endheaders()
        if ask.upload:
            _send(line, ask.upload)
        if ask.meanwhile:
            _await(line, ask.meanwhile)
        line.due(self._seconds + (ask.upload.size / _READ_AGAIN if ask.upload else 0))
        return line


def _send(line: _Line, upload: Upload) -> None:
    """Send all of it. A server that refuses it may answer, and close, before it has that."""
    with suppress(BrokenPipeError, ConnectionResetError):
        for stream, size in upload.parts():
            for start in range(0, size, _AT_ONCE):
                sent = line.sendfile(stream, start, min(_AT_ONCE, size - start))
                upload.on_bytes(sent)
                if sent != min(_AT_ONCE, size - start):
                    why = f"it became shorter than {upload.size} bytes while it was sent"
                    raise Failed(upload.name, why)


def _await(line: _Line, meanwhile: Callable[[], None]) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(line, selectors.EVENT_READ)
        while not selector.select(_LOOK_SECONDS):
            meanwhile()


class Answer:
    """An answer whose head has been read, and its body not yet.

    Parameters
    ----------
    what
        How errors name the server that gave it.
    response
        The answer.
    line
        What it comes over.
    seconds
        The time-out.
    """

    def __init__(self, what: str, response: http.client.HTTPResponse, line: _Line, seconds: float) -> None:
        self.what, self.status = what, response.status
        self.headers: Message = response.headers
        self._line, self._seconds = line, seconds
        self._left, self._body = response.length, response.fp
        self._read: Callable[[memoryview], int] = response.readinto if response.chunked else self._first
        line.flow(seconds)

    def _first(self, buffer: memoryview) -> int:
        """Read what came along with the head, if anything; from then on as it comes, past all buffers.

        `readinto1` would wait for more before it gives that out.
        """
        self._read = self._body.readinto1
        there = self._body.read1(len(buffer))
        buffer[: len(there)] = there
        return len(there)

    def readinto(self, buffer: memoryview) -> int:
        """Read what has come of the body, at most as much as the buffer holds; 0 at the end.

        Raises
        ------
        Unwell
            The server breaks off or stalls.
        """
        wanted = buffer if self._left is None else buffer[: self._left]
        try:
            count = self._read(wanted)
        except (OSError, http.client.HTTPException) as error:
            raise _explained(self.what, error) from error
        if self._left is not None:
            self._left -= count
            if not count and self._left:
                raise _explained(self.what, http.client.IncompleteRead(b"", self._left))
        return count

    def document(self) -> bytes:
        """Read the whole body.

        Raises
        ------
        Unwell
            The server breaks off, or it is not here within the time-out.
        Refused
            It is longer than any document.
        """
        body = self._until(LARGEST)
        if len(body) > LARGEST:
            why = f"its answer has more than {LARGEST} bytes, as no document has"
            raise Refused(self.what, why, "check that ppi.ngas.servers names an NGAS")
        return body

    def beginning(self) -> bytes:
        """Read the beginning of the body, for messages."""
        return self._until(_PIECE)

    def _until(self, most: int) -> bytes:
        """Read until there is more than so much, or the end."""
        self._line.due(self._seconds)
        body, piece = bytearray(), memoryview(bytearray(_PIECE))
        while len(body) <= most and (count := self.readinto(piece)):
            body += piece[:count]
        return bytes(body)


@contextmanager
def exchange(server: str, what: str, path: str, ask: Ask, seconds: float) -> Iterator[Answer]:
    """Send a request over a connection of its own and hand over the answer.

    Parameters
    ----------
    server
        `host:port`.
    what
        How errors name it.
    path
        With the query.
    seconds
        After so long without a byte the server counts as gone.

    Raises
    ------
    Unwell
        The server cannot be reached, breaks off or stalls.
    Abandoned
        Nobody waits for it any more.
    """
    connection = _Connection(server, seconds)
    with on_abandon(connection.cut), closing(connection):
        try:
            line = connection.ask(path, ask)
            response = connection.getresponse()
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            raise _explained(what, error) from error
        with closing(response):
            yield Answer(what, response, line, seconds)


def _explained(what: str, error: Exception) -> Unwell:
    require_wanted()
    return Unwell(what, _reason(error), AGAIN)


def _reason(error: Exception) -> str:
    match error:
        case _Late():
            return str(error)
        case socket.gaierror() | UnicodeError():
            return "no host has this name"
        case TimeoutError():
            return "it stalled: no byte within the time-out"
        case ConnectionRefusedError():
            return "it refused the connection"
        case http.client.RemoteDisconnected():
            return "it closed the connection without an answer"
        case ConnectionResetError() | BrokenPipeError():
            return "it reset the connection"
        case http.client.IncompleteRead():
            return "its answer broke off before the end"
        case OSError():
            return f"the connection failed ({error.strerror or error})"
        case _:
            return f"its answer is not HTTP ({excerpt(repr(error).encode())})"

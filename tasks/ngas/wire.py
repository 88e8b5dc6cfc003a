"""Requests to NGAS, and the one place where an answer becomes an error of ours.

NGAS answers nearly every failure with 400, the reason inside an XML document; a busy server answers a bare 503
or resets the connection; proxies in front of it answer pages of their own. What matters to a caller is only
whether another attempt can help, so each answer is mapped to the error that says it.

A server that does not hold a file sends the client on to the one that does. That is followed here, so that the
place among the streams is that of the server that sends, and the login is shown to configured servers only.
"""

from __future__ import annotations

import socket
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import cached_property
from typing import Final, NamedTuple
from urllib.parse import quote, urlencode, urljoin, urlsplit

from tasks.errors import Failed, Missing, PpiError, Refused, Transient
from tasks.ngas.address import server_address
from tasks.ngas.connection import AGAIN, Answer, Ask, Unwell, Upload, exchange
from tasks.ngas.reply import BUFFERED, OFFLINE, UNAVAILABLE, Reply, excerpt, read_reply
from tasks.ngas.streams import Streams

__all__ = ["AGAIN", "BUSY", "OK", "Damaged", "Unavailable", "Wire", "failure", "failure_of"]

OK: Final = 200
BUSY: Final = frozenset({408, 429, 500, 502, 503, 504})
"""HTTP's ways of saying that it may work later."""

_ONWARD: Final = frozenset({301, 302, 303, 307, 308})
_MOST_HOPS: Final = 5
_DENIED: Final = (401, 403)
_BAD_REQUEST: Final = 400
_DISK_ERROR: Final = "[Errno "
"""How older servers tell that a file or volume is gone, which newer ones tell by closing the connection."""
_TRANSFERS: Final = frozenset({"RETRIEVE", "ARCHIVE", "QARCHIVE"})
_KEPT: Final = "/?%:@!$&'()*+,;=~"
"""What a path may hold; all else is quoted, so that a redirect cannot say anything but a path."""


class Damaged(Failed):
    """What came is not what the archive describes; another attempt or another server may have it whole."""


class Unavailable(Missing):
    """NGAS error 4019: unknown, or known and out of reach now. Only a query tells which."""


class _Target(NamedTuple):
    """Where a request goes."""

    server: str
    path: str

    @property
    def url(self) -> str:
        return f"http://{self.server}{self.path}"

    def onward(self, location: str) -> _Target:
        """Return where a redirect leads."""
        parts = urlsplit(urljoin(self.url, location))
        if parts.scheme != "http":
            raise ValueError(parts.scheme)
        server = parts.netloc if parts.port else f"{parts.netloc}:80"
        path = quote(parts.path or "/", _KEPT) + (f"?{quote(parts.query, _KEPT)}" if parts.query else "")
        return _Target(server_address(server), path)


class _Archive:
    """The servers that are configured, by their names and by the addresses that these stand for."""

    def __init__(self, servers: frozenset[str]) -> None:
        self._servers = servers

    def known_as(self, server: str) -> str | None:
        """Return the configured name of a server, if it is one; nodes redirect to addresses, not to names."""
        return server if server in self._servers else self._names.get(server)

    @cached_property
    def _names(self) -> Mapping[str, str]:
        return {address: server for server in self._servers for address in _addresses(server)}


def _addresses(server: str) -> Iterator[str]:
    host, _, port = server.rpartition(":")
    with suppress(OSError, UnicodeError):
        for family, *_, address in socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM):
            yield f"[{address[0]}]:{port}" if family == socket.AF_INET6 else f"{address[0]}:{port}"


class Wire:
    """How requests reach the servers.

    Parameters
    ----------
    servers
        `host:port` of those that may see the login.
    login
        Username and password for HTTP Basic, or None.
    timeout
        Seconds without a byte after which a server counts as gone.
    streams
        Where each transfer takes its place; None sets no limit.
    """

    def __init__(
        self,
        servers: frozenset[str],
        login: tuple[str, str] | None,
        timeout: float,
        streams: Streams | None = None,
    ) -> None:
        self._archive, self._timeout, self._streams = _Archive(servers), timeout, streams
        self._login = {"Authorization": f"Basic {b64encode(':'.join(login).encode()).decode()}"} if login else {}

    def get(
        self,
        server: str,
        command: str,
        parameters: Mapping[str, str],
        *,
        start: int = 0,
        meanwhile: Callable[[], None] | None = None,
    ) -> AbstractContextManager[Answer]:
        """Send a request and hand over the answer, whose body is still to be read.

        Parameters
        ----------
        start
            The first byte wanted; 0 asks for all without saying so.
        meanwhile
            Called about twice a second while the answer is awaited, which may then take any time.

        Raises
        ------
        Transient
            The server cannot be reached, or breaks off or stalls, then or while the body is being read.
        Refused
            It redirects to what is no server.
        """
        headers = {"Range": f"bytes={start}-"} if start else {}
        return self._follow(server, command, parameters, Ask("GET", headers, meanwhile=meanwhile))

    def post(
        self,
        server: str,
        command: str,
        parameters: Mapping[str, str],
        headers: Mapping[str, str],
        upload: Upload,
    ) -> AbstractContextManager[Answer]:
        """Send a file and hand over the answer; where that is a redirect, send it again to where it leads."""
        length = {"Content-Length": str(upload.size)}
        return self._follow(server, command, parameters, Ask("POST", {**headers, **length}, upload))

    def document(self, server: str, command: str, parameters: Mapping[str, str]) -> bytes:
        """Ask for a document and read it whole.

        Raises
        ------
        PpiError
            The server cannot be asked, or answers with a failure.
        """
        with self.get(server, command, parameters) as answer:
            if answer.status != OK:
                raise failure_of(answer)
            return answer.document()

    @contextmanager
    def _follow(self, server: str, command: str, parameters: Mapping[str, str], ask: Ask) -> Iterator[Answer]:
        query = urlencode(parameters, errors="surrogatepass")
        way = [_Target(server, f"/{command}?{query}" if query else f"/{command}")]
        while True:
            with self._place(way, command), self._exchange(way, ask) as answer:
                onward = _onward(answer, way)
                if onward is None:
                    yield answer
                    return
            way.append(onward)

    def _place(self, way: list[_Target], command: str) -> AbstractContextManager[None]:
        if self._streams is None or command not in _TRANSFERS:
            return nullcontext()
        server = way[-1].server
        return self._streams.slot(server if len(way) == 1 else self._archive.known_as(server) or server)

    @contextmanager
    def _exchange(self, way: list[_Target], ask: Ask) -> Iterator[Answer]:
        server, path = way[-1]
        trusted = bool(self._login) and self._is_configured(way)
        what = f"server {server}" + (f", to which {way[-2].server} redirects" if len(way) > 1 else "")
        headers = {
            "User-Agent": "ppi", "Accept-Encoding": "identity", "Connection": "close",
            **ask.headers, **(self._login if trusted else {}),
        }  # fmt: skip
        with exchange(server, what, path, ask._replace(headers=headers), self._timeout) as answer:
            if answer.status in _DENIED and self._login and not trusted:
                raise _unknown(server, answer)
            yield answer

    def _is_configured(self, way: list[_Target]) -> bool:
        return self._archive.known_as(way[-1].server) is not None


def _unknown(server: str, answer: Answer) -> Refused:
    why = f"HTTP {answer.status}; it was not shown the login, which is for configured servers only"
    return Refused(answer.what, why, f"if {server} belongs to the archive, add it to ppi.ngas.servers")


def _onward(answer: Answer, way: list[_Target]) -> _Target | None:
    """Return where an answer leads, if it does not answer itself."""
    location = answer.headers.get("Location")
    if answer.status not in _ONWARD or not location:
        return None
    try:
        onward = way[-1].onward(location)
    except ValueError as error:  # what it says is not repeated: it might hold a password
        why = "it redirects to what is not an address of an NGAS: http://host:port is"
        raise Refused(answer.what, why, "tell the archive's operators") from error
    if onward in way or len(way) > _MOST_HOPS:
        hops = " -> ".join(target.server for target in (*way, onward))
        raise Transient(answer.what, f"it redirects in a loop: {hops}", AGAIN)
    return onward


def failure_of(answer: Answer) -> PpiError:
    """Read the beginning of an answer that is not the wanted one, and say what it means."""
    return failure(answer.status, answer.beginning(), answer.what)


def failure(status: int, body: bytes, what: str) -> PpiError:
    """Say what an answer means that is not the wanted one.

    Parameters
    ----------
    status
        The HTTP status; NGAS and proxies also fail with 200.
    body
        The body, or the beginning of it.
    what
        How the server is named.

    Returns
    -------
    PpiError
        Refused, Unavailable, Transient, or Damaged where something else came than what was asked for.
    """
    reply = _reply(body)
    said = excerpt(reply.message.encode() if reply else body)
    why = f"HTTP {status}, {said}" if said else f"HTTP {status}"
    if status in _DENIED:
        return Refused(what, why, "check ppi.ngas.username and .password")
    if reply and reply.code == UNAVAILABLE:
        return Unavailable(what, why, "check the file's name and version")
    if reply and BUFFERED in reply.message:
        return Transient(what, f"{why}; it keeps the file and will archive it later", AGAIN)
    if status in BUSY or (reply and _passing(reply)):
        return Unwell(what, why, AGAIN)
    if status < _BAD_REQUEST:
        return Damaged(what, f"something else came than what was asked for ({why})", AGAIN)
    if reply and _DISK_ERROR in reply.message:
        return Transient(what, f"{why}; it cannot read or write its disk", AGAIN)
    todo = "see the reason that it gives" if reply else "check that ppi.ngas.servers names an NGAS"
    return Refused(what, why, todo)


def _reply(body: bytes) -> Reply | None:
    try:
        return read_reply(body, "the answer")
    except Refused:
        return None


def _passing(reply: Reply) -> bool:
    return not reply.succeeded and (reply.code == OFFLINE or reply.error == "NGAMS_ER_COM")

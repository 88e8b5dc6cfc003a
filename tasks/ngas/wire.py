"""Requests to NGAS, and the one place where an answer, or the lack of one, becomes an error of ours.

NGAS answers nearly every failure with 400, the reason inside an XML document; a busy server answers a bare 503
or resets the connection; proxies in front of it answer pages of their own. What matters to a caller is only
whether another attempt can help, so each answer is mapped to the error that says it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import requests
import urllib3

from tasks.errors import Failed, Missing, PpiError, Refused, Transient
from tasks.ngas.reply import OFFLINE, UNAVAILABLE, Reply, excerpt, read_reply

__all__ = ["AGAIN", "Damaged", "Unavailable", "Wire", "failure", "failure_of"]

AGAIN: Final = "run again later; if it stays so, tell the archive's operators"
"""What to do about a failure that may pass."""

_CONNECT_SECONDS: Final = 10.0
_MAX_REDIRECTS: Final = 5
_EXCERPT: Final = 1 << 16
_BUSY: Final = frozenset({408, 429, 500, 502, 503, 504})
_REASONS: Final[Mapping[str, str]] = {
    "NameResolutionError": "no host has this name",
    "connect timeout": "it does not answer: no connection within the time-out",
    "Read timed out": "it stalled: no byte within the time-out",
    "Connection refused": "it refused the connection",
    "reset by peer": "it reset the connection",
    "without response": "it closed the connection without an answer",
    "IncompleteRead": "its answer broke off before the end",
}


class Damaged(Failed):
    """What came is not what the archive describes; another attempt or another server may have it whole."""


class Unavailable(Missing):
    """NGAS error 4019: unknown, or known and out of reach now. Only a query tells which."""


class _Session(requests.Session):
    """A session that takes nothing from the environment and keeps the login within the archive.

    The environment's proxies must not divert the archive's traffic; and a node that redirects to another node
    of the same archive must not lose the login on the way.
    """

    def __init__(self, servers: frozenset[str], login: tuple[str, str] | None) -> None:
        super().__init__()
        self.trust_env = False
        self.max_redirects = _MAX_REDIRECTS
        self.auth = login
        self.headers.update({"Accept-Encoding": "identity", "User-Agent": "ppi"})
        self._servers = servers

    def should_strip_auth(self, old_url: str, new_url: str) -> bool:
        """Keep the login on the way to a server that is configured with it, and to no other."""
        if any(new_url.startswith(f"http://{server}/") for server in self._servers):
            return False
        return bool(super().should_strip_auth(old_url, new_url))  # type: ignore[no-untyped-call]


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
    """

    def __init__(self, servers: frozenset[str], login: tuple[str, str] | None, timeout: float) -> None:
        self._servers, self._login = servers, login
        self._timeouts = (min(timeout, _CONNECT_SECONDS), timeout)

    @contextmanager
    def get(
        self, server: str, command: str, parameters: Mapping[str, str], *, start: int = 0
    ) -> Iterator[requests.Response]:
        """Send a request and hand over the answer, whose body is still to be read.

        Parameters
        ----------
        start
            The first byte wanted; 0 asks for all without saying so.

        Raises
        ------
        Transient
            The server cannot be reached, or breaks off or stalls, then or while the body is being read.
        Refused
            The address makes no sense.
        """
        headers = {"Range": f"bytes={start}-"} if start else {}
        url = f"http://{server}/{command}"
        with _explained(server), _Session(self._servers, self._login) as session:
            answer = session.get(url, params=parameters, headers=headers, stream=True, timeout=self._timeouts)
            with answer as response:
                yield response

    def document(self, server: str, command: str, parameters: Mapping[str, str]) -> bytes:
        """Ask for a document and read it whole.

        Raises
        ------
        PpiError
            The server cannot be asked, or answers with a failure.
        """
        with self.get(server, command, parameters) as response:
            if response.status_code != requests.codes.ok:
                raise failure_of(response, server)
            return response.content


@contextmanager
def _explained(server: str) -> Iterator[None]:
    what = f"server {server}"
    try:
        yield
    except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
        why = f"it is not an address, or redirects to what is none ({error})"
        raise Refused(what, why, "check ppi.ngas.servers") from error
    except requests.exceptions.TooManyRedirects as error:
        raise Transient(what, "it redirects in a loop", AGAIN) from error
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise Transient(what, _reason(error), AGAIN) from error


def _reason(error: Exception) -> str:
    """Say in a few words what the libraries wrap in many layers."""
    text = str(error)
    told = (why for sign, why in _REASONS.items() if sign in text)
    return next(told, f"the connection failed ({excerpt(text.encode())})")


def failure_of(response: requests.Response, server: str) -> PpiError:
    """Read the beginning of an answer that is not the wanted one, and say what it means."""
    body = next(response.iter_content(_EXCERPT), b"")
    return failure(response.status_code, body, server)


def failure(status: int, body: bytes, server: str) -> PpiError:
    """Say what an answer means that is not the wanted one.

    Parameters
    ----------
    status
        The HTTP status; NGAS and proxies also fail with 200.
    body
        The body, or the beginning of it.

    Returns
    -------
    PpiError
        Refused, Unavailable, Transient, or Damaged where something else came than what was asked for.
    """
    what, reply = f"server {server}", _reply(body)
    said = excerpt(reply.message.encode() if reply else body)
    why = f"HTTP {status}, {said}" if said else f"HTTP {status}"
    if status in (401, 403):
        return Refused(what, why, "check ppi.ngas.username and .password")
    if reply and reply.code == UNAVAILABLE:
        return Unavailable(what, why, "check the file's name and version")
    if status in _BUSY or (reply and _passing(reply)):
        return Transient(what, why, AGAIN)
    if status < requests.codes.bad_request:
        return Damaged(what, f"something else came than what was asked for ({why})", AGAIN)
    return Refused(what, why, "check that ppi.ngas.servers names an NGAS, and the reason that it gives")


def _reply(body: bytes) -> Reply | None:
    try:
        return read_reply(body, "the answer")
    except Refused:
        return None


def _passing(reply: Reply) -> bool:
    return not reply.succeeded and (reply.code == OFFLINE or reply.error == "NGAMS_ER_COM")

"""NRAO's locator service: a product's name goes in, where its files are comes out."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

import requests
import urllib3

from tasks.errors import Missing, PpiError, Refused, Transient
from tasks.ngas.locations import LARGEST, Locations, read_report
from tasks.ngas.patience import Patience, persevere
from tasks.ngas.reply import excerpt
from tasks.ngas.wire import AGAIN

__all__ = ["ask_locator"]

_CHECK: Final = "check ppi.ngas.locatorServiceUrlPrefix"
_PIECE: Final = 1 << 16
_BUSY: Final = frozenset({408, 429, 500, 502, 503, 504})
_SENSELESS: Final = (
    requests.exceptions.SSLError,
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.TooManyRedirects,
)


def ask_locator(
    prefix: str, locator: str, site: str | None, timeout: float, patience: Patience | None = None
) -> Locations:
    """Ask the locator service where the files of a product are.

    Parameters
    ----------
    prefix
        The service's URL.
    locator
        The product's, e.g. `uid://evla/execblock/…`.
    site
        This site's name, which says which servers can write files here themselves.
    timeout
        Seconds without a byte after which the service counts as gone; a report must also be here that long
        after it began.

    Raises
    ------
    Missing
        The service knows no such product, or no file of it.
    Transient
        It was busy, gone or slow beyond our patience.
    Refused
        What it answers is not a report that may be followed.
    """
    what, service = f"the locations of {locator!r}", urlsplit(prefix).netloc
    data = persevere(
        (service,), patience or Patience(), what, lambda at: _asked(at.server, prefix, locator, timeout)
    )
    return read_report(data, f"{what} from {prefix}", site)


def _asked(service: str, prefix: str, locator: str, timeout: float) -> bytes:
    """Ask once; certificates are judged by the system's authorities or those that the environment names."""
    what = f"server {service}"
    with _explained(what), requests.Session() as session:
        session.trust_env = False
        session.verify = os.environ.get("REQUESTS_CA_BUNDLE", True)
        with session.get(prefix, params={"locator": locator}, stream=True, timeout=timeout) as response:
            if response.status_code != requests.codes.ok:
                raise _failure(response, what)
            return _body(response, what, time.monotonic() + timeout)


@contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        yield
    except _SENSELESS as error:
        raise Refused(what, f"it cannot be spoken to ({_reason(error)})", _CHECK) from error
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise Transient(what, f"the connection failed ({_reason(error)})", AGAIN) from error


def _reason(error: Exception) -> str:
    """Say what lies at the bottom of what the libraries wrap in many layers."""
    while error.args and isinstance(error.args[-1], Exception):
        error = error.args[-1]
    return excerpt(str(getattr(error, "reason", None) or error).encode())


def _failure(response: requests.Response, what: str) -> PpiError:
    status = response.status_code
    why = f"HTTP {status}, {excerpt(response.raw.read1(_PIECE, decode_content=True))}".removesuffix(", ")
    if status == requests.codes.not_found:
        return Missing(what, f"it knows no such locator ({why})", "check the locator")
    if status in _BUSY:
        return Transient(what, why, AGAIN)
    return Refused(what, why, _CHECK)


def _body(response: requests.Response, what: str, ends: float) -> bytes:
    """Read a body as it comes, so that a trickle ends in time too."""
    body = bytearray()
    while piece := response.raw.read1(_PIECE, decode_content=True):
        body += piece
        if len(body) > LARGEST:
            raise Refused(what, f"it sends more than {LARGEST} bytes, which no report has", _CHECK)
        if time.monotonic() > ends:
            raise Transient(what, f"its answer is not whole after {len(body)} bytes and the time-out", AGAIN)
    return bytes(body)

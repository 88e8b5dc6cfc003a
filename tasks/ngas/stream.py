"""One request for a file's bytes, and whether what comes is that file at all.

Answers as seen on a public NGAS server: a resumed body comes with 200 and a Content-Range, sometimes whole
again; a range beyond the file has a negative length; a failure may come with 200.
"""

from __future__ import annotations

import re
from typing import Final

import requests

from tasks.errors import Missing, PpiError, Refused, Transient
from tasks.ngas.checksum import CHUNK
from tasks.ngas.model import StoredFile
from tasks.ngas.partial import Partial
from tasks.ngas.query import listed_at
from tasks.ngas.wire import AGAIN, Damaged, Unavailable, Wire, failure_of

__all__ = ["receive"]

_RANGE: Final = re.compile(r"bytes (\d+)-\d+/(?:\d+|\*)")
_PAGES: Final = ("text/html", "text/xml", "application/xml")
_PAGE_SUFFIXES: Final = (".html", ".htm", ".xml")


def receive(wire: Wire, server: str, file: StoredFile, partial: Partial) -> None:
    """Ask one server for the bytes that are not there yet, and add them.

    Raises
    ------
    Transient
        The server cannot be reached, breaks off, or lists the file but cannot reach it now.
    Missing
        The server does not have the file.
    Refused
        The server does not give it.
    Damaged
        What it sends is not the file that was described.
    """
    parameters = {"file_id": file.file_id, "file_version": str(file.version)}
    try:
        with wire.get(server, "RETRIEVE", parameters, start=partial.count) as response:
            _align(response, server, file, partial)
            for chunk in response.raw.stream(CHUNK, decode_content=False):
                partial.append(chunk)
    except Unavailable as error:
        raise _settled(error, wire, server, file) from error
    if not partial.whole:
        raise Transient(f"server {server}", f"only {partial.count} of {file.size} bytes came", AGAIN)


def _align(response: requests.Response, server: str, file: StoredFile, partial: Partial) -> None:
    """Make sure that the body continues what is there, or start again."""
    if response.status_code not in (requests.codes.ok, requests.codes.partial):
        raise failure_of(response, server)
    start, asked = _start(response), partial.count
    if start not in (0, asked):
        partial.discard()
        raise Damaged(f"server {server}", f"asked for bytes from {asked} on, it sent others", AGAIN)
    _require_length(response, server, file, file.size - start)
    if start != asked:
        partial.discard()


def _start(response: requests.Response) -> int:
    found = _RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    if found:
        return int(found[1])
    return 0 if response.status_code == requests.codes.ok else -1


def _require_length(response: requests.Response, server: str, file: StoredFile, length: int) -> None:
    offered = response.headers.get("Content-Length", "none")
    page = response.headers.get("Content-Type", "").partition(";")[0].strip().lower() in _PAGES
    if page and (offered != str(length) or _is_foreign(file)):
        raise failure_of(response, server)
    if offered != str(length):
        why = f"it offers {offered} bytes where the archive's description promises {length}"
        raise Damaged(f"server {server}", why, "ask the archive's operators to check their copy (CHECKFILE)")


def _is_foreign(file: StoredFile) -> bool:
    """Whether a page of markup cannot be this file, which has no checksum to prove it."""
    return file.checksum is None and not file.file_id.lower().endswith(_PAGE_SUFFIXES)


def _settled(error: Unavailable, wire: Wire, server: str, file: StoredFile) -> PpiError:
    """Ask what error 4019 means: the file was described before, so not being able to ask leaves it open."""
    try:
        listed = listed_at(wire, server, file)
    except Refused:
        listed = True
    if listed:
        why = f"{error.why}; the archive lists it, so its volume or node is out of reach now"
        return Transient(error.what, why, AGAIN)
    return Missing(error.what, f"{error.why}; the archive does not list it either", error.todo)

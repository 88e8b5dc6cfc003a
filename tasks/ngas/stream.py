"""One request for a file's bytes, and whether what comes is that file at all.

Answers as seen on a public NGAS server: a resumed body comes with 200 and a Content-Range, sometimes whole
again; a range beyond the file has a negative length; a failure may come with 200.
"""

from __future__ import annotations

import re
from typing import Final

from tasks.errors import Missing, PpiError, Refused, Transient
from tasks.ngas.checksum import CHUNK
from tasks.ngas.connection import Answer
from tasks.ngas.model import StoredFile
from tasks.ngas.partial import Partial
from tasks.ngas.query import listed_at
from tasks.ngas.wire import AGAIN, OK, Damaged, Unavailable, Wire, failure_of

__all__ = ["receive"]

_PART: Final = 206
_NO_RANGES: Final = frozenset({400, 416, 501})
"""With which servers answer that do not understand the range."""
_RANGE: Final = re.compile(r"bytes ([0-9]{1,18})-[0-9]+/(?:[0-9]+|\*)")
_PAGES: Final = ("text/html", "text/xml", "application/xml")
_PAGE_SUFFIXES: Final = (".html", ".htm", ".xml")


class _NoRanges(Refused):
    """It may be the range that the server refuses."""


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
    try:
        try:
            _fill(wire, server, file, partial, partial.count)
        except _NoRanges:
            _fill(wire, server, file, partial, 0)
    except Unavailable as error:
        raise _settled(error, wire, server, file) from error
    if not partial.whole:
        raise Transient(f"server {server}", f"only {partial.count} of {file.size} bytes came", AGAIN)


def _fill(wire: Wire, server: str, file: StoredFile, partial: Partial, start: int) -> None:
    parameters = {"file_id": file.file_id, "file_version": str(file.version)}
    with wire.get(server, "RETRIEVE", parameters, start=start) as answer:
        if answer.status not in (OK, _PART):
            raise _refusal(answer, start)
        _align(answer, file, partial)
        _pour(answer, partial)


def _pour(answer: Answer, partial: Partial) -> None:
    buffer = memoryview(bytearray(CHUNK))
    while count := answer.readinto(buffer):
        partial.append(buffer[:count])


def _refusal(answer: Answer, start: int) -> PpiError:
    error = failure_of(answer)
    if start and answer.status in _NO_RANGES and isinstance(error, Refused):
        return _NoRanges(error.what, error.why, error.todo)
    return error


def _align(answer: Answer, file: StoredFile, partial: Partial) -> None:
    """Make sure that the body continues what is there, or start again."""
    start, there = _start(answer), partial.count
    if start not in (0, there):
        partial.discard()
        raise Damaged(answer.what, f"asked for bytes from {there} on, it sent others", AGAIN)
    _require_length(answer, file, file.size - start)
    if start != there:
        partial.discard()


def _start(answer: Answer) -> int:
    found = _RANGE.fullmatch(answer.headers.get("Content-Range", "").strip())
    if found:
        return int(found[1])
    return 0 if answer.status == OK else -1


def _require_length(answer: Answer, file: StoredFile, length: int) -> None:
    offered = answer.headers.get("Content-Length")
    page = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower() in _PAGES
    if page and (offered != str(length) or _is_foreign(file)):
        raise failure_of(answer)
    if offered not in (None, str(length)):  # a proxy may leave it away; then the bytes that come are counted
        why = f"it offers {offered} bytes where the archive's description promises {length}"
        raise Damaged(answer.what, why, "ask the archive's operators to check their copy (CHECKFILE)")


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

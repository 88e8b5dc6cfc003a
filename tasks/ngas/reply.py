"""What NGAS answers: status documents and query listings, read into values.

A status document carries no error code of its own: the code sits inside the message, and some messages have
none. Its DOCTYPE names a URL, which is never fetched. Listings come as JSON from newer servers and as a text
table from all. Formats as seen on a public NGAS 12.0 server.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from lxml import etree

from tasks.errors import Refused
from tasks.ngas.checksum import Checksum
from tasks.xml import local_name, parse

__all__ = ["BUFFERED", "OFFLINE", "UNAVAILABLE", "FileEntry", "Reply", "excerpt", "read_listing", "read_reply"]

UNAVAILABLE: Final = 4019
"""No such file, or one that cannot be reached now: the archive does not say which."""
OFFLINE: Final = 4015
"""The server is in a state in which it serves nothing."""
BUFFERED: Final = "NGAMS_WA_BUF_DATA"
"""The server could not archive a file now, and keeps it to archive it later by itself."""

_COUNT: Final = re.compile(r"([0-9]{1,18})(?:\.0+)?")
_CODE: Final = re.compile(r"\b(NGAMS_[A-Z0-9_]+):(\d+):")


@dataclass(frozen=True)
class FileEntry:
    """One copy of one version of a file, as the archive lists it."""

    file_id: str
    version: int
    size: int
    """Bytes."""
    checksum: Checksum | None


@dataclass(frozen=True)
class Reply:
    """A status document."""

    succeeded: bool
    """Whether it says SUCCESS; anything else, nothing included, is not."""
    message: str
    error: str
    """The symbol inside the message, e.g. `NGAMS_ER_UNAVAIL_FILE`; empty when there is none."""
    code: int | None
    """The number inside the message; None when there is none."""
    state: str
    """The server's, e.g. `ONLINE`; empty when it is not told."""
    version: str
    """The server's software; empty when it is not told."""
    files: tuple[FileEntry, ...]


def read_reply(document: bytes, what: str) -> Reply:
    """Read a status document.

    Raises
    ------
    Refused
        It is not one: not well-formed, or of another kind.
    """
    root = parse(document, what)
    if local_name(root) != "NgamsStatus":
        raise Refused(f"{what} cannot be read", f"its root is {local_name(root)!r}, not 'NgamsStatus'")
    status = _first(root, "Status")
    message = status.get("Message", "")
    found = _CODE.search(message)
    return Reply(
        succeeded=status.get("Status") == "SUCCESS",
        message=message,
        error=found[1] if found else "",
        code=int(found[2]) if found else None,
        state=status.get("State", ""),
        version=status.get("Version", ""),
        files=tuple(_entry_of_element(each, what) for each in root.iter() if local_name(each) == "FileStatus"),
    )


def _first(root: etree._Element, name: str) -> Mapping[str, str]:
    attributes = ({str(k): str(v) for k, v in e.attrib.items()} for e in root if local_name(e) == name)
    return next(attributes, {})


def _entry_of_element(element: etree._Element, what: str) -> FileEntry:
    names = {"file_id": "FileId", "file_version": "FileVersion", "file_size": "FileSize"}
    names |= {"checksum": "Checksum", "checksum_plugin": "ChecksumPlugIn"}
    return _entry({column: element.get(name) for column, name in names.items()}, what)


def read_listing(body: bytes, file_id: str, what: str) -> tuple[FileEntry, ...]:
    """Read the rows of one file from the answer to a `files_like` query, in JSON or as a text table.

    An underscore in the pattern stands for any character, so that the answer may list other files too.

    Raises
    ------
    Refused
        It is neither, or rows lack what is needed.
    """
    text = body.decode("utf-8", "replace").strip()
    rows = _rows_of_json(text, what) if text.startswith("[") else _rows_of_table(text, what)
    return tuple(_entry(row, what) for row in rows if row.get("file_id") == file_id)


def _rows_of_json(text: str, what: str) -> list[Mapping[str, Any]]:
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refused(f"{what} cannot be read", f"not JSON ({error})") from error
    if not all(isinstance(row, dict) for row in rows):
        raise Refused(f"{what} cannot be read", "not a list of objects")
    return list(rows)


def _rows_of_table(text: str, what: str) -> Iterable[Mapping[str, str]]:
    """Cut a table at the columns that its rule of dashes marks; cells may hold blanks."""
    lines = text.splitlines()
    if len(lines) < 3 or not re.fullmatch(r"[- ]+", lines[0]) or lines[0].strip() != lines[2].strip():
        raise Refused(f"{what} cannot be read", "neither JSON nor a table of files")
    spans = [found.span() for found in re.finditer(r"-+", lines[0])]
    cells = [[line[start:end].strip() for start, end in spans] for line in lines[1:]]
    header, body = cells[0], cells[2:]
    return [dict(zip(header, row, strict=True)) for row in body]


def _entry(row: Mapping[str, Any], what: str) -> FileEntry:
    return FileEntry(
        file_id=str(row.get("file_id") or ""),
        version=_whole(row.get("file_version"), f"{what}: file_version", least=1),
        size=_whole(row.get("file_size"), f"{what}: file_size"),
        checksum=Checksum.parse(row.get("checksum_plugin"), row.get("checksum")),
    )


def _whole(value: object, what: str, least: int = 0) -> int:
    """Read a count; a database with decimals makes the archive write `3.0` for 3."""
    found = _COUNT.fullmatch(str(value))
    if not found or int(found[1]) < least:
        raise Refused(f"{what} cannot be read", f"{value!r} is not a count")
    return int(found[1])


def excerpt(body: bytes, length: int = 200) -> str:
    """Return the beginning of a body as one printable line, for messages."""
    text = " ".join(body.decode("utf-8", "replace").split())
    printable = "".join(c if c.isprintable() else "?" for c in text)
    return printable if len(printable) <= length else f"{printable[:length]}..."

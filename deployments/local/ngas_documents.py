"""The documents that NGAS answers with: status in XML, listings as JSON, table or Python list."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from lxml import etree

from deployments.local.ngas_index import Entry

__all__ = ["VERSION", "Listing", "listing", "status_document"]

VERSION: Final = "12.0-embedded/2022-11-29T07:00:00"
"""Named after the server whose behaviour this one follows; `embedded` says that it is not that one."""

_FILE_ATTRIBUTES: Final = {
    "FileId": "file_id",
    "FileName": "file_name",
    "FileVersion": "file_version",
    "FileSize": "file_size",
    "UncompressedFileSize": "uncompressed_file_size",
    "Checksum": "checksum",
    "ChecksumPlugIn": "checksum_plugin",
    "FileStatus": "file_status",
    "Ignore": "file_ignore",
    "Format": "format",
    "Compression": "compression",
    "IngestionDate": "ingestion_date",
    "CreationDate": "creation_date",
}


def status_document(
    host: str,
    message: str,
    *,
    succeeded: bool = True,
    state: str = "ONLINE",
    entry: Entry | None = None,
    holder: str = "",
) -> bytes:
    """Write a status document.

    Parameters
    ----------
    host
        The server's `host:port`.
    entry
        The file to describe, if any.
    holder
        The `host:port` of the server that has its volume; by default this one.
    """
    root = etree.Element("NgamsStatus")
    status = {
        "Date": datetime.now(UTC).isoformat(timespec="milliseconds")[:-6],
        "Version": VERSION,
        "HostId": host,
        "Message": message,
        "Status": "SUCCESS" if succeeded else "FAILURE",
        "State": state,
        "SubState": "IDLE",
    }
    etree.SubElement(root, "Status", status)
    if entry:
        disk = {"DiskId": entry.disk_id, "HostId": holder or host, "SlotId": "1", "Mounted": "1"}
        disk["MountPoint"] = f"volume{entry.disk_id.rpartition('-')[2]}"
        values = {name: str(getattr(entry, column)) for name, column in _FILE_ATTRIBUTES.items()}
        etree.SubElement(etree.SubElement(root, "DiskStatus", disk), "FileStatus", values)
    doctype = f'<!DOCTYPE NgamsStatus SYSTEM "http://{host}/RETRIEVE?internal=ngamsStatus.dtd">'
    return etree.tostring(root, xml_declaration=True, encoding="utf-8", doctype=doctype, pretty_print=True)


@dataclass(frozen=True)
class Listing:
    """The answer to a query."""

    body: bytes
    media_type: str


def listing(columns: Sequence[str], rows: Sequence[Sequence[object]], form: str) -> Listing:
    """Write the answer to a query in the form that was asked for; a Python list where none was."""
    if form == "json":
        records = [dict(zip(columns, row, strict=True)) for row in rows]
        return Listing(json.dumps(records).encode(), "application/json")
    if form in ("list", "text"):
        return Listing(_table(columns, rows).encode(), "text/plain")
    return Listing(str([tuple(row) for row in rows]).encode(), "application/python-list")


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    cells = [list(columns), *([str(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    rule = " ".join("-" * width for width in widths)
    head, *body = (" ".join(map(str.ljust, line, widths)) for line in cells)
    return "\n".join((rule, head, rule, *body))

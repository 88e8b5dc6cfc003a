"""How the embedded archive takes files in over HTTP (ARCHIVE and QARCHIVE)."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from email.message import Message
from io import BufferedIOBase
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from deployments.local.ngas_index import Entry, decimal_text, kind_of
from deployments.local.ngas_refusal import Refusal
from tasks.ngas.checksum import CHUNK, Checksum, Kind, Running

if TYPE_CHECKING:
    from deployments.local.ngas_server import NgasServer

__all__ = ["receive"]


def receive(server: NgasServer, headers: Message, parameters: Mapping[str, str], stream: BufferedIOBase) -> Entry:
    """Take a file from a request's body into the archive, as the next version of its id.

    Raises
    ------
    Refusal
        It has no name or no length, or its checksum is not the one announced.
    ConnectionAbortedError
        The body ends before its announced length.
    """
    file_id = _file_id(headers, parameters)
    length = headers.get("Content-Length", "")
    if not re.fullmatch(r"[1-9]\d*", length):
        raise Refusal("Content-Length is missing or zero", status=411)
    staged = server.index.staging / secrets.token_hex(8)
    try:
        got = _stage(stream, staged, int(length), kind_of(server.plugin) or "crc32")
        _require_announced(headers.get("NGAS-File-CRC"), got, server.signed)
        recorded = got if kind_of(server.plugin) else None
        media_type = parameters.get("mime_type") or headers.get("Content-Type") or "application/octet-stream"
        text = decimal_text(recorded, signed=server.signed)
        return server.index.add(staged, file_id, media_type, server.plugin, text, server.disk_id)
    finally:
        staged.unlink(missing_ok=True)


def _file_id(headers: Message, parameters: Mapping[str, str]) -> str:
    """Take the last part of the given name, as NGAS does: `uid://A002/X/X1` becomes `X1`."""
    name = parameters.get("filename") or headers.get_param("filename", "", "Content-Disposition")
    file_id = PurePosixPath(str(name)).name
    if not file_id:
        raise Refusal("No filename given for the file to archive")
    return file_id


def _stage(stream: BufferedIOBase, path: Path, length: int, kind: Kind) -> Checksum:
    running, rest = Running(kind), length
    with path.open("wb", buffering=0) as staged:
        while rest:
            chunk = stream.read(min(rest, CHUNK))
            if not chunk:
                raise ConnectionAbortedError
            running.update(chunk)
            staged.write(chunk)
            rest -= len(chunk)
    return running.checksum


def _require_announced(announced: str | None, got: Checksum, signed: bool) -> None:
    """Compare texts, as NGAS does."""
    if announced is not None and announced != decimal_text(got, signed=signed):
        raise Refusal(f"Checksum of the data received is {got.value}, announced was {announced}")

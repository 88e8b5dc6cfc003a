"""Whether a FITS file is whole: a program that was cut off leaves one that looks right and ends too early."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import BinaryIO

__all__ = ["fault"]

_RECORD, _CARD = 2880, 80
_PRIMARY, _EXTENSION = b"SIMPLE  =", b"XTENSION="


def fault(path: Path) -> str | None:
    """Say why a FITS file is not whole; None where every header ends and all promised data are there.

    Only the headers are read, so that the size of an image does not matter.
    """
    size, end, opening = path.stat().st_size, 0, _PRIMARY
    with path.open("rb") as stream:
        while end < size or opening == _PRIMARY:
            stream.seek(end)
            header = _header(stream, opening)
            length = _data_length(header)
            if length is None:
                return f"it is no FITS file, or its header at byte {end} is cut off"
            end += len(header) + length
            opening = _EXTENSION
    return None if end == size else f"it has {size} bytes, and its headers promise {end}"


def _header(stream: BinaryIO, opening: bytes) -> bytes:
    """Read a header with its END; one that begins otherwise, or is cut off, comes back empty."""
    header = b""
    while len(record := stream.read(_RECORD)) == _RECORD and (header or record).startswith(opening):
        header += record
        if b"END".ljust(_CARD) in _cards(record):
            return header
    return b""


def _cards(header: bytes) -> list[bytes]:
    return [header[at : at + _CARD] for at in range(0, len(header), _CARD)]


def _data_length(header: bytes) -> int | None:
    """Return the bytes of data that follow a header, filled up to whole records."""
    values = {card[:8].rstrip(): card[10:].partition(b"/")[0] for card in _cards(header) if card[8:9] == b"="}
    try:
        axes = [int(values[b"NAXIS%d" % number]) for number in range(1, int(values[b"NAXIS"]) + 1)]
        groups, extra = int(values.get(b"GCOUNT", 1)), int(values.get(b"PCOUNT", 0))
        length = abs(int(values[b"BITPIX"])) // 8 * groups * (extra + prod(axes)) if axes else 0
    except (KeyError, ValueError):
        return None
    return -(-length // _RECORD) * _RECORD

"""The archive's checksums, computed while the bytes stream past.

NGAS keeps a checksum as decimal text beside the name of the plug-in that made it. Three plug-ins are zlib's
crc32 under different names, one is Castagnoli's crc32c, and the older ones wrote signed numbers: here all of
them become one comparable value, so that nobody has to compare texts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

from crc32c import crc32c
from isal.isal_zlib import crc32
from pydantic import BaseModel, ConfigDict, Field

from tasks.errors import Refused

__all__ = ["CHUNK", "Checksum", "Kind", "Running", "checksum_of"]

CHUNK: Final = 1 << 20
"""Bytes moved at once, on the wire and on disk."""

Kind = Literal["crc32", "crc32c"]

_PLUGINS: Final[Mapping[str, Kind]] = {
    "crc32": "crc32",
    "crc32z": "crc32",
    "ngamsGenCrc32": "crc32",
    "crc32c": "crc32c",
}
_UPDATES: Final[Mapping[Kind, Callable[[bytes | memoryview, int], int]]] = {"crc32": crc32, "crc32c": crc32c}
_DECIMAL: Final = re.compile(r"[+-]?[0-9]{1,10}", re.ASCII)


class Checksum(BaseModel):
    """A checksum that can be computed here and compared with the archive's."""

    model_config = ConfigDict(frozen=True)

    kind: Kind
    """The polynomial: zlib's crc32 or Castagnoli's crc32c."""
    value: Annotated[int, Field(ge=0, lt=1 << 32)]
    """Unsigned, whatever the archive wrote."""

    @classmethod
    def parse(cls, plugin_name: str | None, decimal_text: str | int | None) -> Checksum | None:
        """Read what the archive recorded.

        Parameters
        ----------
        plugin_name
            The checksum plug-in's name, with or without the Python module that it lives in.
        decimal_text
            The value, signed or unsigned.

        Returns
        -------
        Checksum or None
            None when the archive has no checksum, or did not record how it was made.

        Raises
        ------
        Refused
            The plug-in is not one that can be computed here, or the value is not a 32-bit number.
        """
        name, text = _present(plugin_name), _present(decimal_text)
        if not name or not text:
            return None
        kind = _PLUGINS.get(name.rpartition(".")[2])
        if kind is None:
            known = ", ".join(_PLUGINS)
            raise Refused(f"checksum plug-in {name!r} is not known", f"known are {known}", "add it to PPI")
        return cls(kind=kind, value=_unsigned(text))

    def __str__(self) -> str:
        return f"{self.kind}:{self.value}"


def _present(recorded: str | int | None) -> str:
    text = "" if recorded is None else str(recorded).strip()
    return "" if text == "None" else text


def _unsigned(text: str) -> int:
    value = int(text) if _DECIMAL.fullmatch(text) else None
    if value is None or not -(1 << 31) <= value < 1 << 32:
        raise Refused(f"checksum {text!r} cannot be read", "it is not a 32-bit decimal number")
    return value % (1 << 32)


class Running:
    """A checksum in the making.

    Parameters
    ----------
    kind
        Which checksum.
    """

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._update = _UPDATES[kind]
        self._value = 0

    def update(self, data: bytes | memoryview) -> None:
        """Take the next bytes into account."""
        self._value = self._update(data, self._value)

    @property
    def checksum(self) -> Checksum:
        """The checksum of all bytes so far."""
        return Checksum(kind=self._kind, value=self._value)


def checksum_of(path: Path, kind: Kind) -> Checksum:
    """Compute the checksum of a whole file."""
    running = Running(kind)
    with path.open("rb", buffering=0) as stream:
        while chunk := stream.read(CHUNK):
            running.update(chunk)
    return running.checksum

"""The last lines of a log: a job's own words on what it does, or why it ended.

Whatever programs wrote there goes to terminals and pages, so that nothing but lines of printable text comes out.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

__all__ = ["JOBS", "LOGS", "Follower", "printable", "tail"]

LOGS: Final = (".err", ".out", ".log")
"""How the files that a job leaves end: what it said, what it printed, and what HTCondor did with it."""
JOBS: Final = "jobs"
"""Below which part of the path browsers see them, as ``jobs/<crew>/<file>``."""
_MOST_BYTES: Final = 1 << 18
_NOT_TEXT: Final = "\N{REPLACEMENT CHARACTER}"


def tail(path: Path, lines: int = 5) -> str:
    """Return the last lines of a file, as far as its last 256 kB hold them; nothing if it is not there."""
    return "\n".join(_lines(_read_from(path, 0)[1])[-lines:])


class Follower:
    """Reads on in a file that others write, whole lines only.

    Parameters
    ----------
    path
        The file, which need not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0

    def more(self) -> list[str]:
        """Return the lines that were finished since the last call, as far as the last 256 kB hold them."""
        begin, data = _read_from(self.path, self._offset)
        whole = data[: data.rfind(b"\n") + 1] or (data if len(data) == _MOST_BYTES else b"")
        self._offset = begin + len(whole)
        return _lines(whole)


def _read_from(path: Path, offset: int) -> tuple[int, bytes]:
    """Read the end of a file that lies after an offset; one that became shorter is new as a whole.

    Returns
    -------
    tuple[int, bytes]
        Where the bytes begin, and the bytes.
    """
    try:
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            wanted = offset if offset <= size else 0
            begin = max(wanted, size - _MOST_BYTES)
            stream.seek(begin)
            data = stream.read(_MOST_BYTES)
    except FileNotFoundError:
        return offset, b""
    cut = data.find(b"\n") + 1 if begin > wanted else 0
    return begin + cut, data[cut:]


def _lines(data: bytes) -> list[str]:
    return (
        [printable(line) for line in data.decode(errors="replace").removesuffix("\n").split("\n")] if data else []
    )


def printable(line: str) -> str:
    """Show control characters, which could make a terminal do things, as what they are: no text."""
    plain = line.removesuffix("\r").expandtabs()
    return "".join(character if character.isprintable() else _NOT_TEXT for character in plain)

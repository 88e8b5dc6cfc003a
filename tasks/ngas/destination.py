"""Where files of the archive come to lie: below the destination and nowhere else, whatever anybody calls them.

A path from outside is judged twice: as text, before any work starts, and on the disk, where links may lie that
lead elsewhere.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path, PurePosixPath

from tasks.disk import explained
from tasks.errors import Refused

__all__ = ["destination_of", "relative_path"]

_LONGEST_NAME, _LONGEST_PATH = 255, 2048
"""Bytes: a file system's limit, and half of one's limit, since the destination comes before it."""


def relative_path(text: str) -> PurePosixPath:
    """Read a path that stays below wherever it is put.

    Raises
    ------
    ValueError
        It would not, or it is none.
    """
    path = PurePosixPath(text)
    if not text.isprintable():
        raise ValueError("it has characters that cannot be printed")
    if "\\" in text:
        raise ValueError("it has a backslash")
    if path.is_absolute():
        raise ValueError("it is absolute")
    if ".." in path.parts:
        raise ValueError("it leaves the destination")
    if not path.parts:
        raise ValueError("it is empty")
    if any(part.startswith(".") for part in path.parts):
        raise ValueError("it is hidden, which no file of an observation is")
    if len(text.encode()) > _LONGEST_PATH or any(len(part.encode()) > _LONGEST_NAME for part in path.parts):
        raise ValueError("it is too long")
    return path


def destination_of(root: Path, path: PurePosixPath) -> Path:
    """Make the folders on the way to a file below a root, and return where the file is to lie.

    Raises
    ------
    Refused
        A link that leaves the root lies in the way, or a file.
    Failed
        A folder cannot be made.
    """
    with explained(f"{path} cannot be placed in {root}"):
        root.mkdir(parents=True, exist_ok=True)
        home = root.resolve()
        place = home
        for part in path.parts[:-1]:
            place /= part
            _enter(place, home)
    return place / path.name


def _enter(folder: Path, home: Path) -> None:
    todo = "remove it, or choose another destination"
    if not folder.is_symlink():
        with suppress(FileExistsError):
            folder.mkdir()
    if not folder.is_dir():
        raise Refused(str(folder), "a folder should be there", todo)
    if not folder.resolve().is_relative_to(home):
        raise Refused(str(folder), f"it is a link that leaves {home}", todo)

"""What is put into the archive: a file as it lies there, or a tar that is made of a tree while it is sent.

A measurement set is a tree of terabytes, so its tar is never written to disk. It has no times, owners or rights of
its own, and its members are in order: the same tree gives the same bytes, by which it is known again.
"""

from __future__ import annotations

import stat
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, Protocol

from tasks.disk import explained
from tasks.errors import Failed, Missing, Refused
from tasks.ngas.checksum import CHUNK, Checksum, Kind, Running

__all__ = ["Content", "Packed", "Source", "content_checksum"]

_LOCK: Final = "table.lock"
"""Who has a CASA table open writes into this file, and whoever opens one without it makes it anew."""


class Content(Protocol):
    """What can be archived."""

    @property
    def size(self) -> int:
        """Bytes."""

    def parts(self) -> Iterator[tuple[BinaryIO, int]]:
        """Yield its parts, each open at its beginning, with its bytes."""

    def require_unchanged(self) -> None:
        """Make sure that it is still what it was.

        Raises
        ------
        Failed
            It changed.
        """


def content_checksum(content: Content, kind: Kind) -> Checksum:
    """Compute the checksum of all parts; an `OSError` where they cannot be read."""
    running = Running(kind)
    for stream, size in content.parts():
        left = size
        while chunk := stream.read(min(left, CHUNK)):
            running.update(chunk)
            left -= len(chunk)
    return running.checksum


@dataclass(frozen=True)
class Source:
    """A file that is to be archived, as it was at first."""

    path: Path
    size: int
    mtime_ns: int

    def __str__(self) -> str:
        return str(self.path)

    @classmethod
    def of(cls, path: Path) -> Source:
        """Look at a file.

        Raises
        ------
        Missing
            There is none.
        Refused
            It is empty, which NGAS does not take, or no file.
        """
        try:
            found = path.stat()
        except FileNotFoundError as error:
            raise Missing(f"{path} cannot be archived", "there is no such file", "check its name") from error
        except OSError as error:
            raise Refused(f"{path} cannot be archived", str(error.strerror), "check its name") from error
        if not stat.S_ISREG(found.st_mode) or not found.st_size:
            raise Refused(f"{path} cannot be archived", "it is empty or no file, which NGAS does not take")
        return cls(path, found.st_size, found.st_mtime_ns)

    def parts(self) -> Iterator[tuple[BinaryIO, int]]:
        """Yield the file."""
        with self.path.open("rb", buffering=0) as stream:
            yield stream, self.size

    def require_unchanged(self) -> None:
        """Make sure that it is still what it was; see `Content`."""
        with explained(f"{self.path} cannot be archived"):
            found = self.path.stat()
        if (found.st_size, found.st_mtime_ns) != (self.size, self.mtime_ns):
            raise _changing(self.path)


class _Member(NamedTuple):
    """A file or folder of a tree; a folder has no size."""

    name: str
    size: int | None
    mtime_ns: int


@dataclass(frozen=True)
class Packed:
    """Trees of one folder as a tar, as they were at first.

    Parameters
    ----------
    folder
        What the names begin in.
    names
        The trees, in order.
    members
        All files and folders in them, in order.
    """

    folder: Path
    names: tuple[str, ...]
    members: tuple[_Member, ...]

    def __str__(self) -> str:
        return f"the tar of {self.folder / self.names[0]}"

    @classmethod
    def of(cls, folder: Path, names: Sequence[str]) -> Packed:
        """Look at trees, or files, of a folder; locks of CASA's tables are left out.

        Raises
        ------
        Missing
            One is not there.
        Refused
            There is something in one that is neither file nor folder.
        Failed
            One cannot be read.
        """
        absent = next((name for name in names if not (folder / name).exists()), None)
        if absent or not names:
            raise Missing(f"{folder / (absent or '')} cannot be archived", "there is no such thing")
        with explained(f"{folder} cannot be archived"):
            members = tuple(member for name in sorted(names) for member in _members(folder, name))
        return cls(folder, tuple(sorted(names)), members)

    @property
    def size(self) -> int:
        """Bytes of the tar."""
        return sum(size for _, size in self._pieces())

    def parts(self) -> Iterator[tuple[BinaryIO, int]]:
        """Yield headers, files and what fills them up to whole blocks."""
        for piece, size in self._pieces():
            with piece.open("rb", buffering=0) if isinstance(piece, Path) else BytesIO(piece) as stream:
                yield stream, size

    def _pieces(self) -> Iterator[tuple[Path | bytes, int]]:
        count = 0
        for member in self.members:
            for piece, size in _pieces(self.folder, member):
                count += size
                yield piece, size
        end = bytes(-(count + 2 * tarfile.BLOCKSIZE) % tarfile.RECORDSIZE + 2 * tarfile.BLOCKSIZE)
        yield end, len(end)

    def require_unchanged(self) -> None:
        """Make sure that all members are still what they were, and no more; see `Content`."""
        if self != Packed.of(self.folder, self.names):
            raise _changing(self.folder)


def _changing(path: Path) -> Failed:
    return Failed(f"{path} cannot be archived", "it changes meanwhile", "run again when it is finished")


def _members(folder: Path, name: str) -> Iterator[_Member]:
    found = (folder / name).lstat()
    if stat.S_ISREG(found.st_mode):
        yield _Member(name, found.st_size, found.st_mtime_ns)
        return
    if not stat.S_ISDIR(found.st_mode):
        raise Refused(f"{folder / name} cannot be archived", "it is neither a file nor a folder", "replace it")
    yield _Member(name, None, 0)
    for inner in sorted(path.name for path in (folder / name).iterdir()):
        if inner != _LOCK:
            yield from _members(folder, f"{name}/{inner}")


def _pieces(folder: Path, member: _Member) -> Iterator[tuple[Path | bytes, int]]:
    info = tarfile.TarInfo(member.name)
    info.size, info.mode = member.size or 0, 0o644
    if member.size is None:
        info.type, info.mode = tarfile.DIRTYPE, 0o755
    header = info.tobuf(tarfile.PAX_FORMAT)
    yield header, len(header)
    if member.size:
        padding = -member.size % tarfile.BLOCKSIZE
        yield folder / member.name, member.size
        yield bytes(padding), padding

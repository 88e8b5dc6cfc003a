"""Opening the archive's tars, whole or not at all, whatever is in them.

A tar from outside may name paths beyond its folder, reach them through links, or end early without a complaint
from the library. Here names and links are judged before anything is written, the end mark must be there, and
the folder appears under its name only when all of it is unpacked.
"""

from __future__ import annotations

import lzma
import secrets
import shutil
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Final

from tasks.disk import explained
from tasks.errors import Failed, Missing, Refused
from tasks.ngas.checksum import CHUNK

__all__ = ["unpack"]

_BROKEN: Final = (tarfile.ReadError, tarfile.ExtractError, EOFError, zlib.error, lzma.LZMAError)


def unpack(tar: Path, destination: Path, select: Callable[[str], bool] = lambda name: True) -> tuple[str, ...]:
    """Unpack a tar, compressed or not, as a new folder.

    Parameters
    ----------
    tar
        The file.
    destination
        The folder that appears; it may be there already only if it is empty.
    select
        Which members to unpack, by their names, which never begin with ``./``; all are judged.

    Returns
    -------
    tuple of str
        The names at the top of what was unpacked, in order.

    Raises
    ------
    Missing
        There is no such tar.
    Refused
        A member's name or link leaves the folder, or it is neither file, folder nor link; or the destination
        is in use.
    Failed
        The tar is incomplete, damaged or none at all, or the disk does not take it.
    """
    if not tar.is_file():
        raise Missing(f"tar {tar} cannot be unpacked", "it is not there")
    if destination.exists() and not (destination.is_dir() and not any(destination.iterdir())):
        raise Refused(f"tar {tar} cannot be unpacked", f"{destination} is in use", "choose another folder")
    draft = destination.with_name(f".{secrets.token_hex(8)}.unpacking")
    with explained(f"tar {tar} cannot be unpacked"):
        draft.mkdir(parents=True)
        try:
            _extract(tar, draft, select)
            names = tuple(sorted(each.name for each in draft.iterdir()))
            draft.rename(destination)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return names


def _extract(tar: Path, folder: Path, select: Callable[[str], bool]) -> None:
    judge = _Judge(tar)
    with _whole(tar), tarfile.open(tar, errorlevel=2) as archive:
        for member in archive:
            judge.admit(member)
            if select(str(PurePosixPath(member.name))):
                archive.extract(member, folder, filter="data")
        _require_end(archive)


@contextmanager
def _whole(tar: Path) -> Iterator[None]:
    what, todo = f"tar {tar} cannot be unpacked", "fetch it again; if it stays so, ask the archive's operators"
    try:
        yield
    except tarfile.FilterError as error:
        raise Refused(what, str(error)) from error
    except _BROKEN as error:
        raise Failed(what, f"it is incomplete or damaged ({error})", todo) from error
    except OSError as error:
        if error.errno is None:  # the decompressors' own complaints
            raise Failed(what, f"it is damaged ({error})", todo) from error
        raise


def _require_end(archive: tarfile.TarFile) -> None:
    """Require the block of zeros that ends a tar, and read on to where its compression is checked."""
    stream = archive.fileobj
    if stream is None:
        raise tarfile.ReadError("it is closed")
    stream.seek(archive.offset)
    if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError("it ends without its end mark")
    while stream.read(CHUNK):
        pass


class _Judge:
    """Admits members one after the other, by their names and links alone.

    The library's own filter asks the file system where a path leads, which members unpacked earlier can deceive.
    So: nothing goes through a link that the tar made, and a link climbs only from its own folder, which no link
    of the tar can have displaced.
    """

    def __init__(self, tar: Path) -> None:
        self._tar = tar
        self._links: set[PurePosixPath] = set()
        self._files: set[PurePosixPath] = set()

    def admit(self, member: tarfile.TarInfo) -> None:
        """Take note of a member.

        Raises
        ------
        Refused
            It is hostile, or of a kind that no observation has.
        """
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts:
            raise self._refused(member, "its name leaves the folder")
        if self._links.intersection((path, *path.parents)):
            raise self._refused(member, "its name goes through a link")
        if member.issym():
            self._admit_link(member, path)
        elif member.islnk():
            self._admit_second_name(member, path)
        elif member.isreg():
            self._files.add(path)
        elif not member.isdir():
            raise self._refused(member, "it is neither a file nor a folder nor a link")

    def _admit_link(self, member: tarfile.TarInfo, path: PurePosixPath) -> None:
        target = PurePosixPath(member.linkname)
        climbs = next((i for i, part in enumerate(target.parts) if part != ".."), len(target.parts))
        if target.is_absolute() or climbs > len(path.parts) - 1 or ".." in target.parts[climbs:]:
            raise self._refused(member, f"its link to {member.linkname!r} leaves the folder")
        self._links.add(path)

    def _admit_second_name(self, member: tarfile.TarInfo, path: PurePosixPath) -> None:
        if PurePosixPath(member.linkname) not in self._files:
            raise self._refused(member, f"its link to {member.linkname!r} is not to a file before it")
        self._files.add(path)

    def _refused(self, member: tarfile.TarInfo, why: str) -> Refused:
        what = f"member {member.name!r} of tar {self._tar} is not unpacked"
        return Refused(what, why, "do not trust this tar; tell the archive's operators")

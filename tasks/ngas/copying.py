"""COPY: a server of the archive writes a file to a shared file system itself, and nothing comes over the wire.

A plug-in of NRAO's servers does it. Its answer proves nothing: it comes with status 200 although the file is short
or not there at all. So the file is watched while it grows, and read whole before it counts.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from tasks.abandon import require_wanted
from tasks.disk import explained, sync_folder
from tasks.errors import Missing, Refused, Transient
from tasks.ngas.checksum import CHUNK, Running
from tasks.ngas.connection import Unwell
from tasks.ngas.health import watched
from tasks.ngas.model import StoredFile
from tasks.ngas.patience import Attempt, Patience, persevere
from tasks.ngas.reply import read_reply
from tasks.ngas.wire import AGAIN, OK, Damaged, Wire, failure, failure_of

__all__ = ["copied", "copy"]

_LOG: Final = logging.getLogger(__name__)
_PLUGIN: Final = "ngamsDirectCopyDppi"
_PLAIN: Final = re.compile(r"/[A-Za-z0-9._/+@:-]+")
"""A folder that NGAS cannot misread: it cuts parameters at commas and equals signs, and may ask a shell."""
_MOST_ROUNDS: Final = 2
"""What fails twice is streamed."""
_NOT_WRITTEN: Final = "see that NGAS's user may write there, and that both see the same file system"


def copied(
    wire: Wire,
    file: StoredFile,
    destination: Path,
    on_bytes: Callable[[int], None],
    timeout: float,
    patience: Patience,
) -> Attempt | None:
    """Have the server that holds a file write it to its destination, if it can.

    Returns
    -------
    Attempt or None
        The one that did it. None when none did: the reason is in the log, and the file has to be streamed.

    Raises
    ------
    Failed
        The disk does not take it.
    """
    folder = destination.parent.absolute()
    if not _PLAIN.fullmatch(str(folder)):
        _LOG.warning("%s is streamed: NGAS could misread the name of %s", file, folder)
        return None

    def attempt(at: Attempt) -> Attempt:
        outfile = folder / f".ngas-{secrets.token_hex(8)}.copy"
        copy(wire, at.server, file, outfile, on_bytes, timeout)
        with explained(f"{file} cannot be placed"):
            outfile.replace(destination)
            sync_folder(folder)
        return at

    few = replace(patience, rounds=min(_MOST_ROUNDS, patience.rounds))
    try:
        return persevere((file.server,), few, str(file), watched(attempt))
    except (Missing, Refused, Transient, Damaged) as error:
        _LOG.warning("%s is streamed, since it cannot be copied: %s", file, error)
        return None


def copy(
    wire: Wire, server: str, file: StoredFile, outfile: Path, on_bytes: Callable[[int], None], timeout: float
) -> None:
    """Have a server write a file, and prove what it wrote; what proves wrong is removed.

    Parameters
    ----------
    outfile
        A full path of plain characters where nothing lies; the server's user must be able to write there.
    on_bytes
        Called with each gain in bytes; and with all of them as a negative number when they prove wrong.
    timeout
        Seconds without an answer and without growth after which the server counts as stalled.

    Raises
    ------
    Transient
        The server cannot be reached, breaks off, or the file does not grow.
    Refused
        The server does not do this.
    Missing
        The server does not have the file.
    Damaged
        What it wrote is not the file that was described.
    """
    growth = _Growth(file, outfile, on_bytes, timeout, server)
    with _removed_when_wrong(outfile, growth):
        _ask(wire, server, file, outfile, growth)
        _prove(file, outfile, server)
        growth.complete()


@contextmanager
def _removed_when_wrong(outfile: Path, growth: _Growth) -> Iterator[None]:
    try:
        yield
    except BaseException:
        growth.discard()
        with suppress(
            OSError
        ):  # perhaps it is not there, perhaps it is not ours: it has a name that nothing reads
            outfile.unlink()
        raise


def _ask(wire: Wire, server: str, file: StoredFile, outfile: Path, growth: _Growth) -> None:
    parameters = {
        "file_id": file.file_id,
        "file_version": str(file.version),
        "processing": _PLUGIN,
        "processingPars": f"outfile={outfile}",
    }
    with wire.get(server, "RETRIEVE", parameters, meanwhile=growth.look) as answer:
        if answer.status != OK:
            raise failure_of(answer)
        body = answer.beginning()
    if _says_failure(body):
        raise failure(OK, body, answer.what)


def _says_failure(body: bytes) -> bool:
    """Whether a body is NGAS's word that it failed; whatever else it says proves nothing."""
    try:
        return not read_reply(body, "the answer").succeeded
    except Refused:
        return False


class _Growth:
    """What is seen of a file while somebody else writes it.

    Parameters
    ----------
    file
        What it shall be.
    path
        Where it appears.
    """

    def __init__(
        self, file: StoredFile, path: Path, on_bytes: Callable[[int], None], timeout: float, server: str
    ) -> None:
        self._file, self._path, self._on_bytes = file, path, on_bytes
        self._timeout, self._server = timeout, server
        self._seen: tuple[int, ...] = ()
        self._count, self._changed = 0, time.monotonic()

    def look(self) -> None:
        """Look how far it is.

        Raises
        ------
        Transient
            Nothing has changed for too long.
        """
        require_wanted()
        with suppress(FileNotFoundError):
            found = self._path.lstat()
            self._tell(min(found.st_size, self._file.size))
            if (seen := (found.st_size, found.st_blocks, found.st_mtime_ns)) != self._seen:
                self._seen, self._changed = seen, time.monotonic()
        if time.monotonic() - self._changed > self._timeout:
            why = f"it stalled: {self._path} has {self._count} of {self._file.size} bytes and does not grow"
            raise Unwell(f"server {self._server}", why, AGAIN)

    def complete(self) -> None:
        """Tell of the bytes that were not seen to come."""
        self._tell(self._file.size)

    def discard(self) -> None:
        """Take back what was told."""
        self._tell(0)

    def _tell(self, count: int) -> None:
        if count != self._count:
            gain, self._count = count - self._count, count
            self._on_bytes(gain)


def _prove(file: StoredFile, path: Path, server: str) -> None:
    """Read all that was written, and bring it to disk."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        why = f"it says that it wrote {path}, but there: {error.strerror}"
        raise Damaged(f"server {server}", why, _NOT_WRITTEN) from error
    try:
        if wrong := _difference(file, descriptor):
            raise Damaged(f"server {server}", f"what it wrote {wrong}", AGAIN)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _difference(file: StoredFile, descriptor: int) -> str:
    """Say how a file differs from what it shall be; nothing when it does not."""
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        return "is not a file of its own"
    if found.st_size != file.size:
        return f"has {found.st_size} of {file.size} bytes"
    if file.checksum is None:
        return ""
    running = Running(file.checksum.kind)
    while chunk := os.read(descriptor, CHUNK):
        running.update(chunk)
    if running.checksum != file.checksum:
        return f"has checksum {running.checksum}, the archive records {file.checksum}"
    return ""

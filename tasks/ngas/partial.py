"""A file on its way: its bytes beside its destination, checked as they come, placed only when they are right."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Final

from tasks.disk import explained, is_at, locked, sync_folder
from tasks.errors import Transient
from tasks.ngas.checksum import CHUNK, Running
from tasks.ngas.model import StoredFile
from tasks.ngas.wire import Damaged
from tasks.progress import tell_found

__all__ = ["Partial", "partial_of"]

_WRITE_AHEAD: Final = 8 << 20
"""Bytes after which the disk is to begin with them, long before they have to be on it."""


class Partial:
    """The bytes that have come so far, and their running checksum.

    Parameters
    ----------
    file
        What is to come.
    path
        Where the bytes are kept; the name says which file they are of, so that a later run finds them.
    descriptor
        The open file, locked.
    on_bytes
        Told of every gain, and of every loss as a negative number.
    """

    def __init__(self, file: StoredFile, path: Path, descriptor: int, on_bytes: Callable[[int], None]) -> None:
        self._file, self._path, self._descriptor, self._on_bytes = file, path, descriptor, on_bytes
        self._running: Running | None = None
        self.count = 0
        """Bytes so far."""
        self.inherited = 0
        """Those among them that an earlier run had left."""
        self._start()

    def _start(self) -> None:
        self._running = Running(self._file.checksum.kind) if self._file.checksum else None
        self.count = self.inherited = self._handed_over = 0

    def inherit(self) -> None:
        """Take over what an earlier run left, hashed again.

        Without a checksum nothing could prove those bytes right, after a power cut for one, so they go.
        """
        if self._running is None or os.fstat(self._descriptor).st_size > self._file.size:
            self.discard()
        while chunk := os.read(self._descriptor, CHUNK):
            self._account(chunk)
            tell_found(self._on_bytes, len(chunk))
        self.inherited = self._handed_over = self.count

    def append(self, chunk: bytes | memoryview) -> None:
        """Write the next bytes.

        Raises
        ------
        Damaged
            There are more than the file has; all are discarded.
        Failed
            The disk does not take them.
        """
        if self.count + len(chunk) > self._file.size:
            self.discard()
            raise Damaged(str(self._file), f"more than its {self._file.size} bytes came")
        with explained(f"{self._file} cannot be written"):
            rest = memoryview(chunk)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        self._account(chunk)
        self._hand_over()
        self._on_bytes(len(chunk))

    def _hand_over(self) -> None:
        """Have the disk write what has come while the rest comes: little is left to wait for in the end.

        To say of bytes not yet written that they are not needed makes Linux begin to write them, and wait for
        nothing; those it has not finished with stay in memory.
        """
        ready = self.count - self._handed_over
        if ready >= _WRITE_AHEAD:
            os.posix_fadvise(self._descriptor, self._handed_over, ready, os.POSIX_FADV_DONTNEED)
            self._handed_over = self.count

    def _account(self, chunk: bytes | memoryview) -> None:
        if self._running:
            self._running.update(chunk)
        self.count += len(chunk)

    def discard(self) -> None:
        """Forget all bytes and start again."""
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        if self.count:
            self._on_bytes(-self.count)
        self._start()

    @property
    def whole(self) -> bool:
        """Whether all bytes have come; not whether they are right."""
        return self.count == self._file.size

    def prove(self) -> None:
        """Compare the checksum of all bytes with the archive's.

        Raises
        ------
        Damaged
            They differ; the bytes are discarded.
        """
        wanted, got = self._file.checksum, self._running and self._running.checksum
        if wanted != got:
            self.discard()
            raise Damaged(
                str(self._file),
                f"its bytes have checksum {got}, the archive records {wanted}",
                "run again; if it stays so, ask the archive's operators to check their copy (CHECKFILE)",
            )

    def place(self, destination: Path) -> None:
        """Give the whole, proven file its name, to last.

        Raises
        ------
        Transient
            While this process was silent for long, another one went on with a copy.
        """
        with explained(f"{self._file} cannot be placed"):
            os.fsync(self._descriptor)
            if not is_at(self._descriptor, self._path):
                raise Transient(str(self._file), "another process has gone on with it", "run again")
            self._path.replace(destination)
            sync_folder(destination.parent)

    def tidy(self) -> None:
        """Leave nothing where nothing came."""
        if not self.count and is_at(self._descriptor, self._path):
            self._path.unlink()


@contextmanager
def partial_of(file: StoredFile, destination: Path, on_bytes: Callable[[int], None]) -> Iterator[Partial]:
    """Open the bytes of a file that have come so far, beside its destination, for one holder at a time.

    Raises
    ------
    Transient
        Somebody else is fetching the same file into the same folder.
    Failed
        The folder cannot be written.
    """
    path = destination.with_name(_name(file))
    with ExitStack() as stack:
        with explained(f"{file} cannot be written"):
            destination.parent.mkdir(parents=True, exist_ok=True)
            partial = Partial(file, path, _descriptor(stack, path, file), on_bytes)
            partial.inherit()
        try:
            yield partial
        finally:
            partial.tidy()


def _descriptor(stack: ExitStack, path: Path, file: StoredFile) -> int:
    try:
        return stack.enter_context(locked(path, wait=False))
    except BlockingIOError as error:
        raise Transient(str(file), f"somebody else is fetching it into {path.parent}", "run again") from error


def _name(file: StoredFile) -> str:
    identity = f"{file.file_id}\n{file.version}\n{file.size}\n{file.checksum}"
    return f".ngas-{sha256(identity.encode()).hexdigest()[:24]}.part"

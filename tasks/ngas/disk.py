"""What lies on disk: locked, written whole, and there after a power cut."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tasks.errors import Failed

__all__ = ["explained", "locked", "sync_folder", "write_whole"]

_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn an error of the operating system into one of ours that names the file.

    Raises
    ------
    Failed
        The disk is full, not writable, or broken.
    """
    try:
        yield
    except OSError as error:
        place = f" at {error.filename}" if error.filename else ""
        todo = "free some space and run again" if error.errno in _FULL else "check the folder and its owner"
        raise Failed(what, f"{error.strerror or error}{place}", todo) from error


@contextmanager
def locked(path: Path, *, wait: bool) -> Iterator[int]:
    """Open a file, made if it is not there, and hold its lock.

    The lock is the kernel's: it ends with its holder, however that ends.

    Parameters
    ----------
    wait
        Whether to wait for another holder; otherwise `BlockingIOError` is raised.

    Yields
    ------
    int
        The descriptor, open for reading and writing.
    """
    descriptor = _lock(path, wait=wait)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _lock(path: Path, *, wait: bool) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(descriptor, path):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # the last holder moved or removed the file: lock what is there now


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def sync_folder(folder: Path) -> None:
    """Make renames in a folder last."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(path: Path, data: bytes) -> None:
    """Write a small file so that it is there either whole or not at all. One writer at a time."""
    draft = path.with_name(f".{path.name}.draft")
    with draft.open("wb", buffering=0) as stream:
        stream.write(data)
        os.fsync(stream.fileno())
    draft.replace(path)
    sync_folder(path.parent)

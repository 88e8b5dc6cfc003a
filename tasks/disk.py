"""Writing so that nothing half-written is ever taken for whole, and there after a power cut.

A temporary name, fsync, rename, the marker last; and locks that end with their holder.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Final

from tasks.errors import Failed, Transient

__all__ = [
    "NEW",
    "copy_whole",
    "exclusive",
    "explained",
    "flush",
    "is_at",
    "is_locked",
    "locked",
    "make_shared",
    "names_in",
    "remove",
    "settle",
    "sync_file",
    "sync_folder",
    "write_whole",
]

_SHARED: Final = 0o2770
NEW: Final = ".new-"
"""What the names of shared folders begin with while they are made."""
_PIECE: Final = 1 << 20
_TAKEN: Final = (errno.EEXIST, errno.ENOTEMPTY)
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
_LOOK_SECONDS: Final = 0.25
"""After so long, who holds a lock is working under it, and not only looking at it."""


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
        at = error.filename2 or error.filename
        place = f" at {at}" if at else ""
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
            if is_at(descriptor, path):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # the last holder moved or removed the file: lock what is there now


def is_at(descriptor: int, path: Path) -> bool:
    """Tell whether an open file is the one that has a name now."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


@contextmanager
def exclusive(lock: Path, what: str) -> Iterator[None]:
    """Hold a lock that bears its holder's name, or say who does.

    Raises
    ------
    Transient
        Somebody else holds it.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    descriptor = _claimed(lock, what)
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"process {os.getpid()} on {os.uname().nodename}".encode())
        yield
    finally:
        os.close(descriptor)


def _claimed(lock: Path, what: str) -> int:
    ends = time.monotonic() + _LOOK_SECONDS
    while True:
        try:
            return _lock(lock, wait=False)
        except BlockingIOError as error:
            if time.monotonic() > ends:
                why = f"it is being worked on ({lock.read_text()})"
                raise Transient(what, why, "wait for that run to end") from error
            time.sleep(_LOOK_SECONDS / 10)


def is_locked(lock: Path) -> bool:
    """Tell whether somebody holds a lock; changes nothing."""
    if not lock.exists():
        return False
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def make_shared(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for its owner and its group alone, whatever the umask.

    What is made in it later has its group. It gets its name when it has its rights, so that nobody of the group
    ever finds it closed.
    """
    while not folder.is_dir():
        make_shared(folder.parent)
        with suppress(FileNotFoundError):  # somebody took what we were making for what the dead have left
            _make_open(folder)


def _make_open(folder: Path) -> None:
    draft = folder.with_name(f"{NEW}{secrets.token_hex(8)}")
    draft.mkdir()
    try:
        draft.chmod(_SHARED)
        draft.rename(folder)
    except OSError as error:
        draft.rmdir()
        if error.errno not in _TAKEN:
            raise


def names_in(folder: Path) -> list[str]:
    """Return what is in a folder; nothing if it is not there, or is just being made."""
    try:
        return sorted(path.name for path in folder.iterdir())
    except FileNotFoundError:
        return []
    except PermissionError:
        if folder.name.startswith(NEW):
            return []
        raise


def write_whole(path: Path, data: bytes, mode: int | None = None) -> None:
    """Write a small file so that it is there either whole or not at all. One writer at a time.

    Parameters
    ----------
    mode
        Its rights; None for those that the umask leaves.
    """
    draft = path.with_name(f".{path.name}.draft")
    draft.unlink(missing_ok=True)  # another account may have left it
    with draft.open("wb", buffering=0) as stream:
        if mode is not None:
            os.fchmod(stream.fileno(), mode)
        stream.write(data)
        os.fsync(stream.fileno())
    draft.replace(path)
    sync_folder(path.parent)


def copy_whole(source: Path, destination: Path, mode: int) -> None:
    """Copy a file so that the copy is there either whole or not at all; what a killed one left is begun anew."""
    draft = destination.with_name(f".{sha256(os.fsencode(destination.name)).hexdigest()[:24]}.copy")
    with locked(draft, wait=True) as descriptor:
        try:
            os.fchmod(descriptor, mode | stat.S_IWUSR)  # whoever comes after us has to open it
            _fill(descriptor, source)
            draft.replace(destination)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        os.fchmod(descriptor, mode)
    sync_folder(destination.parent)


def _fill(descriptor: int, source: Path) -> None:
    os.ftruncate(descriptor, 0)
    with source.open("rb") as stream, open(descriptor, "wb", buffering=0, closefd=False) as copy:
        shutil.copyfileobj(stream, copy, _PIECE)
    os.fsync(descriptor)


def settle(source: Path, destination: Path) -> None:
    """Bring a finished tree to disk and rename it into place, on the same file system.

    A source that is gone while its destination is there was settled by an earlier, interrupted call.
    """
    if destination.exists() and not source.exists():
        return
    flush(source)
    source.rename(destination)
    sync_folder(destination.parent)


def flush(tree: Path) -> None:
    """Bring every file and folder of a tree to disk."""
    for folder, _, names in os.walk(tree):
        for path in (Path(folder, name) for name in names):
            if path.is_file() and not path.is_symlink():
                _sync(path)
        sync_folder(Path(folder))


def remove(tree: Path) -> None:
    """Remove a tree; what an interruption leaves of it bears a name that nothing reads."""
    doomed = tree.with_name(f".{tree.name}.removed")
    shutil.rmtree(doomed, ignore_errors=True)
    if tree.exists():
        tree.rename(doomed)
        shutil.rmtree(doomed)


def sync_file(path: Path) -> None:
    """Bring a file to disk."""
    _sync(path)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder last."""
    _sync(folder, os.O_DIRECTORY)


def _sync(path: Path, flags: int = 0) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

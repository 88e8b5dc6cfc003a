"""Writing so that nothing half-written is ever taken for whole: temporary name, fsync, rename, marker last."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.errors import Transient

__all__ = ["exclusive", "is_locked", "remove", "settle", "write"]


def write(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write a small file atomically: it is there whole, or as it was."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    with unfinished.open("wb") as file:
        file.write(content)
        file.flush()
        os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())
    unfinished.replace(path)
    _sync(path.parent)


def settle(source: Path, destination: Path) -> None:
    """Bring a finished file or tree to disk and rename it into place, on the same file system.

    A destination that is there already is taken for the result of an earlier, interrupted call.
    """
    if destination.exists() and not source.exists():
        return
    for folder, _, names in os.walk(source):
        for name in names:
            _sync(Path(folder, name))
        _sync(Path(folder))
    source.rename(destination)
    _sync(destination.parent)


def remove(tree: Path) -> None:
    """Remove a tree; what is left by an interruption bears a name that nothing reads."""
    doomed = tree.with_name(f".{tree.name}.removed")
    shutil.rmtree(doomed, ignore_errors=True)
    if tree.exists():
        tree.rename(doomed)
        shutil.rmtree(doomed)


@contextmanager
def exclusive(lock: Path, what: str) -> Iterator[None]:
    """Hold a lock that its holder's death releases.

    Raises
    ------
    Transient
        Somebody else holds it.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise Transient(what, f"it is being worked on ({file.read().strip()})", "wait for that run") from error
        file.truncate(0)
        file.write(f"process {os.getpid()} on {os.uname().nodename}")
        file.flush()
        yield


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


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

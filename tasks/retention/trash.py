"""Removing trees so that a kill leaves nothing half that looks whole: first the name goes, then the content."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from tasks import disk

__all__ = ["Measured", "Trash", "measured"]


class Measured(NamedTuple):
    """What a tree holds.

    Parameters
    ----------
    size
        Bytes that its removal would free: files that have other names elsewhere free nothing.
    changed
        When one of its folders was last changed; a time in the future is nobody's, as archives may hold any.
    """

    size: int
    changed: datetime


@dataclass(frozen=True)
class Trash:
    """Where in a folder that lies which is being removed; nothing reads it.

    Parameters
    ----------
    root
        The folder; the trash is on its file system.
    """

    root: Path

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return self.root / ".trash"

    def take(self, path: Path) -> Path:
        """Take something out of its place, and for good; return where it is now, to be deleted."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        doomed = self.folder / uuid4().hex
        path.rename(doomed)
        disk.sync_folder(path.parent)
        return doomed

    def remove(self, path: Path) -> None:
        """Take something out of its place and delete it."""
        self.delete(self.take(path))

    def delete(self, doomed: Path) -> None:
        """Delete what was taken, or what somebody else has left of it."""
        if doomed.is_dir() and not doomed.is_symlink():
            shutil.rmtree(doomed, onerror=_unless_gone)
        else:
            doomed.unlink(missing_ok=True)

    def left(self) -> list[Path]:
        """Return what somebody died over deleting."""
        return [self.folder / name for name in disk.names_in(self.folder)]


def measured(tree: Path, now: datetime) -> Measured:
    """Measure a tree, to which others may do something meanwhile.

    Raises
    ------
    OSError
        It cannot be read.
    """
    latest, total = 0.0, 0
    for folder, names in _folders(tree):
        changed = folder.st_mtime
        latest = max(latest, changed if changed <= now.timestamp() else 0.0)
        total += sum(each.st_size for each in names if each.st_nlink == 1)
    return Measured(total, datetime.fromtimestamp(latest, UTC))


def _folders(tree: Path) -> Iterator[tuple[os.stat_result, list[os.stat_result]]]:
    for folder, _, names in os.walk(tree, onerror=_told):
        found = (_status(os.path.join(folder, name)) for name in names)  # noqa: PTH118 - there may be millions
        yield os.stat(folder), [status for status in found if status]  # noqa: PTH116


def _unless_gone(_function: object, _path: str, error: tuple[type, BaseException, object]) -> None:
    if not isinstance(error[1], FileNotFoundError):
        raise error[1]


def _told(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def _status(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None

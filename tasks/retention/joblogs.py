"""The logs of jobs: each crew's folder, when the crew is gone and nobody has written there for a while."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tasks import disk, kin
from tasks.cluster import board
from tasks.cluster.orphans import OWNER
from tasks.cluster.tag import Owner
from tasks.errors import PpiError
from tasks.retention.model import Cleared, Finding, Part
from tasks.retention.trash import Trash

__all__ = ["JobLogs"]


@dataclass(frozen=True)
class _Folder:
    path: Path
    size: int
    kept: str
    """Why it stays; empty for what goes."""


@dataclass(frozen=True)
class JobLogs:
    """The folders of an environment's crews.

    Parameters
    ----------
    directory
        Where they are.
    ask
        Says which runs are under way, by Prefect's ids.
    age
        How long they are kept.
    now
        The time at which all ages are taken.
    """

    directory: Path
    ask: Callable[[], frozenset[str]]
    age: timedelta
    now: datetime

    def look(self) -> Iterator[Finding]:
        """Find all, together by why they go or stay."""
        alike: dict[str, list[_Folder]] = defaultdict(list)
        runs = self.ask()
        for path in self._folders():
            folder = self._judged(path, runs)
            alike[folder.kept].append(folder)
        if old := alike.pop("", []):
            why = f"the crews are gone, and nobody has written there for {self.age.days} days"
            yield self._finding(why, old, lambda: self._remove([folder.path for folder in old]))
        for why, kept in sorted(alike.items()):
            yield self._finding(why, kept)

    def _finding(self, why: str, folders: list[_Folder], remove: Callable[[], Cleared] | None = None) -> Finding:
        total = sum(folder.size for folder in folders)
        what = str(folders[0].path if len(folders) == 1 else self.directory)
        return Finding(Part.LOGS, what, why, len(folders), total, remove)

    def _folders(self) -> list[Path]:
        paths = (self.directory / name for name in disk.names_in(self.directory) if not name.startswith("."))
        return [path for path in paths if path.is_dir() and not path.is_symlink()]

    def _judged(self, path: Path, runs: frozenset[str]) -> _Folder:
        try:
            files = [each.stat() for each in path.rglob("*")]
            changed = max(status.st_mtime for status in (*files, path.stat()))
        except FileNotFoundError:
            return _Folder(path, 0, "somebody is just removing them")
        return _Folder(path, sum(each.st_size for each in files), self._kept(path, changed, runs))

    def _kept(self, path: Path, changed: float, runs: frozenset[str]) -> str:
        if datetime.fromtimestamp(changed, UTC) > self.now - self.age:
            return f"somebody has written there within {self.age.days} days"
        if not (owner := _owner(path)) and any(path.iterdir()):
            return "no crew says that they are its own"
        if owner and owner.is_gone:
            return ""
        if owner and owner.machine == kin.machine():
            return "their flow runs"
        return _of_run(path, runs)

    def _remove(self, paths: list[Path]) -> Cleared:
        trash, runs, gone, left, errors = (
            Trash(self.directory),
            self.ask(),
            list[_Folder](),
            set[str](),
            list[str](),
        )
        for path in paths:
            folder = self._judged(path, runs)
            if folder.kept:
                left.add(folder.kept)
                continue
            try:
                trash.remove(path)
                gone.append(folder)
            except OSError as error:
                errors.append(f"{error.strerror or error} at {error.filename or path}")
        total = sum(folder.size for folder in gone)
        return Cleared(len(gone), total, "; ".join(sorted(left)), "; ".join(errors[:3]))


def _owner(path: Path) -> Owner | None:
    try:
        return Owner.read((path / OWNER).read_text())
    except (OSError, ValueError):
        return None


def _of_run(path: Path, runs: frozenset[str]) -> str:
    """Say why the logs of a crew stay whose process cannot be seen from here: its run may be under way."""
    try:
        run = board.read(path).flow_run
    except FileNotFoundError:
        return ""
    except PpiError as error:
        return str(error)
    return "their run is under way" if run in runs else ""

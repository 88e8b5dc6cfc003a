"""Make room in the store: what was not used for longest goes first, and nothing that anybody has in hand."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, NamedTuple
from uuid import uuid4

from pydantic import BaseModel, ConfigDict

from tasks.disk import make_shared
from tasks.ngas.store.custody import Custody
from tasks.ngas.store.entry import Count, Entry, Record, entries_in, shards
from tasks.ngas.store.tally import Tally

__all__ = ["Kept", "Pruned", "Reason", "Removed", "empty_trash", "prune"]

Reason = Literal["being fetched", "in use", "linked"]
"""Why something stays: somebody fetches it, or uses it, or it has a name in a workspace too, and frees nothing."""

_UNKNOWN: Final = "an unfinished file"


class Removed(BaseModel):
    """An entry that was removed, or would be."""

    model_config = ConfigDict(frozen=True)

    file: str
    bytes: int
    used: datetime
    """When it was used last, to the hour."""


class Kept(BaseModel):
    """What would have been removed but for one reason."""

    model_config = ConfigDict(frozen=True)

    reason: Reason
    entries: int
    bytes: int


class Pruned(BaseModel):
    """What pruning did, or would do."""

    model_config = ConfigDict(frozen=True)

    limit: int
    before: int
    """Bytes of all files, the unfinished ones as well."""
    after: int
    removed: tuple[Removed, ...]
    kept: tuple[Kept, ...]

    @property
    def over(self) -> int:
        """Bytes above the limit that could not be freed."""
        return max(0, self.after - self.limit)


class _Seen(NamedTuple):
    """What an entry looked like; small, since there may be millions."""

    used: float
    bytes: int
    linked: bool
    place: str
    """Below the store."""


def prune(root: Path, limit: int, *, dry_run: bool, on_entry: Callable[[], None]) -> Pruned:
    """Remove what was not used for longest until the store is within its limit; wait for another who does so.

    Parameters
    ----------
    limit
        Bytes.
    dry_run
        Only say what would be removed.
    on_entry
        Called for each entry that was looked at.
    """
    with nullcontext() if dry_run or not root.is_dir() else Custody(root).pruning():
        return _pruned(_Pruning(root, dry_run), limit, on_entry)


def _pruned(pruning: _Pruning, limit: int, on_entry: Callable[[], None]) -> Pruned:
    pruning.clear_away()
    seen = sorted(pruning.look(on_entry))
    before = after = sum(each.bytes for each in seen)
    removed: list[Removed] = []
    kept: dict[Reason, Count] = {}
    for each in seen:
        if after <= limit:
            break
        told = pruning.told(each)
        if reason := pruning.remove(each):
            kept[reason] = kept.get(reason, Count()).plus(Count(1, each.bytes))
        else:
            removed.append(told)
            after -= each.bytes
    summed = (Kept(reason=reason, entries=count.entries, bytes=count.bytes) for reason, count in kept.items())
    return Pruned(limit=limit, before=before, after=after, removed=tuple(removed), kept=tuple(summed))


def empty_trash(root: Path) -> None:
    """Remove what somebody died over removing."""
    for left in _trash(root).glob("*"):
        shutil.rmtree(left, ignore_errors=True)


def _trash(root: Path) -> Path:
    return root / ".trash"


class _Pruning:
    """One pass over a store.

    Parameters
    ----------
    root
        The store.
    dry_run
        Whether nothing is to be removed.
    """

    def __init__(self, root: Path, dry_run: bool) -> None:
        self._root, self._dry_run = root, dry_run
        self._custody, self._tally = Custody(root), Tally(root)

    def clear_away(self) -> None:
        """Remove what the dead have left, and what one before us had not quite removed."""
        self._custody.sweep()
        empty_trash(self._root)

    def look(self, on_entry: Callable[[], None]) -> Iterator[_Seen]:
        """Look at all entries; the accounts are set right by the way."""
        for shard in shards(self._root):
            found: list[_Seen] = []
            self._tally.recount(shard, self._counts(shard, found, on_entry))
            yield from found

    def _counts(self, shard: str, found: list[_Seen], on_entry: Callable[[], None]) -> Iterator[Count]:
        for entry in entries_in(self._root, shard):
            on_entry()
            if seen := self._seen(entry):
                found.append(seen)
                yield entry.count()

    def _seen(self, entry: Entry) -> _Seen | None:
        with suppress(FileNotFoundError), os.scandir(entry.folder) as paths:
            found = {path.name: path.stat(follow_symlinks=False) for path in paths}
            record, content = found.get(entry.record_path.name), found.get(entry.content.name)
            times = [each.st_mtime for each in found.values()] or [entry.folder.stat().st_mtime]
            used = record.st_mtime if record else max(times)
            linked = content is not None and content.st_nlink > 1
            place = str(entry.folder.relative_to(self._root))
            return _Seen(used, sum(each.st_size for each in found.values()), linked, place)
        return None

    def told(self, seen: _Seen) -> Removed:
        """Say what something is."""
        entry = Entry(self._root / seen.place)
        record: Record | None = entry.record() or entry.description()
        name = str(record.file) if record else _UNKNOWN
        return Removed(file=name, bytes=seen.bytes, used=datetime.fromtimestamp(seen.used, UTC))

    def remove(self, seen: _Seen) -> Reason | None:
        """Remove an entry, or say why it stays."""
        entry = Entry(self._root / seen.place)
        if seen.linked:
            return "linked"
        reason: Reason | None = "being fetched" if self._custody.is_taken(entry) else self._use_of(entry)
        if reason or self._dry_run:
            return reason
        with self._custody.alone_at_once(entry, f"removing {entry.folder.name}") as lease:
            if lease is None:
                return "being fetched"
            if (now := self._seen(entry)) is None:
                return None
            if now != seen:
                return "linked" if now.linked else "in use"
            return self._take_away(entry)

    def _use_of(self, entry: Entry) -> Reason | None:
        return "in use" if self._custody.is_used(entry) else None

    def _take_away(self, entry: Entry) -> Reason | None:
        """Take an entry out of service, then look whether it is used: who begins to use it looks the other way."""
        doomed = _trash(self._root) / uuid4().hex
        make_shared(doomed.parent)
        with self._tally.changing(entry):
            had_record = entry.record_path.exists()
            if had_record:
                entry.withdraw()
            if reason := self._use_of(entry):
                if had_record:
                    entry.put_back()
                return reason
            entry.folder.rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)
        return None

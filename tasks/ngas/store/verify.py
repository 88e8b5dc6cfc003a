"""Read all that a store holds, and compare it with what its records say.

The record of a content that is wrong is removed first, so that it is not served; then the content. What it was
linked to keeps the wrong bytes, and that is said.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from tasks.abandon import ending, require_wanted
from tasks.disk import NEW, names_in
from tasks.ngas.checksum import CHUNK, Checksum, Kind, Running
from tasks.ngas.store.custody import Custody
from tasks.ngas.store.entry import LEVELS, Entry, Record, entries_in, shards
from tasks.ngas.store.tally import Tally
from tasks.progress import Item, OnBytes

__all__ = ["STAGE", "Bad", "Verified", "verify"]

STAGE: Final = "verify"
"""The stage of the events that are told."""
_THREADS: Final = 3
_OURS: Final = re.compile(
    r"\.(leases|holds|streams|tally|trash)|content|record\.json|description\.json"  # to stay, or for a while
    r"|\.(ngas-|record\.json).*|writer-.*"
)


class Bad(BaseModel):
    """A file that was not what its record says; it is out of service."""

    model_config = ConfigDict(frozen=True)

    file: str
    wrong: str
    todo: str


class Verified(BaseModel):
    """What verifying found."""

    model_config = ConfigDict(frozen=True)

    files: int = 0
    bytes: int = 0
    bad: tuple[Bad, ...] = ()
    recovered: tuple[str, ...] = ()
    """Files whose record was gone or out of date, proven right."""
    dropped: int = 0
    """Contents without a record, which nothing could prove right."""
    strays: tuple[str, ...] = ()
    """Paths that are not the store's; they are left alone."""

    def plus(self, other: Verified) -> Verified:
        """Add what was found elsewhere."""
        return Verified(
            files=self.files + other.files,
            bytes=self.bytes + other.bytes,
            bad=self.bad + other.bad,
            recovered=self.recovered + other.recovered,
            dropped=self.dropped + other.dropped,
            strays=self.strays + other.strays,
        )


def verify(root: Path) -> Verified:
    """Read everything, in several threads; what is bad is taken out of service."""
    Custody(root).sweep()
    found = Verified(strays=tuple(str(path.relative_to(root)) for path in _strays(root)))
    with Item(STAGE, "all contents") as item, ThreadPoolExecutor(_THREADS, "verify") as pool, ending():
        checking = _Checking(root, item)
        for shard in shards(root):
            for each in pool.map(checking.check, entries_in(root, shard)):
                found = found.plus(each)
            checking.recount(shard)
    return found


class _Checking:
    """Checks entries.

    Parameters
    ----------
    root
        The store.
    on_bytes
        Called with bytes that were read.
    """

    def __init__(self, root: Path, on_bytes: OnBytes) -> None:
        self._root, self._on_bytes = root, on_bytes
        self._custody, self._tally = Custody(root), Tally(root)

    def recount(self, shard: str) -> None:
        """Set a part's account right."""
        self._tally.recount(shard, (entry.count() for entry in entries_in(self._root, shard)))

    def check(self, entry: Entry) -> Verified:
        """Check one entry."""
        record = entry.record()
        if record is None:
            return self._settled(entry)
        wrong = self._wrong(entry, record)
        if not wrong and record.fits(entry.content):
            return Verified(files=1, bytes=record.size)
        with self._custody.alone_at_once(entry, f"checking {record.file}") as lease:
            if lease is None or entry.record() != record:
                return Verified()  # it is just being mended, or removed
            return self._corrected(entry, record, wrong)

    def _wrong(self, entry: Entry, record: Record) -> str:
        """Say what is wrong with a content; nothing if it is the file."""
        if Entry.of(self._root, record.file).folder != entry.folder:
            return f"its record is of another file, {record.file}"
        try:
            found = entry.content.stat()
            if found.st_size != record.size:
                return f"it has {found.st_size} bytes instead of {record.size}"
            if record.checksum is None:
                return "" if record.fits(entry.content) else "it was changed, and no checksum can prove it right"
            if (is_now := self._checksum(entry, record.checksum.kind)) != record.checksum:
                return f"it has checksum {is_now} instead of {record.checksum}"
        except FileNotFoundError:
            return "its content is gone"
        return ""

    def _checksum(self, entry: Entry, kind: Kind) -> Checksum:
        running = Running(kind)
        with entry.content.open("rb", buffering=0) as stream:
            while chunk := stream.read(CHUNK):
                require_wanted()
                running.update(chunk)
                self._on_bytes(len(chunk))
        return running.checksum

    def _corrected(self, entry: Entry, before: Record, wrong: str) -> Verified:
        """Take a wrong content out of service, or let a record say when a right one was last changed."""
        if not wrong:
            return self._settled_alone(entry, before)
        bad = _bad(entry, before, wrong)
        with self._tally.changing(entry):
            entry.disown()
        return Verified(files=1, bytes=before.size, bad=(bad,))

    def _settled(self, entry: Entry) -> Verified:
        """Prove what has no record, or remove it; a part of a file stays, to be gone on with."""
        with self._custody.alone_at_once(entry, f"checking {entry.folder.name}") as lease:
            if lease is None or entry.record() is not None:
                return Verified()
            return self._settled_alone(entry, entry.description())

    def _settled_alone(self, entry: Entry, said: Record | None) -> Verified:
        if not entry.content.exists():
            entry.drop_if_empty()
            return Verified()
        if said and entry.is_withdrawn:
            with self._tally.changing(entry):
                entry.put_back()
            wrong = self._wrong(entry, said)
            return self._corrected(entry, said, wrong) if wrong else Verified(files=1, bytes=said.size)
        is_its = said is not None and Entry.of(self._root, said.file).folder == entry.folder
        proven = entry.proof(said.file, has_just_come=False) if said and is_its else None
        with self._tally.changing(entry):
            if proven:
                entry.vouch(proven)
                return Verified(files=1, bytes=proven.size, recovered=(str(proven.file),))
            entry.disown()
        return Verified(dropped=1)


def _bad(entry: Entry, record: Record, wrong: str) -> Bad:
    todo = "nothing: it is fetched again when it is asked for"
    with suppress(FileNotFoundError):
        found = entry.content.stat()
        if others := found.st_nlink - 1:
            todo = f"find its {others} other names (find -inum {found.st_ino}), and do again what was made of them"
    return Bad(file=str(record.file), wrong=wrong, todo=todo)


def _strays(folder: Path, levels: tuple[re.Pattern[str], ...] = LEVELS) -> Iterator[Path]:
    """Find what is not the store's; by its name, as others may be making and removing entries.

    Folders that somebody died over making go by the way.
    """
    for path in map(folder.joinpath, names_in(folder)):
        if levels and levels[0].fullmatch(path.name) and path.is_dir():
            yield from _strays(path, levels[1:])
        elif path.name.startswith(NEW):
            with suppress(OSError):
                path.rmdir()
        elif not _OURS.fullmatch(path.name) and os.path.lexists(path):
            yield path

"""Stores that are filled at once: where it matters what they hold, and not how it came."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from isal.isal_zlib import crc32

from tasks.ngas import Checksum, Held, Store, StoredFile, Transfer
from tasks.ngas.store.entry import Entry

__all__ = ["FETCH", "Filled", "content_of", "left_over"]

FETCH = """
import sys
from pathlib import Path
from tasks.ngas import NgasClient, Store
address, root = sys.argv[1:]
client, came = NgasClient([address], timeout=30), []
def tell(count):
    came.append(count)
    print(sum(came), flush=True)
with Store(Path(root)).using(client, client.describe("f"), tell) as held:
    print("resumed", held.transfer.resumed_from if held.transfer else "there", flush=True)
"""
"""What a process of its own does: it tells what has come so far, and in the end whether it went on with a part."""


@dataclass
class Filled:
    """A store, and a source of files that needs no archive."""

    root: Path
    asked: list[str] = field(default_factory=list)

    @property
    def store(self) -> Store:
        return Store(self.root)

    def file(self, name: str, size: int = 100, *, checksum: bool = True) -> StoredFile:
        value = Checksum(kind="crc32", value=crc32(content_of(name, size))) if checksum else None
        return StoredFile(file_id=name, version=1, size=size, checksum=value, server="h:1")

    def use(self, file: StoredFile, meanwhile: Callable[[Held], Any] = lambda held: None) -> Held:
        with self.store.using(self, file) as held:  # type: ignore[arg-type]
            meanwhile(held)
            return held

    def put(self, name: str, size: int = 100, *, hours_ago: float = 0, checksum: bool = True) -> Entry:
        """Put a file into the store that was used last some time ago."""
        file = self.file(name, size, checksum=checksum)
        self.use(file)
        entry, used = self.entry(file), time.time() - 3600 * hours_ago
        os.utime(entry.record_path, (used, used))
        return entry

    def entry(self, file: StoredFile) -> Entry:
        return Entry.of(self.root, file)

    def holds(self, *names: str) -> list[str]:
        return [name for name in names if self.store.held(self.file(name))]

    def retrieve(self, file: StoredFile, destination: Path, *_: Any, **__: Any) -> Transfer:
        self.asked.append(file.file_id)
        draft = destination.with_name(".ngas-draft")
        draft.write_bytes(content_of(file.file_id, file.size))
        draft.replace(destination)
        return Transfer(
            file_id=file.file_id, version=1, size=file.size, checksum=str(file.checksum), server="h:1",
            seconds=0.0, attempts=1, resumed_from=0,
        )  # fmt: skip


def content_of(name: str, size: int) -> bytes:
    return (name.encode() * size)[:size]


def left_over(root: Path) -> list[str]:
    """What is there besides entries that are complete, and accounts."""
    places = [root / name for name in (".leases", ".holds", ".streams", ".trash")]
    marks = [path for path in (root / ".tally").glob("*/*") if not path.name.isdecimal()]
    parts = [path for path in root.glob("??/??/*/*") if path.name not in ("content", "record.json")]
    return [str(path) for path in (*(each for place in places for each in place.glob("*")), *marks, *parts)]

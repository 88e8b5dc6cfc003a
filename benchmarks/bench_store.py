"""A store of a thousand, ten thousand and a hundred thousand files: what a look-up and `ppi store status` take.

BENCH_ENTRIES (default 1000,10000,100000) sets the sizes; the ratios are those of the last to the first. What is
written is not brought to disk, and is in memory when it is read: the growth is what counts, and not the speed.
"""

from __future__ import annotations

import os
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

from isal.isal_zlib import crc32

from benchmarks.ratio import at_most, median
from tasks.disk import make_shared
from tasks.ngas import Checksum, NgasClient, Store, StoredFile
from tasks.ngas.store.entry import Entry, Record

_SIZES = [int(size) for size in os.environ.get("BENCH_ENTRIES", "1000,10000,100000").split(",")]
_LOOKS, _STATUSES = 2000, 15


class _Figures(NamedTuple):
    look_up: float
    use: float
    status: float


def main() -> None:
    """Measure, and print the growth."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "store")
        figures, before = [], 0
        for size in _SIZES:
            _fill(root, range(before, size))
            figures.append(_measured(root, size))
            before = size
    first, last = figures[0], figures[-1]
    span = f"{_SIZES[-1]}_over_{_SIZES[0]}"
    at_most(f"store_look_up_{span}", last.look_up / first.look_up, 2)
    at_most(f"store_use_{span}", last.use / first.use, 2)
    at_most(f"store_status_{span}", last.status / first.status, 2)


def _file(number: int) -> StoredFile:
    name = f"uid___A002_X{number:x}_X1.asdm.sdm.tar"
    checksum = Checksum(kind="crc32", value=crc32(name.encode()))
    return StoredFile(file_id=name, version=1, size=len(name), checksum=checksum, server="h:1")


def _fill(root: Path, numbers: range) -> None:
    """Write entries as the store writes them."""
    with patch.object(os, "fsync"):
        for number in numbers:
            file = _file(number)
            entry = Entry.of(root, file)
            make_shared(entry.folder)
            entry.content.write_bytes(file.file_id.encode())
            entry.vouch(Record.of(file, entry.content.stat().st_mtime_ns))


def _measured(root: Path, size: int) -> _Figures:
    store, client = Store(root), NgasClient(["127.0.0.1:1"])
    files = [_file(number) for number in random.Random(1).choices(range(size), k=_LOOKS)]  # noqa: S311

    def use(file: StoredFile) -> None:
        with store.using(client, file):
            pass

    verify = _seconds(store.verify)
    status = median([_seconds(store.status) for _ in range(_STATUSES)])
    look_up = median([_seconds(lambda file=file: store.held(file)) for file in files])  # type: ignore[misc]
    used = median([_seconds(lambda file=file: use(file)) for file in files])  # type: ignore[misc]
    prune = _seconds(lambda: store.prune(10**15))
    print(
        f"{size:>8} files: look-up {1e6 * look_up:.0f} µs, use {1e6 * used:.0f} µs, status {1e3 * status:.1f} ms; "
        f"all read by prune in {prune:.1f} s, by verify in {verify:.1f} s",
        flush=True,
    )
    return _Figures(look_up, used, status)


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began

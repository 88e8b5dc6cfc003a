"""Fetching from the archive: PPI's client against curl, a bare socket and a fetcher of small chunks.

All take the same files in turn, from a server in a process of its own on loopback, out of its page cache. They
take turns file by file, in every order, so that whatever drifts hits all alike, and a way finds as much memory
warm as the way before it let go of: on a virtual machine the first touch of memory may cost more than a transfer.
A ratio is another's time over PPI's; the median of the runs counts.

What favours the others: of curl its own clock counts, without the start of a process, and fsync alone is added;
PPI's time is that of `NgasClient.retrieve`, with the lock, the checksum, fsync of file and folder, and the rename.
The starts of Python and the description of each file, one small request, are in nobody's figures but those of the
small files. "Without disk" is the client's own receiving and proving, into the null device, against curl into it.
Small chunks are compared without disk: to disk, which that fetcher leaves to the system where PPI waits for it,
the disk may be all that is compared.

BENCH_FILES (default 8) of BENCH_FILE_MIB (256), and BENCH_RUNS (5) set the size; `curl` must be there.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from itertools import cycle, permutations
from multiprocessing import get_context
from pathlib import Path

from benchmarks.plain_fetch import bare_socket, curl, curl_at_once, small_chunks, sync, url_of
from benchmarks.ratio import at_least, at_most, median
from benchmarks.served import served
from deployments.local import environment
from deployments.local.ngas_server import archive
from tasks.ngas.client import NgasClient
from tasks.ngas.model import StoredFile
from tasks.ngas.partial import Partial
from tasks.ngas.stream import receive
from tasks.ngas.wire import Wire

_FILES, _RUNS = int(os.environ.get("BENCH_FILES", "8")), int(os.environ.get("BENCH_RUNS", "5"))
_SIZE = int(os.environ.get("BENCH_FILE_MIB", "256")) << 20
_PIECE = 1 << 20
_LARGER = 4
"""The largest file, of which only memory is measured, has so many times the size."""
_SMALL_FILES, _SMALL_SIZE = 1000, 10 << 10
_STREAMS = 4
"""How many at once, where there are several."""
_NULL = Path(os.devnull)

_Way = Callable[[StoredFile], float]
_Took = Mapping[str, float]
_Seconds = Mapping[str, Sequence[float]]


def main() -> None:
    """Measure, and print the ratios."""
    home = environment.home()
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home, prefix="bench-ngas-") as name:
        folder = Path(name)
        _fill(folder / "archive", folder)
        with served(folder / "archive") as server:
            _compare(_Bench(server, folder))


def _fill(root: Path, folder: Path) -> None:
    sizes = {f"f{number}": _SIZE for number in range(_FILES)} | {"larger": _LARGER * _SIZE}
    for file_id, size in (sizes | {f"s{number}": _SMALL_SIZE for number in range(_SMALL_FILES)}).items():
        source = folder / file_id
        with source.open("wb", buffering=0) as stream:
            for at in range(0, size, _PIECE):
                stream.write(os.urandom(min(_PIECE, size - at)))
        archive(root, source, file_id)
        source.unlink()


class _Bench:
    """The ways to fetch, from one server into one folder.

    Parameters
    ----------
    server
        `host:port`.
    folder
        On the disk that is measured.
    """

    def __init__(self, server: str, folder: Path) -> None:
        self.server, self._place = server, folder / "fetched"
        self.client, self._wire = NgasClient([server]), Wire(frozenset({server}), None, 60)
        self.files = [self.client.describe(f"f{number}") for number in range(_FILES)]
        self.bytes = sum(file.size for file in self.files)
        self._block = os.urandom(_PIECE)

    @property
    def to_disk(self) -> dict[str, _Way]:
        """The ways to disk."""
        path = self._place / "file"
        return {
            "ppi": lambda file: self._retrieve(file, path),
            "curl": lambda file: curl(self._url(file), path) + sync([path]),
            "small chunks, no fsync": lambda file: small_chunks(self._url(file), path, file.size),
            "the disk alone": lambda file: self._write(path, file.size),
        }

    @property
    def to_nothing(self) -> dict[str, _Way]:
        """The ways without disk."""
        return {
            "ppi": self._receive,
            "curl": lambda file: curl(self._url(file), _NULL),
            "bare socket": lambda file: bare_socket(self.server, file.file_id),
            "small chunks": lambda file: small_chunks(self._url(file), _NULL, file.size),
        }

    def _url(self, file: StoredFile) -> str:
        return url_of(self.server, file.file_id)

    def _retrieve(self, file: StoredFile, path: Path) -> float:
        began = time.monotonic()
        self.client.retrieve(file, path)
        return time.monotonic() - began

    def _receive(self, file: StoredFile) -> float:
        began = time.monotonic()
        with _NULL.open("r+b", buffering=0) as nothing:
            partial = Partial(file, _NULL, nothing.fileno(), lambda count: None)
            receive(self._wire, self.server, file, partial)
            partial.prove()
        return time.monotonic() - began

    def _write(self, path: Path, size: int) -> float:
        began = time.monotonic()
        with path.open("wb", buffering=0) as stream:
            for _ in range(0, size, _PIECE):
                stream.write(self._block)
        return time.monotonic() - began + sync([path])

    def clear(self) -> Path:
        """Leave nothing of the last way: no file, nothing to be written."""
        with suppress(FileNotFoundError):
            shutil.rmtree(self._place)
        self._place.mkdir()
        os.sync()
        return self._place


def _compare(bench: _Bench) -> None:
    disk = _in_turn(bench, "to disk", bench.to_disk)
    nothing = _in_turn(bench, "without disk", bench.to_nothing)
    _several_at_once(bench)
    _small_files(bench)
    _say("small chunks to disk, which take no fsync, over ppi", _ratio(disk, "small chunks, no fsync"), "")
    at_least("ngas_to_disk_curl_over_ppi", _ratio(disk, "curl"), 0.95)
    at_least("ngas_curl_over_ppi", _ratio(nothing, "curl"), 1.0)
    at_least("ngas_bare_socket_over_ppi", _ratio(nothing, "bare socket"), 0.7)
    at_least("ngas_small_chunks_over_ppi", _ratio(nothing, "small chunks"), 2.0)
    for file_id in ("f0", "larger"):
        size = bench.client.describe(file_id).size
        at_most(f"ngas_peak_memory_mb_for_{size >> 20}_mib", _peak_of(bench, file_id), 150)


def _in_turn(bench: _Bench, where: str, ways: Mapping[str, _Way]) -> _Seconds:
    """Return the seconds that each way took for all files, run by run, after one file for warming up."""
    orders = cycle(permutations(ways))
    _one_by_one(bench, ways, next(orders), bench.files[0])
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(_RUNS):
        took = [_one_by_one(bench, ways, next(orders), file) for file in bench.files]
        for name in ways:
            seconds[name].append(sum(each[name] for each in took))
    for name, runs in seconds.items():
        _say(f"{where}, {name}", bench.bytes / median(runs) / 1e6, "MB/s")
    return seconds


def _one_by_one(bench: _Bench, ways: Mapping[str, _Way], order: Iterable[str], file: StoredFile) -> _Took:
    took = {}
    for name in order:
        bench.clear()
        took[name] = ways[name](file)
    return took


def _ratio(seconds: _Seconds, other: str) -> float:
    return median([theirs / ours for theirs, ours in zip(seconds[other], seconds["ppi"], strict=True)])


def _several_at_once(bench: _Bench) -> None:
    ours, theirs = zip(*((_ours_at_once(bench), _curls_at_once(bench)) for _ in range(_RUNS)), strict=True)
    for name, runs in (("ppi", ours), ("curl", theirs)):
        _say(f"to disk, {_STREAMS} at once, {name}", bench.bytes / median(runs) / 1e6, "MB/s")


def _ours_at_once(bench: _Bench) -> float:
    folder, began = bench.clear(), time.monotonic()
    with ThreadPoolExecutor(_STREAMS) as pool:
        list(pool.map(lambda file: bench.client.retrieve(file, folder / file.file_id), bench.files))
    return time.monotonic() - began


def _curls_at_once(bench: _Bench) -> float:
    folder, urls = bench.clear(), [url_of(bench.server, file.file_id) for file in bench.files]
    return curl_at_once(urls, folder, _STREAMS) + sync(list(folder.iterdir()))


def _small_files(bench: _Bench) -> None:
    def ours(name: str, path: Path) -> None:
        bench.client.retrieve(bench.client.describe(name), path)

    def theirs(name: str, path: Path) -> None:
        curl(url_of(bench.server, name), path)
        sync([path])

    for way, fetch in (("described and retrieved, ppi", ours), ("a curl each, and fsync", theirs)):
        folder, began = bench.clear(), time.monotonic()
        for name in (f"s{number}" for number in range(_SMALL_FILES)):
            fetch(name, folder / name)
        _say(f"small files, {way}", (time.monotonic() - began) / _SMALL_FILES * 1e3, "ms each")


def _peak_of(bench: _Bench, file_id: str) -> float:
    """Return the most memory, in MB, that a process took which fetched one file and did nothing else."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_fetch_alone, bench.server, file_id, bench.clear() / file_id).result()


def _fetch_alone(server: str, file_id: str, destination: Path) -> float:
    client = NgasClient([server])
    client.retrieve(client.describe(file_id), destination)
    return _peak_memory()


def _peak_memory() -> float:
    """Read this program's own peak: what getrusage says began with the memory of the process that started it."""
    found = re.search(r"^VmHWM:\s*(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(found[1]) * 1024 / 1e6 if found else float("nan")


def _say(what: str, figure: float, unit: str) -> None:
    print(f"ngas {what}: {figure:.4g} {unit}".rstrip(), flush=True)

"""A restore of four execution blocks: PPI against a plain script, in turn, on the same archive and machine.

BENCH_SHAPE (default 16x4x128x6, 237 MB an execution block) and BENCH_RUNS (default 3) set its size.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from benchmarks.ratio import at_least, at_most, median
from deployments.local import environment
from deployments.local.ngas_server import requests_of
from deployments.local.observatory.build import Observatory, build
from deployments.local.observatory.shape import Shape
from tasks.alma.ids import EntityId
from tasks.casa.environment import child_environment, measures_directory

_MOUS = EntityId.parse("uid://A001/X1284/X265f")
_SHAPE, _RUNS = os.environ.get("BENCH_SHAPE", "16x4x128x6"), int(os.environ.get("BENCH_RUNS", "3"))
_Interval = tuple[float, float]


def main() -> None:
    """Measure, and print the ratios."""
    observatory = build(environment.home() / "observatories", Shape.parse(_SHAPE), on_progress=_say)
    with tempfile.TemporaryDirectory() as folder, _archive(observatory) as server, _prefect(Path(folder)) as api:
        ours, theirs, shares = [], [], []
        for run in range(_RUNS):
            theirs.append(_plain(Path(folder, f"plain{run}"), server, observatory))
            seconds, share = _ppi(Path(folder, f"ppi{run}"), server, api, observatory)
            ours.append(seconds)
            shares.append(share)
            print(f"run {run + 1}: plain {theirs[-1]:.1f} s, ppi {seconds:.1f} s, neither CASA nor transfer {share:.1%}")
    at_least("restore_plain_over_ppi", median([a / b for a, b in zip(theirs, ours, strict=True)]), 1.6)
    at_most("restore_share_of_neither_casa_nor_transfer", median(shares), 0.05)


def _plain(folder: Path, server: str, observatory: Observatory) -> float:
    folder.mkdir()
    blocks = [(f"session_{block.session}", block.uid.file_form) for block in observatory.sets[0].blocks]
    words = [server, _MOUS.file_form, *(word for pair in blocks for word in pair)]
    script = Path(__file__).with_name("plain_restore.py")
    started = time.monotonic()
    subprocess.run(
        [sys.executable, str(script), *words],
        cwd=folder,
        env=child_environment(folder, measures_directory()),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    seconds = time.monotonic() - started
    shutil.rmtree(folder)
    return seconds


def _ppi(folder: Path, server: str, api: str, observatory: Observatory) -> tuple[float, float]:
    folder.mkdir()
    properties = {
        "ppi.processing.rootDirectory": folder / "area",
        "ppi.metadata.url": observatory.database_url,
        "ppi.ngas.servers": server,
        "ppi.prefect.apiUrl": api,
    }
    (folder / "bench.properties").write_text("".join(f"{key} = {value}\n" for key, value in properties.items()))
    started = time.time()
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "restore", _MOUS, "-P", "bench", "--json"],
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "CAPO_PATH": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    casa = _watch(process)
    ended = time.time()
    told = json.loads(process.communicate()[0])
    busy = _covered([*casa, *_transfers(told, observatory, started)])
    shutil.rmtree(folder)
    return ended - started, 1 - busy / (ended - started)


def _watch(process: subprocess.Popen[bytes]) -> list[_Interval]:
    """Sample, 20 times a second, whether a CASA child is at work, until the command ends."""
    found: list[_Interval] = []
    before = time.time()
    while process.poll() is None:
        time.sleep(0.05)
        now = time.time()
        if _casa_below(process.pid):
            found.append((before, now))
        before = now
    return found


def _casa_below(pid: int) -> bool:
    with suppress(psutil.Error):
        return any("tasks.casa.recipes" in " ".join(c.cmdline()) for c in psutil.Process(pid).children(recursive=True))
    return False


def _transfers(told: dict[str, Any], observatory: Observatory, since: float) -> Iterator[_Interval]:
    seconds = {entry["file_id"]: entry["seconds"] for entry in told["provenance"]["inputs"]}
    for request in requests_of(observatory.archive_root, "RETRIEVE"):
        end = datetime.fromisoformat(request["time"]).timestamp()
        if end > since and request["file_id"] in seconds:
            yield end - seconds[request["file_id"]], end


def _covered(intervals: list[_Interval]) -> float:
    """Return the time that a union of intervals covers."""
    total, reached = 0.0, 0.0
    for begin, end in sorted(intervals):
        total += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return total


@contextmanager
def _archive(observatory: Observatory) -> Iterator[str]:
    command = [sys.executable, "-m", "deployments.local.ngas_server", "--root", str(observatory.archive_root), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().split()[-1]
        finally:
            server.terminate()


@contextmanager
def _prefect(folder: Path) -> Iterator[str]:
    home, port = folder / "prefect", 14217
    home.mkdir()
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    variables = {"PATH": os.environ["PATH"], "HOME": str(home), "PREFECT_HOME": str(home), "DO_NOT_TRACK": "1"}
    with subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            api = f"http://127.0.0.1:{port}/api"
            while True:
                with suppress(OSError), urllib.request.urlopen(f"{api}/health", timeout=2):  # noqa: S310
                    break
                time.sleep(0.2)
            yield api
        finally:
            server.terminate()


def _say(what: str, done: int, total: int) -> None:
    print(f"building the observatory: {what} {done}/{total}", file=sys.stderr)

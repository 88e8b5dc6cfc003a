"""A restore of four execution blocks: PPI against plain scripts, in turn, on the same archive and machine.

The plain script fetches, unpacks and restores execution block after execution block, each in a CASA of its own, as
with ``casa -c``; its variant does them all in one. PPI proves, draws and delivers besides.
BENCH_SHAPE (default 16x4x128x12, 470 MB an execution block) and BENCH_RUNS (default 3) set the size.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from benchmarks.ratio import at_least, at_most, median
from benchmarks.served import prefect_server, served
from deployments.local import environment
from deployments.local.ngas_server import requests_of
from deployments.local.observatory.build import Observatory, build
from deployments.local.observatory.shape import Shape
from tasks.alma.ids import EntityId
from tasks.casa.environment import child_environment, measures_directory

_MOUS = EntityId.parse("uid://A001/X1284/X265f")
_SHAPE, _RUNS = os.environ.get("BENCH_SHAPE", "16x4x128x12"), int(os.environ.get("BENCH_RUNS", "3"))
_Interval = tuple[float, float]
_Blocks = list[tuple[str, str]]


def main() -> None:
    """Measure, and print the ratios."""
    observatory = build(environment.home() / "observatories", Shape.parse(_SHAPE), on_progress=_say)
    root = observatory.archive_root
    with (
        tempfile.TemporaryDirectory() as folder,
        served(root) as server,
        prefect_server(Path(folder, "prefect")) as api,
    ):
        blocks = [(f"session_{block.session}", block.uid.file_form) for block in observatory.sets[0].blocks]
        runs = [_run(Path(folder), server, api, observatory, blocks) for _ in range(_RUNS)]
    at_least("restore_plain_over_ppi", median([run.plain / run.ppi for run in runs]), 1.6)
    at_least("restore_plain_in_one_casa_over_ppi", median([run.loop / run.ppi for run in runs]), 1.0)
    at_most("restore_share_of_neither_casa_nor_transfer", median([run.share for run in runs]), 0.05)


class _Run(NamedTuple):
    plain: float
    loop: float
    ppi: float
    share: float


def _run(folder: Path, server: str, api: str, observatory: Observatory, blocks: _Blocks) -> _Run:
    plain = _plain(folder / "plain", server, [[block] for block in blocks])
    loop = _plain(folder / "loop", server, [blocks])
    ppi, share = _ppi(folder / "ppi", server, api, observatory)
    print(
        f"plain {plain:.1f} s, in one CASA {loop:.1f} s, ppi {ppi:.1f} s ({share:.1%} neither CASA nor transfer)"
    )
    return _Run(plain, loop, ppi, share)


def _plain(folder: Path, server: str, calls: list[_Blocks]) -> float:
    """Restore with the plain script, a CASA for each call."""
    folder.mkdir()
    environment = child_environment(folder, measures_directory())
    script = Path(__file__).with_name("plain_restore.py")
    started = time.monotonic()
    for blocks in calls:
        words = [word for pair in blocks for word in pair]
        subprocess.run(
            [sys.executable, str(script), server, _MOUS.file_form, *words],
            cwd=folder,
            env=environment,
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
        children = psutil.Process(pid).children(recursive=True)
        return any("tasks.casa.recipes" in " ".join(child.cmdline()) for child in children)
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


def _say(what: str, done: int, total: int) -> None:
    print(f"building the observatory: {what} {done}/{total}", file=sys.stderr)

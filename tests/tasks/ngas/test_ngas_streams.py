"""Streams: no more at once than the archive bears, whoever opens them."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tasks.ngas.streams import Streams
from tasks.progress import Item, following

WORK = """
import os, sys, time
from pathlib import Path
from tasks.ngas.streams import Streams
root, streams = Path(sys.argv[1]), Streams(Path(sys.argv[1]) / "streams", 3)
for _ in range(8):
    with streams.slot("one:7777"):
        mark = root / f"in-{os.getpid()}"
        mark.touch()
        with open(root / "seen", "a") as seen:
            seen.write(f"{len(list(root.glob('in-*')))}\\n")
        time.sleep(0.03)
        mark.unlink()
"""


def test_the_limit_holds_over_processes(tmp_path: Path) -> None:
    processes = [subprocess.Popen([sys.executable, "-c", WORK, str(tmp_path)]) for _ in range(5)]
    assert [process.wait(60) for process in processes] == [0] * 5
    seen = [int(line) for line in (tmp_path / "seen").read_text().split()]
    assert (len(seen), max(seen)) == (40, 3)
    assert not list((tmp_path / "streams").iterdir())


def test_each_server_has_its_own_places(tmp_path: Path) -> None:
    streams = Streams(tmp_path, 1)
    with streams.slot("one:7777"), streams.slot("one:77"), streams.slot("[::1]:7777"):
        assert [streams.busy(server) for server in ("one:7777", "one:77", "[::1]:7777", "two:7777")] == [
            1,
            1,
            1,
            0,
        ]
    assert streams.busy("one:7777") == 0


def test_who_has_to_wait_says_so(tmp_path: Path) -> None:
    told: list[str] = []
    streams, over = Streams(tmp_path, 1), threading.Event()

    def hold() -> None:
        with streams.slot("one:7777"):
            over.wait(10)

    with ThreadPoolExecutor(1) as pool, following(lambda event: told.append(event.step)):
        held = pool.submit(hold)
        while not streams.busy("one:7777"):
            time.sleep(0.01)
        threading.Timer(0.5, over.set).start()
        with Item("gather", "f"), streams.slot("one:7777"):
            assert (set(told[:-1]), told[-1]) == ({"", "waiting for a stream from one:7777"}, "")
        held.result()


def test_where_there_is_no_store_nothing_is_made(tmp_path: Path) -> None:
    with Streams(tmp_path / "store" / ".streams", 1).slot("one:7777"):
        assert not list(tmp_path.iterdir())


def test_environments_with_different_limits(tmp_path: Path) -> None:
    few, many = Streams(tmp_path, 1), Streams(tmp_path, 2)
    with many.slot("one:7777"), many.slot("one:7777"):
        assert few.busy("one:7777") == 2


@pytest.mark.parametrize("server", ["one:7777", "two:7777"])
def test_without_a_folder_there_is_no_limit(server: str) -> None:
    streams = Streams(None, 1)
    with streams.slot(server), streams.slot(server):
        assert streams.busy(server) == 0

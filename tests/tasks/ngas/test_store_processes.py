"""Processes that share a store: a file crosses the wire once, whoever is killed, and nothing stays of the dead."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from ngas_archive import Archive, some_bytes
from store_examples import left_over

from deployments.local.ngas_faults import trickle
from tasks.ngas import Store

SIZE = 200_000
FILES = [f"f{number}" for number in range(20)]
ASK = """
import random, sys
from pathlib import Path
from tasks.ngas import NgasClient, Store, checksum_of
address, root, *names = sys.argv[1:]
client = NgasClient([address], timeout=30)
for name in random.sample(names, len(names)):
    with Store(Path(root)).using(client, client.describe(name)) as held:
        assert held.file.checksum == checksum_of(held.path, "crc32"), "wrong bytes"
"""


def asking(there: Archive, root: Path, names: list[str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", ASK, there.address, str(root), *names]
    return subprocess.Popen(command, cwd=Path(__file__).parents[3])


def put_all(there: Archive) -> dict[str, bytes]:
    contents = {name: some_bytes(SIZE, seed) for seed, name in enumerate(FILES)}
    for name, data in contents.items():
        there.put(name, data)
    return contents


def require_right(root: Path, there: Archive, contents: dict[str, bytes]) -> None:
    store, client = Store(root), there.client()
    for name, data in contents.items():
        held = store.held(client.describe(name))
        assert held is not None
        assert held.path.read_bytes() == data
    standing = store.status()
    assert (standing.entries, standing.bytes) == (len(contents), sum(map(len, contents.values())))
    assert left_over(root) == []


def test_eight_processes_that_ask_for_twenty_files_fetch_each_once(archive_there: Archive, tmp_path: Path) -> None:
    contents, root = put_all(archive_there), tmp_path / "store"
    processes = [asking(archive_there, root, FILES) for _ in range(8)]
    assert [process.wait(60) for process in processes] == [0] * 8
    fetched = archive_there.asked("RETRIEVE", len(FILES))
    assert Counter(each["file_id"] for each in fetched) == Counter(FILES)
    assert {each["bytes"] for each in fetched} == {SIZE}
    require_right(root, archive_there, contents)


def test_who_is_killed_at_random_leaves_nothing_and_loses_little(archive_there: Archive, tmp_path: Path) -> None:
    contents, root, chance = put_all(archive_there), tmp_path / "store", random.Random(4)  # noqa: S311
    for name in FILES:
        archive_there.faults["RETRIEVE", name] = trickle(0.02, 20_000)
    processes, kills = [asking(archive_there, root, FILES) for _ in range(8)], 0
    while running := [process for process in processes if process.poll() is None]:
        time.sleep(chance.uniform(0.05, 0.3))
        if kills < 16:
            kills += 1
            victim = chance.choice(running)
            victim.kill()
            victim.wait(10)
            processes.append(asking(archive_there, root, FILES))
    assert {process.returncode for process in processes} == {0, -signal.SIGKILL}
    assert asking(archive_there, root, FILES).wait(60) == 0
    require_right(root, archive_there, contents)
    wire = sum(each["bytes"] for each in archive_there.asked("RETRIEVE", len(FILES)))
    assert wire <= len(FILES) * SIZE + kills * 3 * 20_000
    assert wire < (len(FILES) + kills / 2) * SIZE  # so what had come was gone on with

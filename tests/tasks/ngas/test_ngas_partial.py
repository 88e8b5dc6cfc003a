"""A file's bytes on their way to disk: begun with early, never lost to a killed process or a full disk."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ngas_archive import MIB, Archive, some_bytes

from deployments.local.ngas_faults import stall
from tasks.errors import Failed
from tasks.ngas.model import StoredFile
from tasks.ngas.partial import partial_of

DATA = some_bytes(20 * MIB + 17)
_FETCHING = """
import sys
from pathlib import Path
from tasks.ngas import NgasClient
client = NgasClient([sys.argv[1]])
client.retrieve(client.describe("f"), Path(sys.argv[2]))
"""


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """What the disk was told to begin with: where each piece begins and ends."""
    pieces: list[tuple[int, int]] = []
    advise = os.posix_fadvise

    def told(descriptor: int, offset: int, length: int, advice: int) -> None:
        assert advice == os.POSIX_FADV_DONTNEED
        pieces.append((offset, offset + length))
        advise(descriptor, offset, length, advice)

    monkeypatch.setattr("os.posix_fadvise", told)
    return pieces


def described(there: Archive) -> StoredFile:
    there.put("f", DATA)
    return there.client().describe("f")


def test_the_disk_begins_while_the_rest_comes(
    archive_there: Archive, tmp_path: Path, begun: list[tuple[int, int]]
) -> None:
    archive_there.client().retrieve(described(archive_there), tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == DATA
    starts, ends = zip(*begun, strict=True)
    assert starts == (0, *ends[:-1])
    assert min(end - start for start, end in begun) >= 8 * MIB
    assert len(DATA) - 8 * MIB < ends[-1] <= len(DATA)


def test_the_disk_begins_where_an_earlier_run_ended_and_anew_after_a_loss(
    archive_there: Archive, tmp_path: Path, begun: list[tuple[int, int]]
) -> None:
    file, piece = described(archive_there), memoryview(DATA)[: 9 * MIB]
    for _ in range(2):
        with partial_of(file, tmp_path / "f", lambda count: None) as partial:
            partial.append(piece)
    with partial_of(file, tmp_path / "f", lambda count: None) as partial:
        partial.discard()
        partial.append(piece)
    assert begun == [(0, 9 * MIB), (9 * MIB, 18 * MIB), (0, 9 * MIB)]


def test_what_a_killed_process_had_received_is_gone_on_with(archive_there: Archive, tmp_path: Path) -> None:
    file = described(archive_there)
    archive_there.faults["RETRIEVE", "f"] = stall(18 * MIB)
    command = [sys.executable, "-c", _FETCHING, archive_there.address, str(tmp_path / "f")]
    with subprocess.Popen(command, cwd=Path(__file__).parents[3]) as process:
        ends = time.monotonic() + 30
        while sum(part.stat().st_size for part in tmp_path.glob(".ngas-*.part")) < 18 * MIB:
            assert time.monotonic() < ends
            time.sleep(0.01)
        process.kill()
    archive_there.faults.clear()
    assert not (tmp_path / "f").exists()
    assert archive_there.client().retrieve(file, tmp_path / "f").resumed_from == 18 * MIB
    assert (tmp_path / "f").read_bytes() == DATA


@contextmanager
def room_for(count: int) -> Iterator[None]:
    """Let no file of this process become larger."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (count, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_the_disk_took_before_it_was_full_is_gone_on_with(archive_there: Archive, tmp_path: Path) -> None:
    file, counts = described(archive_there), list[int]()
    with room_for(9 * MIB + 5), pytest.raises(Failed, match="f version 1 cannot be written"):
        archive_there.client().retrieve(file, tmp_path / "f", counts.append)
    assert not (tmp_path / "f").exists()
    assert 8 * MIB <= sum(counts) <= 9 * MIB + 5
    assert archive_there.client().retrieve(file, tmp_path / "f").resumed_from == 9 * MIB + 5
    assert (tmp_path / "f").read_bytes() == DATA

"""What a step of CASA's took: wall clock, processor time with that of children, and the peak of memory."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tasks.casa.recipes import usage
from tasks.casa.recipes.usage import Measurement

MEGABYTE = 2**20
BURN = "import time\nwhile time.process_time() < 0.3: pass"


def grown(size: int) -> None:
    """Hold some memory for a moment."""
    memory = bytearray(size)
    memory[::4096] = b"x" * len(memory[::4096])


def test_time_is_wall_clock_and_processor_time_counts_children() -> None:
    measured = Measurement()
    time.sleep(0.2)
    taken = measured.taken()
    assert taken["seconds"] >= 0.2
    assert taken["cpu_seconds"] < 0.15
    subprocess.run([sys.executable, "-c", BURN], check=True)
    assert measured.taken()["cpu_seconds"] >= 0.3


def test_where_the_peak_can_be_reset_it_belongs_to_its_own_step() -> None:
    first = Measurement()
    grown(300 * MEGABYTE)
    peak = first.taken()["peak_memory_bytes"]
    assert peak is not None
    assert peak > 300 * MEGABYTE
    if usage._forget_peak():
        second = Measurement()
        grown(MEGABYTE)
        after = second.taken()["peak_memory_bytes"]
        assert after is not None
        assert after < peak - 200 * MEGABYTE


def test_where_the_peak_cannot_be_reset_only_one_that_rises_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    usage._forget_peak()
    monkeypatch.setattr(usage, "_forget_peak", lambda: False)
    grown(300 * MEGABYTE)
    measured = Measurement()
    grown(100 * MEGABYTE)
    assert measured.taken()["peak_memory_bytes"] is None
    grown(500 * MEGABYTE)
    peak = measured.taken()["peak_memory_bytes"]
    assert peak is not None
    assert peak > 500 * MEGABYTE


def test_without_proc_memory_is_unknown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(usage, "_PROCESS", tmp_path / "nowhere")
    assert Measurement().taken()["peak_memory_bytes"] is None

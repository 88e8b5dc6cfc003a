"""What a piece of work takes is seen whole: children, their children, and those in namespaces of their own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.casa.launch import Launch, run
from tasks.cluster import measure
from tasks.cluster.measure import Taken, measured

ROOT = Path(__file__).parents[3]
MEGABYTE = 1 << 20
PATIENCE = 60.0
BURN = "import time\nwhile time.process_time() < 0.5: pass\n"
GRANDCHILD = f"{BURN}held = b'x' * (100 << 20)\ninput()"
CHILD = f"""
import subprocess, sys
held = b'x' * (200 << 20)
{BURN}
subprocess.run([sys.executable, "-S", "-c", {GRANDCHILD!r}], check=True)
"""
SHORT = """
import subprocess, sys
from tasks.cluster.measure import measured
with measured() as taken:
    subprocess.run([sys.executable, "-S", "-c", "b'x' * (300 << 20)"], check=True)
print(taken.peak_memory)
"""


def until(is_so: Callable[[], bool]) -> None:
    ends = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < ends, "it took too long"
        time.sleep(0.02)


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "_SECONDS", 0.05)


def test_the_memory_and_time_of_a_child_and_its_child_are_added() -> None:
    with (
        measured() as taken,
        subprocess.Popen([sys.executable, "-S", "-c", CHILD], stdin=subprocess.PIPE) as child,
    ):
        until(lambda: taken.peak_memory > 300 * MEGABYTE)
        child.communicate(b"\n")
    assert child.returncode == 0
    assert taken.cpu_seconds >= 1.0
    assert taken.wall_seconds > 0
    assert 300 * MEGABYTE < taken.peak_memory < 2000 * MEGABYTE


def test_what_runs_in_namespaces_of_its_own_is_seen(tmp_path: Path) -> None:
    seen: list[int] = []
    told = tmp_path / "go"
    program = CHILD.replace(
        "input()", f"import os, time\\nwhile not os.path.exists({str(told)!r}): time.sleep(.02)"
    )

    def watch() -> None:
        seen.append(taken.peak_memory)
        if taken.peak_memory > 300 * MEGABYTE:
            told.touch()

    with measured() as taken:
        ended = run(Launch((sys.executable, "-S", "-c", program), tmp_path, PATIENCE), watch)
    assert ended.status == 0, (tmp_path / "stderr.txt").read_text()
    assert taken.cpu_seconds >= ended.cpu_seconds >= 1.0
    assert taken.peak_memory > ended.peak_rss_bytes


def test_a_peak_between_two_looks_is_not_overlooked() -> None:
    ran = subprocess.run([sys.executable, "-c", SHORT], cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(ran.stdout) > 300 * MEGABYTE


def test_work_that_fails_was_measured_too() -> None:
    seen: list[Taken] = []
    with pytest.raises(ValueError, match="bad"), measured() as taken:
        seen.append(taken)
        raise ValueError("bad")
    assert seen[0].wall_seconds > 0
    assert seen[0].peak_memory > 0


def test_processes_that_are_gone_are_nothing() -> None:
    with subprocess.Popen([sys.executable, "-S", "-c", ""]) as child:
        child.wait(PATIENCE)
    assert list(measure._family(child.pid)) == [child.pid]
    assert measure._resident(child.pid) == 0

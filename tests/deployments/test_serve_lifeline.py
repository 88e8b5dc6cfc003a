"""Services end with who started them, whatever ends that one, with all that they started, and in good order."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from deployments.lifeline import Command, Kept, keep

ROOT = Path(__file__).parents[2]
STARTER = """
import os, sys, time
from pathlib import Path
from deployments.lifeline import Command, {call}
{start}
Path({ready!r}).touch()
time.sleep(120)
"""
CHILD = "import time; time.sleep(120)"
PARENT = (
    "import subprocess, sys; subprocess.Popen([sys.executable, '-c', {child!r}], start_new_session=True).wait()"
)
TOLD = """
import os, signal, subprocess, sys, time
def told(number, frame):
    print(name, signal.Signals(number).name, flush=True)
    if not deaf:
        sys.exit(0)
name, deaf = sys.argv[1], sys.argv[2] == "deaf"
signal.signal(signal.SIGTERM, told)
signal.signal(signal.SIGINT, told)
if sys.argv[3:]:
    subprocess.Popen([sys.executable, "-c", os.environ["PROGRAM"], *sys.argv[3:]])
print(name, "runs", flush=True)
while True:
    time.sleep(0.1)
"""


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def marked(mark: str) -> list[psutil.Process]:
    """Return the processes with a mark in their environment, which is how a family is told from others."""
    return [process for process in psutil.process_iter() if _is_marked(process, mark)]


def _is_marked(process: psutil.Process, mark: str) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.environ().get("MARK") == mark and process.status() != psutil.STATUS_ZOMBIE
    return False


def started(folder: Path, call: str, start: str) -> subprocess.Popen[bytes]:
    """Run a program that starts services; return it when it has."""
    ready = folder / "ready"
    program = STARTER.format(call=call, start=start, ready=str(ready))
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "MARK": str(folder)}
    process = subprocess.Popen([sys.executable, "-c", program], env=variables, start_new_session=True)
    assert within(20, ready.exists)
    return process


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_service_and_its_children_end_with_their_starter(tmp_path: Path, number: int) -> None:
    arguments = (sys.executable, "-c", PARENT.format(child=CHILD))
    start = f"keep(Command({arguments!r}, dict(os.environ), Path('/')), Path({str(tmp_path / 'log')!r}))"
    starter = started(tmp_path, "keep", start)
    assert within(20, lambda: len(marked(str(tmp_path))) == 4), "starter, keeper, service and its child"
    os.killpg(starter.pid, number)
    starter.wait(10)
    assert within(20, lambda: not marked(str(tmp_path)))


def test_what_others_have_started_ends_with_us(tmp_path: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", CHILD])
    starter = started(tmp_path, "end_with_us", f"end_with_us([{other.pid}])")
    assert other.poll() is None
    starter.kill()
    starter.wait(10)
    assert other.wait(20) == -signal.SIGTERM
    assert within(10, lambda: not marked(str(tmp_path)))


def command(*arguments: str, stop: tuple[tuple[str, float], ...], children_first: bool = False) -> Command:
    program = (sys.executable, "-c", TOLD, *arguments)
    return Command(program, {**os.environ, "PROGRAM": TOLD}, Path("/"), stop, children_first)


def kept(log: Path, given: Command, lines: int = 1) -> Kept:
    service = keep(given, log)
    assert within(20, lambda: log.read_text().count("runs") == lines)
    return service


def test_a_service_is_asked_before_it_is_killed_and_its_children_before_it(tmp_path: Path) -> None:
    log = tmp_path / "log"
    given = command("parent", "kind", "child", "kind", stop=(("SIGTERM", 20.0),), children_first=True)
    kept(log, given, lines=2).end()
    assert log.read_text().splitlines()[-2:] == ["child SIGTERM", "parent SIGTERM"]


def test_a_service_that_does_not_listen_is_killed_at_last(tmp_path: Path) -> None:
    log = tmp_path / "log"
    kept(log, command("one", "deaf", stop=(("SIGINT", 0.3), ("SIGTERM", 0.3)))).end()
    assert log.read_text().splitlines() == ["one runs", "one SIGINT", "one SIGTERM"]


@pytest.mark.parametrize(("program", "status"), [("raise SystemExit(3)", 3), ("import os; os.abort()", 134)])
def test_the_status_of_a_service_that_ends_by_itself(tmp_path: Path, program: str, status: int) -> None:
    service = keep(Command((sys.executable, "-c", program), os.environ, Path("/")), tmp_path / "log")
    assert within(20, lambda: service.status() is not None)
    assert service.status() == status


def test_a_log_is_added_to(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")
    service = keep(Command((sys.executable, "-c", "print('now')"), os.environ, Path("/")), log)
    assert within(20, lambda: service.status() == 0)
    assert log.read_text() == "before\nnow\n"

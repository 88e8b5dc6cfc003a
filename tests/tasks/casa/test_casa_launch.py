"""The child ends when we end, however we end."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tasks.casa import launch
from tasks.casa.launch import Launch, ending_children, run
from tasks.errors import Transient

TALK = """
import contextlib, socket, sys
with socket.create_server(("127.0.0.1", 0)) as own, socket.create_connection(own.getsockname(), 5):
    print("itself", end="")
with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5):
    print(" others", end="")
"""
BUSY = "sleep 4711 & setsid sleep 4712 & sleep 4713"


def shell(directory: Path, script: str, seconds: float = 30) -> Launch:
    return Launch(("sh", "-c", script), directory, seconds, {"PATH": os.environ["PATH"]})


def sleepers(directory: Path) -> list[int]:
    return [process.pid for process in psutil.process_iter() if _sleeps_in(process, directory)]


def _sleeps_in(process: psutil.Process, directory: Path) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.name() == "sleep" and process.cwd() == str(directory)
    return False


def gone_within(directory: Path, seconds: float) -> bool:
    return until(lambda: not sleepers(directory), seconds)


def until(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return bool(condition())


@pytest.fixture(params=["namespaces", "no namespaces"], autouse=True)
def both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "no namespaces":
        monkeypatch.setattr(launch, "namespaces", tuple)


@pytest.mark.parametrize(
    ("script", "status", "number"), [("exit 0", 0, None), ("exit 7", 7, None), ("kill -9 $$", None, 9)]
)
def test_a_status_and_a_signal_are_told_apart(tmp_path: Path, script: str, status: int, number: int) -> None:
    ended = run(shell(tmp_path, script))
    assert (ended.status, ended.signal, ended.timed_out) == (status, number, False)


def test_a_program_that_is_not_there_is_a_failure_in_words(tmp_path: Path) -> None:
    assert run(Launch(("no-such-program",), tmp_path, 5, {"PATH": "/bin"})).status == 127
    assert "no-such-program" in (tmp_path / "stderr.txt").read_text()


def test_its_environment_is_what_it_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_WORKER", "hush")
    run(shell(tmp_path, "env"))
    assert "hush" not in (tmp_path / "stdout.txt").read_text()


def test_it_can_talk_to_itself_and_where_there_are_namespaces_to_nobody_else(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as ours:
        command = (sys.executable, "-c", TALK, str(ours.getsockname()[1]))
        assert run(Launch(command, tmp_path, 30, {"PATH": "/bin"})).status == 0
    reached = "" if "--net" in launch.namespaces() else " others"
    assert (tmp_path / "stdout.txt").read_text() == f"itself{reached}"


def test_a_hang_ends_at_its_time_with_all_children(tmp_path: Path) -> None:
    ended = run(shell(tmp_path, BUSY, seconds=0.5))
    assert ended.timed_out
    assert ended.wall_seconds < 8
    assert gone_within(tmp_path, 2)


def test_a_child_that_ignores_sigterm_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = run(shell(tmp_path, "trap '' TERM; while :; do sleep 0.1; done", seconds=0.3))
    assert (ended.timed_out, ended.signal) == (True, signal.SIGKILL)


def test_children_left_behind_end_with_it(tmp_path: Path) -> None:
    assert run(shell(tmp_path, "setsid sleep 4712 & sleep 4711 & exit 0")).status == 0
    assert gone_within(tmp_path, 2)


def test_an_exception_in_the_flow_ends_a_child_of_another_thread(tmp_path: Path) -> None:
    worker = threading.Thread(target=lambda: run(shell(tmp_path, BUSY)))
    with pytest.raises(KeyboardInterrupt), ending_children():
        worker.start()
        assert until(lambda: len(sleepers(tmp_path)) == 3, 10)
        raise KeyboardInterrupt
    worker.join(10)
    assert not worker.is_alive()
    assert gone_within(tmp_path, 2)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_launcher_takes_its_child_along(tmp_path: Path, number: int) -> None:
    plain = "" if launch.namespaces is not tuple else "launch.namespaces = tuple; "
    script = (
        "import signal, sys; from pathlib import Path; from tasks.casa import launch; "
        "signal.signal(signal.SIGINT, signal.default_int_handler); "  # where it was ignored, it still would be
        f"{plain}launch.run(launch.Launch(('sh', '-c', {BUSY!r}), Path({str(tmp_path)!r}), 60, "
        "{'PATH': '/usr/bin:/bin'}))"
    )
    launcher = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
    assert until(lambda: len(sleepers(tmp_path)) == 3, 20)
    launcher.send_signal(number)
    launcher.wait(10)
    assert gone_within(tmp_path, 10)


def test_a_killed_supervisor_is_unknown_not_success(tmp_path: Path) -> None:
    def kill_supervisor() -> None:
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):  # as a zombie is to psutil
                if "_supervisor.py" in " ".join(child.cmdline()):
                    child.kill()

    with pytest.raises(Transient, match="unknown way"):
        run(shell(tmp_path, "exec sleep 4713"), watch=kill_supervisor)
    assert gone_within(tmp_path, 5)

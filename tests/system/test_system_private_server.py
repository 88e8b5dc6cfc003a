"""Without a Prefect server of its environment a command starts one, which ends with it, however that ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from environments import PROPRIETARY, Environment, MakeEnvironment


def without_server(environment: Environment) -> Environment:
    properties = environment.capo / f"{environment.name}.properties"
    kept = [line for line in properties.read_text().splitlines() if "apiUrl" not in line]
    properties.write_text("\n".join(kept))
    return environment


def servers_of(area: Path) -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if _serves(process, area)]


def _serves(process: psutil.Process, area: Path) -> bool:
    with contextlib.suppress(psutil.Error):
        return "uvicorn" in process.cmdline() and str(area) in process.environ().get("PREFECT_HOME", "")
    return False


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)
    return condition()


def test_two_restores_begin_at_once_on_a_new_area_and_leave_no_server(make_environment: MakeEnvironment) -> None:
    environment = without_server(make_environment(access_projects="*"))
    processes = [
        subprocess.Popen(
            environment.command("restore", PROPRIETARY),
            env=environment.variables,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    ended = [(process.communicate(timeout=200)[1], process.returncode) for process in processes]
    assert all("Traceback" not in told for told, _ in ended), ended
    assert {code for _, code in ended} <= {0, 5}
    assert 0 in {code for _, code in ended}
    assert within(20, lambda: not servers_of(environment.area))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_restore_leaves_no_server(make_environment: MakeEnvironment, number: int) -> None:
    environment = without_server(make_environment(access_projects="*"))
    process = subprocess.Popen(
        environment.command("restore", PROPRIETARY),
        env=environment.variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert within(120, lambda: (environment.area / ".locks").exists())
    os.kill(process.pid, number)
    assert process.wait(60) == (130 if number == signal.SIGTERM else -number)
    assert within(20, lambda: not servers_of(environment.area))

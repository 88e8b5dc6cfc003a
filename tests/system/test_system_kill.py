"""Kill it at any moment and run it again: the same bytes, and nothing that was finished is done twice."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from environments import MOUS, Environment, MakeEnvironment

from deployments.local.ngas_faults import first, stall

LAST = "uid___A002_Xc72427_X2dfe.asdm.sdm.tar"


def killed_when(environment: Environment, ready: Callable[[], bool], seconds: float = 180) -> None:
    """Start a restore, and kill it and nothing else with SIGKILL at the first sign of something."""
    process = subprocess.Popen(
        environment.command("restore", MOUS),
        env=environment.variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + seconds
        while not ready():
            assert process.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < deadline, "it never came so far"
            time.sleep(0.002)
    finally:
        process.kill()
        process.wait(10)


def below(folder: Path) -> list[Path]:
    """List what lies in a folder in which others work: `rglob` fails where something goes meanwhile."""
    return [Path(place, name) for place, folders, files in os.walk(folder) for name in (*folders, *files)]


def large(path: Path, size: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_size >= size
    return False


def no_casa_left(area: Path, seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not [process for process in psutil.process_iter(["cmdline", "cwd"]) if _works_in(process, area)]:
            return True
        time.sleep(0.1)
    return False


def _works_in(process: psutil.Process, area: Path) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.cwd().startswith(str(area)) and "tasks.casa" in " ".join(process.cmdline())
    return False


def records(area: Path) -> dict[str, Any]:
    found = area.glob("2017*/SOUS*/GOUS*/MOUS*/working/uid*/record.json")
    return {path.parent.name: json.loads(path.read_bytes()) for path in found}


def proven_right(environment: Environment) -> dict[str, Any]:
    """Run it again, and return its provenance."""
    again = environment.ppi("restore", MOUS)
    assert again.returncode == 0, again.stderr
    provenance = environment.restored()
    assert provenance["verdict"]["outcome"] == "success"
    assert [block["proof"]["reference"] for block in provenance["blocks"]] == ["equal"] * 4
    assert not list(environment.area.glob("2017*")), "the attempt is cleared away"
    assert [path.name for path in environment.destination.parent.iterdir()] == [environment.destination.name]
    return provenance


def test_killed_while_fetching(make_environment: MakeEnvironment) -> None:
    held = first(1, stall(2_500_000, 60))
    environment = make_environment(faults={("RETRIEVE", LAST): held})
    store = environment.area / "store"
    others = 3

    def mid_fetch() -> bool:
        found = below(store)
        whole = sum(1 for path in found if path.match("*asdm.sdm.tar/record.json"))
        partial = [path for path in found if path.match("*X2dfe.asdm.sdm.tar/*") and path.name != "content"]
        return whole == others and any(large(path, 2_000_000) for path in partial)

    killed_when(environment, mid_fetch)
    before = environment.retrieved()
    provenance = proven_right(environment)
    after = environment.retrieved()
    assert sorted(set(after)) == sorted(entry["file_id"] for entry in provenance["inputs"])
    twice = {file for file in after if after.count(file) > 1}
    assert twice <= {LAST} | {file for file in before if not file.endswith(".tar")}
    assert all(after.count(file) == 1 for file in set(before) if file.endswith(".tar") and file != LAST)


def test_killed_while_casa_works(make_environment: MakeEnvironment) -> None:
    environment = make_environment()
    killed_when(environment, lambda: len(records(environment.area)) >= 1 and _casa_is_busy(environment.area))
    assert no_casa_left(environment.area)
    finished, fetched = records(environment.area), environment.retrieved()
    assert 1 <= len(finished) < 4
    provenance = proven_right(environment)
    assert environment.retrieved() == fetched
    delivered = {Path(block["vis"]).stem: block for block in provenance["blocks"]}
    assert {name: delivered[name] for name in finished} == finished


def _casa_is_busy(area: Path) -> bool:
    return any(area.glob("2017*/SOUS*/GOUS*/MOUS*/working/attempts/*/steps.jsonl"))


@pytest.mark.parametrize("sign", ["the staging is begun", "two blocks are moved", "it is in place"])
def test_killed_while_delivering(make_environment: MakeEnvironment, sign: str) -> None:
    environment = make_environment()

    def there() -> bool:
        if sign == "it is in place":
            return environment.destination.exists()
        staged = list(environment.area.glob("2017*/delivery/calibrated/*.ms"))
        begun = any(environment.area.glob("2017*/delivery"))
        return begun if sign == "the staging is begun" else len(staged) >= 2

    killed_when(environment, there)
    finished, fetched = records(environment.area), environment.retrieved()
    provenance = proven_right(environment)
    assert environment.retrieved() == fetched
    delivered = {Path(block["vis"]).stem: block for block in provenance["blocks"]}
    assert {name: delivered[name] for name in finished} == finished


def test_a_second_run_at_the_same_time_is_told_to_wait(make_environment: MakeEnvironment) -> None:
    environment = make_environment()
    process = subprocess.Popen(
        environment.command("restore", MOUS), env=environment.variables, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 120
        while not _casa_is_busy(environment.area) and time.monotonic() < deadline:
            time.sleep(0.05)
        states = json.loads(environment.ppi("status", "--json").stdout)
        assert [state["state"] for state in states] == ["running"]
        second = environment.ppi("restore", MOUS)
        assert second.returncode == 5
        assert f"process {process.pid}" in second.stderr
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(60) == 130
        assert no_casa_left(environment.area)
        states = json.loads(environment.ppi("status", "--json").stdout)
        assert [state["state"] for state in states] == ["interrupted"]
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_fetch_that_stalls(make_environment: MakeEnvironment, number: signal.Signals) -> None:
    environment = make_environment(faults={("RETRIEVE", LAST): stall(1000, 600)}, ngas_timeoutSeconds="300")
    process = subprocess.Popen(
        environment.command("restore", MOUS), env=environment.variables, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    store = environment.area / "store"
    while not any(path.match("*X2dfe.asdm.sdm.tar") for path in below(store)) and time.monotonic() < deadline:
        time.sleep(0.05)
    began = time.monotonic()
    process.send_signal(number)
    _, told = process.communicate(timeout=40)
    assert process.returncode == 130
    assert "interrupted; run the same command again" in told
    assert time.monotonic() - began < 10, "it was not cut off, but left after 15 s"

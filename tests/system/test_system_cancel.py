"""A run that is cancelled, however it is told to end, is gone: no process, no lease, and every record says so."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from environments import MOUS, PROPRIETARY, Environment, MakeEnvironment
from serving import Runs, worker

from deployments.local.condor.pool import LocalPool
from deployments.local.ngas_faults import first, stall
from tasks.catalog.book import Book
from tasks.catalog.catalog import Catalog
from tasks.catalog.connection import Database
from tasks.catalog.request import SWEEP, Ask
from tasks.ngas.store import Store

LAST = "uid___A002_Xc72427_X2dfe.asdm.sdm.tar"
STALLED: dict[str, Any] = {"faults": {("RETRIEVE", LAST): stall(1000, 600)}, "ngas_timeoutSeconds": "300"}
PATIENCE = 120.0
NAME = "restore X1284_X265f"


@pytest.fixture(params=["local", "htcondor"])
def make(request: pytest.FixtureRequest, make_environment: MakeEnvironment) -> MakeEnvironment:
    """Make environments whose work is done here, or by jobs of a pool; its queue must be empty after each test."""
    if request.param == "local":
        return make_environment
    pool: LocalPool = request.getfixturevalue("pool")
    of_pool = {key.removeprefix("ppi.").replace(".", "_"): value for key, value in pool.properties.items()}
    sizes = {f"cluster_{name}_memory": "1 GB" for name in ("transfer", "casa", "light")}
    return partial(make_environment, **of_pool, **sizes)


def waited(condition: Callable[[], object], seconds: float = PATIENCE) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)
    return bool(condition())


def works_in(area: Path) -> list[str]:
    """Return the commands that run in an area, or were told to work there."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            command = " ".join(process.cmdline())
            if str(area) in command or process.cwd().startswith(str(area)):
                found.append(command)
    return found


def casa_is_busy(environment: Environment) -> bool:
    return any(environment.area.glob("2017*/SOUS*/GOUS*/MOUS*/working/attempts/*/steps.jsonl"))


def fetch_stalls(environment: Environment) -> bool:
    """Whether a fetch is under way that lasts for ten minutes, so that nothing is done before it is ended."""
    return any(path.match("*X2dfe*") for path in below(environment.area / "store"))


@contextlib.contextmanager
def restoring(
    environment: Environment, sign: Callable[[Environment], bool] = casa_is_busy
) -> Iterator[subprocess.Popen[bytes]]:
    """Have a restore run by command; it has come to a sign when the block begins, by default to CASA."""
    with said(environment).open("wb") as log:
        process = subprocess.Popen(environment.command("restore", MOUS), env=environment.variables, stderr=log)
    try:
        assert waited(lambda: sign(environment) or process.poll() is not None)
        assert process.poll() is None, said(environment).read_text()
        yield process
    finally:
        process.kill()
        process.wait()


def said(environment: Environment) -> Path:
    return environment.area.parent / f"{environment.name}.stderr"


def run_of(environment: Environment, runs: Runs) -> str:
    """Return the id of the newest restore of an environment."""
    found = runs.records.ask("flow_runs", flow_runs={"name": {"any_": [NAME]}}, sort="EXPECTED_START_TIME_DESC")
    return next(str(run["id"]) for run in found if run["parameters"]["profile"] == environment.name)


def cancel_as_the_pages_do(runs: Runs, run: str) -> None:
    runs.ask("POST", f"flow_runs/{run}/set_state", state={"type": "CANCELLING", "name": "Cancelling"}, force=True)


def states(runs: Runs, run: str) -> dict[str, str]:
    return {name: each["state_type"] for name, each in runs.records.flow_runs(run).items()}


def asked_by_sweep(environment: Environment) -> None:
    """Have the observation be asked for, so that it is done again when nobody has cancelled it."""
    environment.area.mkdir(mode=0o700, exist_ok=True)
    database = Database(f"sqlite:///{environment.area / 'catalog.db'}")
    Catalog(database, environment.name)
    Book(database).record([Ask(workflow="restore-ous", observation=MOUS, origin=SWEEP)], datetime.now(UTC))


def request_state(environment: Environment) -> str:
    (request,) = json.loads(environment.ppi("queue", "list", MOUS, "--json").stdout)
    return str(request["state"])


def nothing_is_left(environment: Environment, seconds: float = 15) -> None:
    assert waited(lambda: not works_in(environment.area), seconds), works_in(environment.area)
    assert Store(environment.area / "store").left_by_the_dead() == 0
    recorded = json.loads(environment.ppi("history", "--json").stdout)
    assert [each["state"] for each in recorded] == ["interrupted"]
    assert _found(environment) == []


def test_a_command_s_run_is_cancelled_on_the_server(make: MakeEnvironment, prefect_api: str) -> None:
    environment, runs = make("site-paged"), Runs(prefect_api)
    asked_by_sweep(environment)
    with restoring(environment) as process:
        run = run_of(environment, runs)
        cancel_as_the_pages_do(runs, run)
        assert process.wait(30) == 130
    assert "it was ended on the Prefect server" in said(environment).read_text()
    assert states(runs, run) == {NAME: "CANCELLED", "gather": "COMPLETED", "process": "CANCELLED"}
    nothing_is_left(environment)
    assert request_state(environment) == "cancelled"


def test_a_worker_s_run_is_cancelled_by_command_and_on_the_server(make: MakeEnvironment, prefect_api: str) -> None:
    once = {("RETRIEVE", LAST): first(1, stall(1000, 600))}
    environment, runs = make("site-working", faults=once, ngas_timeoutSeconds="300"), Runs(prefect_api)
    assert environment.ppi("deploy").returncode == 0
    asked_by_sweep(environment)
    with worker(environment, prefect_api):
        _cancelled_by_command(environment, runs)
        run = runs.start("restore-ous/site-working", mous=MOUS)
        assert waited(lambda: casa_is_busy(environment))
        cancel_as_the_pages_do(runs, run)
        assert runs.ended(run)["state_type"] == "CANCELLED"
        assert waited(lambda: not casa_runs(environment), 15)
        assert waited(lambda: set(states(runs, run).values()) <= {"CANCELLED", "COMPLETED"}, 15), states(runs, run)
        assert waited(lambda: request_state(environment) == "cancelled")
    nothing_is_left_of_workers(environment)


def _cancelled_by_command(environment: Environment, runs: Runs) -> None:
    run = runs.start("restore-ous/site-working", mous=MOUS)
    assert waited(lambda: fetch_stalls(environment))
    told = environment.ppi("cancel", run, "--json")
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["flow_run"] == run
    assert states(runs, run) == {NAME: "CANCELLED", "gather": "CANCELLED"}


def casa_runs(environment: Environment) -> list[str]:
    return [command for command in works_in(environment.area) if "tasks.casa" in command]


def nothing_is_left_of_workers(environment: Environment) -> None:
    recorded = json.loads(environment.ppi("history", "--json").stdout)
    assert [each["state"] for each in recorded] == ["interrupted", "interrupted"]
    assert _found(environment) == []


@pytest.mark.parametrize("named", [MOUS, NAME])
def test_a_command_ends_a_run_and_waits_for_that(make: MakeEnvironment, prefect_api: str, named: str) -> None:
    environment, runs = make("site-told", **STALLED), Runs(prefect_api)
    with restoring(environment, fetch_stalls) as process:
        run = run_of(environment, runs)
        told = environment.ppi("cancel", named)
        assert told.returncode == 0, told.stderr
        assert f"process {process.pid}" in told.stdout
        assert process.wait(1) == 130, "it was waited for"
    assert states(runs, run) == {NAME: "CANCELLED", "gather": "CANCELLED"}
    nothing_is_left(environment)
    nobody = environment.ppi("cancel", named)
    assert (nobody.returncode, "nothing of that name runs" in nobody.stderr) == (4, True)


def test_a_run_without_a_server_is_ended_by_its_process(make_environment: MakeEnvironment) -> None:
    environment = make_environment("site-private", prefect_apiUrl="", **STALLED)
    with restoring(environment, fetch_stalls) as process:
        told = environment.ppi("cancel", MOUS, "--json")
        assert told.returncode == 0, told.stderr
        assert process.wait(1) == 130
    nothing_is_left(environment)


def test_giving_up_a_request_ends_its_run(make_environment: MakeEnvironment, prefect_api: str) -> None:
    environment, runs = make_environment("site-given-up", **STALLED), Runs(prefect_api)
    asked_by_sweep(environment)
    with restoring(environment, fetch_stalls) as process:
        assert request_state(environment) == "running"
        told = environment.ppi("queue", "cancel", MOUS, "--json")
        assert told.returncode == 0, told.stderr
        assert f"process {process.pid}" in json.loads(told.stdout)["runs"][0]
        assert process.wait(PATIENCE) == 130
    nothing_is_left(environment)
    assert request_state(environment) == "cancelled"
    assert states(runs, run_of(environment, runs))[NAME] == "CANCELLED"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_nothing(make: MakeEnvironment, prefect_api: str, number: signal.Signals) -> None:
    environment, runs = make("site-signalled"), Runs(prefect_api)
    asked_by_sweep(environment)
    with restoring(environment) as process:
        run = run_of(environment, runs)
        process.send_signal(number)
        assert process.wait(30) == 130
    assert states(runs, run) == {NAME: "CRASHED", "gather": "COMPLETED", "process": "CRASHED"}
    nothing_is_left(environment)
    assert request_state(environment) == "waiting", "nobody has cancelled it"


def test_what_a_kill_leaves_is_settled(make: MakeEnvironment, prefect_api: str) -> None:
    environment = make("site-killed", **STALLED)
    asked_by_sweep(environment)
    runs, store = Runs(prefect_api), Store(environment.area / "store")
    with restoring(environment, fetch_stalls) as process:
        process.kill()
    run = run_of(environment, runs)
    assert states(runs, run) == {NAME: "RUNNING", "gather": "RUNNING"}
    assert waited(lambda: not works_in(environment.area), 90), "no job outlives the flow for long"
    leases = min(1, store.left_by_the_dead())  # a job that is removed gives its own back
    planned = [each["kind"] for each in _found(environment, "--dry-run")]
    assert [planned.count(kind) for kind in ("execution", "flow run", "leases")] == [1, 2, leases]
    assert states(runs, run) == {NAME: "RUNNING", "gather": "RUNNING"}, "a plan settles nothing"
    assert _at_once(environment) == [0, 0]
    assert states(runs, run) == {NAME: "CRASHED", "gather": "CRASHED"}
    nothing_is_left(environment)
    assert request_state(environment) == "waiting"


def below(folder: Path) -> list[Path]:
    return [Path(place, name) for place, folders, files in os.walk(folder) for name in (*folders, *files)]


def _found(environment: Environment, *arguments: str) -> list[dict[str, Any]]:
    told = environment.ppi("reconcile", "--json", *arguments)
    assert told.returncode == 0, told.stderr
    found: list[dict[str, Any]] = json.loads(told.stdout)["found"]
    return found


def _at_once(environment: Environment) -> list[int]:
    """Reconcile twice at the same time; return how that ended."""
    both = [
        subprocess.Popen(environment.command("reconcile"), env=environment.variables, stdout=subprocess.DEVNULL)
        for _ in range(2)
    ]
    return [process.wait(120) for process in both]


def test_what_lives_is_left_alone(make_environment: MakeEnvironment, prefect_api: str) -> None:
    environment, runs = make_environment("site-living", access_projects="*", **STALLED), Runs(prefect_api)
    with restoring(environment, fetch_stalls) as process:
        assert _found(environment) == []
        assert process.poll() is None
        run = run_of(environment, runs)
        assert states(runs, run)[NAME] == "RUNNING"
        unknown = environment.ppi("cancel", PROPRIETARY)
        assert unknown.returncode == 4
        process.send_signal(signal.SIGINT)
        process.wait(30)

"""The private pool, for real: it runs jobs, holds what takes too much, keeps its queue, and leaves nothing."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import psutil
import pytest
from pools import MakePool, awaited, job, release, submit
from typer.testing import CliRunner

from cli.main import app
from deployments.local.condor.daemons import Daemons
from deployments.local.condor.pool import LocalPool
from tasks import kin
from tasks.cluster.job import Status
from tasks.errors import Missing, Refused, Transient

ROOT = Path(__file__).parents[2]
DAEMONS = {"master", "collector", "negotiator", "schedd", "startd"}
GREEDY = "import time; held = bytearray(300_000_000); time.sleep(120)"
STARTER = """
import sys, time
from pathlib import Path
from deployments.local.condor.install import Release
from deployments.local.condor.pool import running
with running(Path(sys.argv[1]), Release(Path(sys.argv[2]))) as pool:
    pool.client.submit("executable = /bin/sleep\\narguments = 120\\nrequest_memory = 10MB\\nqueue\\n", "one")
    while pool.client.queue("JobStatus == 2") == ():
        time.sleep(0.1)
    Path(sys.argv[1], "ready").touch()
    time.sleep(120)
"""


def family(pool: Daemons) -> list[psutil.Process]:
    """Return all processes of a pool, its jobs among them."""
    master = pool.processes()["master"]
    return [master, *master.children(recursive=True)]


def alive(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Return those that have not ended; whether somebody has asked for them is not ours to see."""
    return [process for process in processes if kin.born(process.pid) and process.is_running()]


def sleeper(pool: Daemons) -> psutil.Process:
    """Return the process of the one job, which HTCondor calls running before it is there."""
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        with contextlib.suppress(psutil.NoSuchProcess, StopIteration):
            return next(process for process in family(pool) if process.name() == "sleep")
    raise AssertionError("the job does not run")


def test_a_job_runs_with_the_python_of_the_host(pool: LocalPool, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("import os, sys; print(sys.prefix, os.getuid(), os.environ.get('LD_LIBRARY_PATH'))")
    (one,) = submit(pool.client, tmp_path, sys.executable, str(program), output=str(tmp_path / "out"))
    ended = awaited(pool.client, one, Status.COMPLETED)
    assert (ended.exit_code, ended.exit_signal) == (0, None)
    prefix, _, libraries = (tmp_path / "out").read_text().split()
    assert (prefix, libraries) == (sys.prefix, "None")
    assert (tmp_path / "out").stat().st_uid == os.geteuid()
    assert set(pool.processes()) >= DAEMONS


def test_who_takes_more_memory_than_asked_for_is_held(pool: LocalPool, tmp_path: Path) -> None:
    """It is the whole job that counts, children too; and why it was held is told when it is out of the queue."""
    program = tmp_path / "greedy.py"
    program.write_text(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {GREEDY!r}])")
    (one,) = submit(pool.client, tmp_path, sys.executable, str(program))
    held = awaited(pool.client, one, Status.HELD)
    assert (held.hold_code, held.hold_subcode) == (21, 102)
    assert "memory usage exceeded request_memory" in (held.hold_reason or "")
    assert held.exceeded_memory
    assert (held.memory or 0) > (held.requested_memory or 0)
    pool.client.run("condor_qedit", one, "RequestMemory", "1000")
    pool.client.run("condor_release", one)
    assert awaited(pool.client, one, Status.RUNNING).exceeded_memory, "it was held for that before"
    pool.client.run("condor_rm", one)
    removed = awaited(pool.client, one, Status.REMOVED)
    assert (removed.hold_code, removed.hold_subcode) == (21, 102)


def test_limits_and_node_classes_hold(pool: LocalPool, tmp_path: Path) -> None:
    asked = {"requirements": 'TARGET.NodeClass == "highmem"', "concurrency_limits": "CASA"}
    ids = submit(pool.client, tmp_path, "/bin/sleep", "120", number=3, **asked)
    running = []
    ends = time.monotonic() + 60
    while len(running) < 2:
        assert time.monotonic() < ends
        running = [each for each in ids if job(pool.client, each).status is Status.RUNNING]
    rejected = [each for each in ids if each not in running]
    while not job(pool.client, rejected[0]).reject_reason:
        assert time.monotonic() < ends
    assert job(pool.client, rejected[0]).status is Status.IDLE
    assert {(job(pool.client, each).host or "").partition("_")[0] for each in running} == {"slot2"}
    pool.client.remove(f"ClusterId == {ids[0].partition('.')[0]}", "seen")


def test_a_queue_outlives_daemons_and_pool(make_pool: MakePool, tmp_path: Path) -> None:
    pool = make_pool()
    (one,) = submit(pool.client, tmp_path, "/bin/sleep", "120")
    awaited(pool.client, one, Status.RUNNING)
    schedd, at_work = pool.processes()["schedd"], sleeper(pool)
    pool.kill("schedd")
    assert pool.processes()["schedd"] != schedd
    awaited(pool.client, one, Status.RUNNING)
    assert at_work == sleeper(pool), "the job ran on meanwhile"
    processes = family(pool)
    pool.stop()
    assert alive(processes) == []
    assert pool.processes() == {}
    with pytest.raises(Transient):
        pool.client.queue("true")
    pool.start()
    awaited(pool.client, one, Status.RUNNING)
    assert at_work != sleeper(pool), "the job was begun anew"


def test_a_pool_ends_with_who_started_it_and_is_apart_from_others(pool: LocalPool, tmp_path: Path) -> None:
    place = tmp_path / "other"
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", STARTER, str(place), str(release().prefix)]
    with subprocess.Popen(command, env=variables, start_new_session=True) as starter:
        while not (place / "ready").exists():
            assert starter.poll() is None
            time.sleep(0.1)
        processes = family(Daemons(place, release()))
        assert "condor_starter" in {process.name() for process in processes}
        assert pool.client.queue("true") == ()
        starter.kill()
    ends = time.monotonic() + 60
    while alive(processes):
        assert time.monotonic() < ends
    assert set(pool.processes()) >= DAEMONS


def ppi(*arguments: str) -> str:
    return CliRunner().invoke(app, ["pool", *arguments], catch_exceptions=False).stdout


def test_a_pool_that_stays_until_it_is_taken_down(tmp_path: Path) -> None:
    place = tmp_path / "pool"
    here = ("--directory", str(place))
    with pytest.raises(Missing, match="`ppi pool up`"):
        ppi("status", *here)
    pool = Daemons(place, release())
    try:
        up = ppi("up", *here, "--cpus", "4", "--memory", "8GB", "--limit", "CASA=1")
        assert f"ppi.cluster.condorConfig = {place}/condor_config\n" in up
        processes = family(pool)
        assert ppi("up", *here, "--json") == ppi("env", *here, "--json")
        assert family(pool)[0] == processes[0]
        (one,) = submit(pool.client, tmp_path, "/bin/sleep", "120")
        seen = json.loads(ppi("status", *here, "--json"))
        assert (seen["jobs"][0]["id"], seen["slots"][0]["node_class"]) == (one, "general")
        exported = subprocess.run(
            ["/bin/sh", "-c", f"{ppi('env', *here, '--shell')}condor_config_val CASA_LIMIT NUM_CPUS"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert exported.stdout.split() == ["1", "4"]
        assert one in ppi("status", *here)
    finally:
        if pool.processes():
            ppi("down", *here)
    assert alive(processes) == []


def test_what_the_pool_does_not_want_is_told(pool: LocalPool, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"[Rr]equirements"):
        submit(pool.client, tmp_path, "/bin/true", requirements="(((")

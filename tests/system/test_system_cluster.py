"""The restore on a real pool: the same bytes as here, whatever befalls its jobs, and no secret for all to see."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from crews import processes_of, waited_for
from environments import MOUS, Environment, MakeEnvironment
from serving import Runs, worker

from deployments.local.condor.pool import LocalPool
from tasks.cluster import board
from tasks.cluster.board import Board
from tasks.cluster.job import Job, Status
from tasks.cluster.tag import Tag
from tasks.ngas.store import Store

SECRETS = {"ngas_username": "ppi", "ngas_password": "pl4nted-ngas-secret", "metadata_password": "pl4nted-metadata"}
PLANTED = "pl4nted"
CLASSES = ("transfer", "casa", "light")
MakeClustered = Any
GONE_SECONDS = 90.0
PATIENCE = 300.0


@pytest.fixture
def make_clustered(make_environment: MakeEnvironment, pool: LocalPool) -> MakeClustered:
    """Make environments whose work is done by jobs of the pool."""
    given = {key.removeprefix("ppi.").replace(".", "_"): value for key, value in pool.properties.items()}
    small = {f"cluster_{name}_{of}": "600 MB" for name in CLASSES for of in ("memory", "disk")}
    return lambda name: make_environment(name, **given, **small, **SECRETS, cluster_maxWorkers="4")


def jobs(pool: LocalPool, environment: Environment) -> tuple[Job, ...]:
    return pool.client.queue(Tag.constraint(profile=environment.name))


def boards(environment: Environment) -> dict[str, Board]:
    """Return what each stage's crew says of its jobs."""
    return {each.stage: each for each in board.boards(environment.area / "jobs").found}


def restores(environment: Environment) -> list[str]:
    """Return the execution blocks that are being restored."""
    found = boards(environment).get("process")
    return [entry.item for entry in found.entries if entry.step == "restore"] if found else []


def records(environment: Environment) -> dict[str, Any]:
    found = environment.area.glob("2017*/SOUS*/GOUS*/MOUS*/working/uid*/record.json")
    return {path.parent.name: json.loads(path.read_bytes()) for path in found}


@contextlib.contextmanager
def restoring(environment: Environment) -> Iterator[subprocess.Popen[str]]:
    """Have a restore run by command; one execution block is done and others are at work when the block begins."""
    process = subprocess.Popen(
        environment.command("restore", MOUS), env=environment.variables, stderr=subprocess.PIPE, text=True
    )
    try:
        waited_for(
            lambda: process.poll() is not None or (records(environment) and restores(environment)), PATIENCE
        )
        assert process.poll() is None, process.communicate()[1]
        yield process
    finally:
        process.kill()
        process.communicate()


def proofs(environment: Environment) -> dict[str, Any]:
    """Return what was proven of each measurement set, its digests among it."""
    provenance = environment.restored()
    assert provenance["verdict"]["outcome"] == "success"
    assert [block["proof"]["reference"] for block in provenance["blocks"]] == ["equal"] * 4
    return {block["uid"]: block["proof"] for block in provenance["blocks"]}


def nothing_is_left(pool: LocalPool, environment: Environment, seconds: float = GONE_SECONDS) -> None:
    crews = [path.name for path in (environment.area / "jobs").iterdir()]
    waited_for(lambda: jobs(pool, environment) == (), seconds)
    waited_for(lambda: not [process for crew in crews for process in processes_of(crew)], seconds)
    waited_for(lambda: not list(environment.area.glob("jobs/*/tls")), seconds)
    assert Store(environment.area / "store").left_by_the_dead() == 0


@dataclass
class Seen:
    """What everybody may see of a restore's jobs while it runs, and afterwards."""

    environment: Environment
    told: dict[str, Any]
    ads: list[dict[str, Any]]
    texts: dict[str, str]


@pytest.fixture
def seen(make_clustered: MakeClustered, pool: LocalPool) -> Seen:
    environment = make_clustered("site-seen")
    process = subprocess.Popen(
        environment.command("restore", MOUS, "--json"), env=environment.variables,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    ads: dict[str, dict[str, Any]] = {}
    texts: dict[str, str] = {}
    mine = Tag.constraint(profile=environment.name)
    while process.poll() is None:
        for ad in json.loads(pool.client.run("condor_q", "-json", "-constraint", mine) or "[]"):
            ads[f"{ad['ClusterId']}"] = ad
        texts |= {f"{each.pid} at {time.monotonic()}": _of(each) for each in _workers(environment)}
        time.sleep(0.5)
    printed, complaint = process.communicate()
    assert process.returncode == 0, complaint
    texts["history"] = pool.client.run("condor_history", "-l", "-constraint", mine)
    texts["queue"] = json.dumps(list(ads.values()))
    for path in environment.area.glob("jobs/**/*"):
        if path.is_file():
            texts[str(path)] = path.read_text(errors="replace")
    return Seen(environment, json.loads(printed), list(ads.values()), texts)


def _workers(environment: Environment) -> list[psutil.Process]:
    return processes_of(str(environment.area / "jobs"))


def _of(process: psutil.Process) -> str:
    """Return a process's command line and environment."""
    folder = Path(f"/proc/{process.pid}")
    with contextlib.suppress(OSError):
        return (folder / "cmdline").read_text() + (folder / "environ").read_text()
    return ""


def test_a_restore_on_the_pool_is_that_of_this_host(
    make_environment: MakeEnvironment, seen: Seen, pool: LocalPool
) -> None:
    here = make_environment("site-here")
    assert here.ppi("restore", MOUS).returncode == 0
    assert proofs(seen.environment) == proofs(here)
    assert sorted(seen.environment.retrieved()) == sorted(here.retrieved())
    nothing_is_left(pool, seen.environment)
    _say_whose_they_are(seen)
    assert [name for name, text in seen.texts.items() if PLANTED in text] == []
    assert any("_CONDOR_SCRATCH_DIR" in text for text in seen.texts.values()), "environments were seen"
    crews = [path.stat().st_mode & 0o777 for path in (seen.environment.area / "jobs").iterdir()]
    assert crews == [0o700] * 3


def _say_whose_they_are(seen: Seen) -> None:
    names = {ad["JobBatchName"] for ad in seen.ads}
    assert names == {f"restore-ous X1284_X265f {stage} (site-seen)" for stage in ("gather", "process", "finish")}
    assert {ad["PPIStage"] for ad in seen.ads} == {"gather", "process", "finish"}
    assert {(ad["PPIProfile"], ad["PPIProject"], ad["PPIObservation"], ad["PPIFlow"]) for ad in seen.ads} == {
        ("site-seen", "2017.1.00886.L", MOUS, "restore-ous")
    }
    assert len({ad["PPIFlowRun"] for ad in seen.ads}) == 1
    assert len({ad["PPICrew"] for ad in seen.ads}) == 3
    assert {stage: len(each.entries) for stage, each in boards(seen.environment).items()} == {
        "gather": 4, "process": 4, "finish": 1,
    }  # fmt: skip


def test_every_job_is_removed_while_casa_works(make_clustered: MakeClustered, pool: LocalPool) -> None:
    environment = make_clustered("site-removed")
    with restoring(environment) as process:
        finished = records(environment)
        pool.client.run("condor_rm", *(job.id for job in jobs(pool, environment)))
        assert process.wait(PATIENCE) == 0, process.communicate()[1]
    delivered = {Path(block["vis"]).stem: block for block in environment.restored()["blocks"]}
    assert {name: delivered[name] for name in finished} == finished
    assert len(proofs(environment)) == 4
    assert any("was removed" in entry.state for entry in boards(environment)["process"].entries)
    nothing_is_left(pool, environment)


def test_the_flow_is_killed_while_casa_works(make_clustered: MakeClustered, pool: LocalPool) -> None:
    environment = make_clustered("site-killed")
    with restoring(environment) as process:
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    nothing_is_left(pool, environment)
    finished, fetched = records(environment), environment.retrieved()
    assert finished
    assert environment.ppi("restore", MOUS).returncode == 0
    assert environment.retrieved() == fetched
    delivered = {Path(block["vis"]).stem: block for block in environment.restored()["blocks"]}
    assert {name: delivered[name] for name in finished} == finished
    assert len(proofs(environment)) == 4
    nothing_is_left(pool, environment)


def test_a_worker_of_prefect_restores_on_the_pool(
    make_clustered: MakeClustered, pool: LocalPool, prefect_api: str
) -> None:
    environment, runs = make_clustered("site-deployed"), Runs(prefect_api)
    assert environment.ppi("deploy").returncode == 0
    with worker(environment, prefect_api):
        run = runs.start("restore-ous/site-deployed", mous=MOUS)
        waited_for(lambda: any(job.status is Status.RUNNING for job in jobs(pool, environment)), PATIENCE)
        assert runs.ended(run)["state_type"] == "COMPLETED"
    assert len(proofs(environment)) == 4
    assert {each.flow_run for each in boards(environment).values()} == {run}
    nothing_is_left(pool, environment)

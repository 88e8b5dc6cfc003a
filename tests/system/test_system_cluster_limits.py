"""What environments share on a pool: limits that the negotiator keeps, and what a check sees of it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from crews import waited_for
from pools import MakePool, awaited, submit

from blocks.profile import Profile
from deployments.checks import cluster, htcondor
from deployments.checks.finding import Finding, Look
from deployments.local.condor.pool import LocalPool
from tasks.cluster.job import Job, Status

SECONDS = 120
"""In which all must end here, where other tests run beside it; alone it takes 15."""
JOB = """\
mkdir {seen}/$1
ls {seen} | wc -l >> {counts}
while [ ! -e {flag} ]; do sleep 0.2; done
rmdir {seen}/$1
"""


class Counted:
    """Jobs that see how many of them run at once."""

    def __init__(self, pool: LocalPool, folder: Path, limit: str) -> None:
        self.pool, self.folder, self.limit = pool.client, folder, limit
        self.counts, self.flag, seen = folder / "counts", folder / "flag", folder / "seen"
        seen.mkdir(parents=True)
        (folder / "job.sh").write_text(JOB.format(seen=seen, counts=self.counts, flag=self.flag))
        self.ids: list[str] = []

    def submit(self, group: str, jobs: int) -> None:
        """Queue jobs as the environment would that this accounting group is of."""
        command = ("/bin/sh", str(self.folder / "job.sh"), f"{group}-$(Process)")
        given = {"concurrency_limits": self.limit, "accounting_group": group}
        self.ids += submit(self.pool, self.folder, *command, number=jobs, **given)

    def is_rejected_by(self, name: str) -> bool:
        """Whether the negotiator says of one that waits that this limit is reached."""
        waiting = [job for job in self.pool.queue("true") if job.id in self.ids and job.status is Status.IDLE]
        reasons = [job.reject_reason or "" for job in waiting]
        return any(reason.startswith("concurrency limit ") and name in reason for reason in reasons)

    def end(self) -> list[Job]:
        """Let all run to their end; return them."""
        self.flag.touch()
        return [awaited(self.pool, each, Status.COMPLETED, SECONDS) for each in self.ids]

    @property
    def most(self) -> int:
        """The most that ran at once."""
        return max(map(int, self.counts.read_text().split()))


def test_a_limit_holds_for_the_jobs_of_all_environments_together(pool: LocalPool, tmp_path: Path) -> None:
    casa = Counted(pool, tmp_path / "casa", "CASA")
    archive = Counted(pool, tmp_path / "archive", "archive:1.5")
    for group in ("group_prod.ppi", "group_test.ppi"):
        casa.submit(group, 3)
        archive.submit(group, 2)
    for name, jobs in {"casa": casa, "archive": archive}.items():
        waited_for(lambda name=name, jobs=jobs: jobs.is_rejected_by(name), SECONDS)
        assert {job.exit_code for job in jobs.end()} == {0}
        assert jobs.most <= 2


def looked(pool: LocalPool, folder: Path, **classes: str) -> dict[str, Finding]:
    """Look at the pool as a check does, for a profile with these keys below ``ppi.cluster``."""
    given = {
        "ppi.processing.rootDirectory": str(folder / "area"),
        "ppi.metadata.url": f"sqlite:///{folder}/metadata.db",
        "ppi.ngas.servers": "127.0.0.1:1",
        **pool.properties,
        **{f"ppi.cluster.{key.replace('_', '.')}": value for key, value in classes.items()},
    }
    (folder / "site-test.properties").write_text("".join(f"{key} = {value}\n" for key, value in given.items()))
    probes = cluster.probes(Profile.load("site-test", str(folder)))
    return {each.what: each for each in [Look(probe, SECONDS).finding() for probe in probes]}


def wrong(findings: Iterable[Finding]) -> dict[str, str]:
    return {each.what: each.why for each in findings if each.state in ("wrong", "unknown")}


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(htcondor, "_SECONDS", SECONDS)


def test_a_check_asks_the_pool_what_it_could_run(pool: LocalPool, tmp_path: Path) -> None:
    found = looked(
        pool,
        tmp_path,
        casa_requirements='TARGET.NodeClass == "highmem"',
        casa_concurrencyLimits="CASA",
        transfer_concurrencyLimits="ARCHIVE:3",
    )
    assert wrong(found.values()) == {}
    assert found["cluster"].why.endswith(": 2 slots with 16 cores")
    asked = "1 of 2 slots could run a job of 1 core, 16.0 GB, 20.0 GB of disk"
    assert found["job class casa"].why == f"{asked}; none could once it has grown to memoryLimit, 64.0 GB"
    assert found["job class transfer"].why == "2 of 2 slots could run a job of 1 core, 4.0 GB, 10.0 GB of disk"
    assert found["concurrency limits"].why == "ARCHIVE_LIMIT 3, CASA_LIMIT 2"


def test_a_check_names_what_the_pool_could_never_run(pool: LocalPool, tmp_path: Path) -> None:
    found = looked(
        pool,
        tmp_path,
        casa_cores="5",
        casa_memory="40 GB",
        casa_concurrencyLimits="CASA, NGAS",
        light_requirements='(TARGET.NodeClass == "fast")',
        light_accountingGroup="group_dev",
        transfer_requirements="(TARGET.NodeClass ==",
    )
    whys = wrong(found.values())
    unmet = "(TARGET.Memory >= RequestMemory) && (TARGET.Cpus >= RequestCpus)"
    assert unmet in whys.pop("job class casa")
    assert 'no slot meets TARGET.NodeClass == "fast"' in whys.pop("job class light")
    assert "Parse error in expression" in whys.pop("job class transfer")
    assert whys.pop("concurrency limits").startswith("NGAS_LIMIT: the negotiator's configuration has none")
    assert whys.pop("accounting groups").startswith(
        "accounting group group_dev: the negotiator's GROUP_NAMES has no"
    )
    assert whys == {}


def test_that_slots_are_busy_is_no_reason_that_a_job_could_never_run(pool: LocalPool, tmp_path: Path) -> None:
    (sleeper,) = submit(pool.client, tmp_path, "/bin/sleep", "600", request_cpus="12")
    awaited(pool.client, sleeper, Status.RUNNING)
    try:
        found = looked(pool, tmp_path, casa_cores="12", casa_memory="20 GB")["job class casa"]
        assert found.why.startswith("1 of 2 slots could run a job of 12 cores, 20.0 GB"), found
    finally:
        pool.client.remove("true", "the test is over")


def test_a_pool_that_is_stopped_is_worth_another_look(make_pool: MakePool, tmp_path: Path) -> None:
    pool = make_pool()
    pool.stop()
    found = looked(pool, tmp_path, casa_concurrencyLimits="CASA")
    assert {
        found[what].exit_code for what in ("cluster", "job queue", "job class casa", "concurrency limits")
    } == {5}
    assert {found[what].state for what in ("cluster", "job queue")} == {"wrong"}
    assert {found[what].state for what in ("job class light", "concurrency limits")} == {"unknown"}

"""Private HTCondor pools of the system tests, with two classes of nodes, and jobs to try them with."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from deployments.local import environment
from deployments.local.condor.config import Node, Settings
from deployments.local.condor.install import Release, installed
from deployments.local.condor.pool import LocalPool
from tasks.cluster.job import Job, Status
from tasks.cluster.pool import Pool

SETTINGS = Settings(
    (Node("general", cpus=12, memory=24 * 10**9), Node("highmem", cpus=4, memory=48 * 10**9)),
    {"CASA": 2, "ARCHIVE": 3},
)
MakePool = Callable[..., LocalPool]
_PATIENCE, _LOOK_SECONDS = 120.0, 0.1
_LEAVING_SECONDS = 20.0


def release() -> Release:
    """Return the one installation that all pools of the tests are run with."""
    return installed(environment.home() / "condor")


@contextmanager
def emptied(pool: LocalPool) -> Iterator[LocalPool]:
    """See that a queue is empty at the end; what is left in it is removed, and is the test's failure."""
    yield pool
    ends = time.monotonic() + _LEAVING_SECONDS
    while (left := pool.client.queue("true")) and time.monotonic() < ends:
        time.sleep(_LOOK_SECONDS)
    if left:
        pool.client.remove("true", "a test has left it")
        raise AssertionError(f"jobs are left in the queue: {left}")


def properties(pool: LocalPool, size: str = "600 MB") -> dict[str, str]:
    """Return what makes an environment have its work done by small jobs of a pool; `_` stands for dots."""
    classes = ("transfer", "casa", "light")
    small = {f"cluster_{name}_{of}": size for name in classes for of in ("memory", "disk")}
    return {key.removeprefix("ppi.").replace(".", "_"): value for key, value in pool.properties.items()} | small


def submit(pool: Pool, folder: Path, *command: str, number: int = 1, **lines: str) -> list[str]:
    """Queue jobs of a command without quotes or spaces in its arguments; return their ids.

    Parameters
    ----------
    folder
        Where their event log is.
    lines
        More lines of the submit description, or others instead of these.
    """
    program, *arguments = command
    given = {
        "executable": program,
        "arguments": " ".join(arguments),
        "transfer_executable": "False",
        "request_memory": "100MB",
        "request_disk": "10MB",
        "log": str(folder / "jobs.log"),
        **lines,
    }
    description = "".join(f"{name} = {value}\n" for name, value in given.items()) + f"queue {number}\n"
    printed = pool.run("condor_submit", "-terse", "-", standard_input=description)
    cluster = printed.partition(".")[0]
    return [f"{cluster}.{process}" for process in range(number)]


def job(pool: Pool, job_id: str) -> Job:
    """Return a job, in the queue or out of it."""
    cluster, _, process = job_id.partition(".")
    queued = pool.queue(f"ClusterId == {cluster} && ProcId == {process}")
    (found,) = queued or pool.ended([job_id]) or (Job(id=job_id),)
    return found


def awaited(pool: Pool, job_id: str, status: Status, patience: float = _PATIENCE) -> Job:
    """Wait until a job has a status; return it."""
    ends = time.monotonic() + patience
    while (found := job(pool, job_id)).status is not status:
        assert time.monotonic() < ends, f"{found} is not {status}"
        time.sleep(_LOOK_SECONDS)
    return found

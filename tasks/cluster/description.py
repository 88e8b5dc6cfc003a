"""What HTCondor is told of a worker: its submit description, made with dask-jobqueue's quoting.

All of it can be read by everybody who may ask the pool, so nothing secret is in it: neither in the environment nor
in the arguments. The keys of the connection are in files that only our account reads.
"""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from distributed.security import Security

from tasks.cluster._jobqueue import HTCondorJob, quote_environment
from tasks.cluster.resources import Resources
from tasks.cluster.tag import Tag, spelled

__all__ = ["Site", "describe", "environment", "lifetime"]

_DEATH_SECONDS: Final = 60
_MARGIN: Final = 0.05
_FORGOTTEN_SECONDS: Final = 3600
"""How long a held job stays that nobody took out of the queue, because all of its own are gone."""
_PASSED_ON: Final = ("HOME", "LANG", "USER", "TZ")
_SYSTEM_PATH: Final = "/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True)
class Site:
    """What a crew's workers need to find on their nodes, and to reach the flow.

    Parameters
    ----------
    directory
        The crew's own, absolute and shared: logs, and the keys of its connections.
    python
        The Python of the installation, as nodes see it; by default this one.
    interface
        At which nodes reach this host; by default its own choice.
    """

    directory: Path
    python: Path | None = None
    interface: str | None = None


def lifetime(resources: Resources) -> float:
    """Return after how many seconds a worker ends by itself: before HTCondor would end it."""
    return resources.walltime * (1 - _MARGIN)


def describe(
    site: Site, resources: Resources, tag: Tag, scheduler: str, security: Security, name: str, memory: int
) -> str:
    """Return the submit description of one worker.

    Parameters
    ----------
    scheduler
        Where the flow's scheduler listens.
    security
        With the files of certificate and key.
    name
        The worker's, unlike any other's in its crew.
    memory
        Bytes to ask for.
    """
    job = HTCondorJob(
        scheduler=scheduler,
        name=name,
        cores=resources.cores,
        processes=1,
        memory=f"{memory}B",
        disk=f"{resources.disk}B",
        python=f"exec {shlex.quote(str(site.python or sys.executable))}",
        worker_command="tasks.cluster.worker",
        death_timeout=_DEATH_SECONDS,
        local_directory='"$_CONDOR_SCRATCH_DIR"',
        interface=site.interface,
        protocol="tls://",
        security=security,
        worker_extra_args=["--lifetime", f"{lifetime(resources):.0f}"],
        log_directory=str(site.directory),
        job_extra_directives=_directives(site, resources, tag, name, memory),
    )
    script: str = job.job_script()
    return script


def _directives(site: Site, resources: Resources, tag: Tag, name: str, memory: int) -> dict[str, str]:
    files = {"Output": "out", "Error": "err", "Log": "log"}
    given = {
        "requirements": resources.requirements,
        "rank": resources.rank,
        "concurrency_limits": resources.concurrency_limits,
        "accounting_group": resources.accounting_group,
    }
    return {
        **{key: str(site.directory / f"{name}.{suffix}") for key, suffix in files.items()},
        "RequestCpus": str(resources.cores),
        "RequestMemory": str(memory >> 20),
        "RequestDisk": str(resources.disk >> 10),
        "initialdir": str(site.directory),
        "batch_name": spelled(_batch(tag)),
        "transfer_executable": "False",
        "should_transfer_files": "IF_NEEDED",
        "environment": f'"{quote_environment(environment())}"'.replace("$", "$(DOLLAR)"),
        "allowed_job_duration": f"{resources.walltime:.0f}",
        "periodic_remove": f"JobStatus == 5 && time() - EnteredCurrentStatus > {_FORGOTTEN_SECONDS}",
        "MY.PPIName": spelled(name),
        **{f"MY.{attribute}": value for attribute, value in tag.attributes().items()},
        **{key: value for key, value in given.items() if value},
    }


def _batch(tag: Tag) -> str:
    short = "_".join(tag.observation.split("/")[-2:])
    return f"{tag.flow} {short} {tag.stage} ({tag.profile})"


def environment() -> dict[str, str]:
    """Return a job's environment, which is bare otherwise; software that is not installed is found by its path."""
    root = Path(__file__).parents[2]
    passed_on = {name: value for name in _PASSED_ON if (value := os.environ.get(name, "")) and value.isprintable()}
    path = {} if root.is_relative_to(sys.prefix) else {"PYTHONPATH": str(root)}
    return {"PATH": _SYSTEM_PATH, **passed_on, **path}

"""What a run stands on, in names: its deployment, worker, work pool, server and installation."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blocks.installation import installed_profile

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun, WorkPool
    from prefect.client.schemas.responses import DeploymentResponse

_RUN, _WORKER, _PROFILE = "PREFECT__FLOW_RUN_ID", "PREFECT__WORKER_NAME", "CAPO_PROFILE"
_PROCESS = ("command", "env", "working_dir")
"""The job variables that decide which software a run is, and in which environment."""


@dataclass(frozen=True)
class Standing:
    """What a run stands on; None is what it has not, or what does not say of which profile it is.

    Parameters
    ----------
    profile
        The profile that it was given.
    installation
        The profile that the software was installed for; None in a checkout.
    software
        The directory of the software, where that is not the installation.
    server
        The API of the Prefect server that it tells what it does.
    run
        Its id, where a worker runs it. What follows is known of such a run alone.
    deployment, worker, pool
        The name of its deployment, the profile of its worker, and the name of its work pool.
    worker_name
        What the worker calls itself.
    additions
        What somebody has changed in its process, past the profile: variables, command, directory.
    """

    profile: str
    installation: str | None
    software: Path | None
    server: str | None = None
    run: str | None = None
    deployment: str | None = None
    worker: str | None = None
    worker_name: str = ""
    pool: str | None = None
    additions: tuple[str, ...] = ()

    def __str__(self) -> str:
        names = {"profile": self.profile, "installation": self.installation}
        if self.run:
            worker = f"{self.worker or 'of no profile'} ({self.worker_name})"
            names |= {"deployment": self.deployment, "worker": worker, "work pool": self.pool}
        names |= {"server": self.server}
        return ", ".join(f"{what} {name or 'none'}" for what, name in names.items())


def of_process(profile: str) -> Standing:
    """Return what anything stands on that this process does for a profile."""
    installation, software = installed_profile(), Path(__file__).parents[1]
    within = not installation or software.is_relative_to(sys.prefix)
    return Standing(profile, installation, None if within else software)


def of_flow(profile: str) -> Standing:
    """Return what the flow that runs in this process stands on; the server is asked, as variables can be set."""
    from prefect.settings import PREFECT_API_URL

    process, run = of_process(profile), os.environ.get(_RUN)
    server = PREFECT_API_URL.value()
    if run is None:
        return Standing(profile, process.installation, process.software, server)
    worker = os.environ.get(_PROFILE) or process.installation
    return Standing(
        profile, process.installation, process.software, server, run,
        worker=worker, worker_name=os.environ.get(_WORKER, "without a name"), **_scheduled(run),
    )  # fmt: skip


def _scheduled(run: str) -> dict[str, Any]:
    from uuid import UUID

    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        record = client.read_flow_run(UUID(run))
        deployment = client.read_deployment(record.deployment_id) if record.deployment_id else None
        pool = client.read_work_pool(record.work_pool_name) if record.work_pool_name else None
    return {
        "deployment": deployment.name if deployment else None,
        "pool": record.work_pool_name,
        "additions": (*_of_jobs(record, deployment), *_of_deployment(deployment), *_of_pool(pool)),
    }


def _of_jobs(run: FlowRun, deployment: DeploymentResponse | None) -> list[str]:
    of_deployment, of_run = deployment.job_variables if deployment else {}, run.job_variables or {}
    variables = {**(of_deployment.get("env") or {}), **(of_run.get("env") or {})}  # merged, as Prefect does it
    given = {**of_deployment, **of_run}.items()
    others = [name for name, value in given if value and name != "env" and _decides(name)]
    return [f"env.{name}" for name in variables] + others


def _decides(job_variable: str) -> bool:
    return job_variable.partition(".")[0] in _PROCESS


def _of_deployment(deployment: DeploymentResponse | None) -> list[str]:
    if deployment is None:
        return []
    of_a_file = ":" in (deployment.entrypoint or "")
    return ["pull steps"] * bool(deployment.pull_steps) + ["the file of its entry point"] * of_a_file


def _of_pool(pool: WorkPool | None) -> list[str]:
    template = pool.base_job_template if pool else {}
    job, variables = template.get("job_configuration", {}), template.get("variables", {}).get("properties", {})
    changed = (
        name
        for name in _PROCESS
        if job.get(name, _as_given(name)) != _as_given(name) or variables.get(name, {}).get("default")
    )
    return [f"{name} of the work pool" for name in changed]


def _as_given(name: str) -> str:
    return f"{{{{ {name} }}}}"

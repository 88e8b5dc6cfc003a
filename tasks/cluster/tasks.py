"""The pool, and what its jobs ask for, as a profile names them, for whoever works in its name."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Literal

from blocks.profile import Profile
from blocks.sections import Resources as ClassOfJobs
from tasks.cluster.pool import Pool
from tasks.cluster.resources import Resources
from tasks.report.units import bytes_of

__all__ = [
    "CLASS_OF_STAGE", "MOST_JOBS", "Class", "at_once", "log_directory", "most_jobs", "pool_of", "resources_of",
]  # fmt: skip

Class = Literal["transfer", "casa", "light"]
CLASS_OF_STAGE: Final[Mapping[str, Class]] = {"gather": "transfer", "process": "casa", "finish": "light"}
"""The class of a stage's jobs."""
MOST_JOBS: Final = 64
_HERE: Final[Mapping[Class, Callable[[Profile], int]]] = {
    "transfer": lambda profile: profile.ngas.streams_per_server * len(profile.ngas.servers),
    "casa": lambda profile: profile.cluster.max_workers or os.cpu_count() or 1,
    "light": lambda _: 1,
}
"""How many tasks of a class run at once on one machine."""
_GROWTH: Final = 4
"""How many times its memory a class's job may come to ask for, where the profile does not say."""


def pool_of(profile: Profile) -> Pool:
    """Return the profile's pool."""
    return Pool(profile.cluster.condor_config, profile.cluster.condor_programs)


def most_jobs(profile: Profile) -> int:
    """Return how many jobs a stage may have at once."""
    return profile.cluster.max_workers or MOST_JOBS


def at_once(profile: Profile, name: Class) -> int:
    """Return how many pieces of work of a class a stage may do at once."""
    return _HERE[name](profile) if profile.cluster.kind == "local" else most_jobs(profile)


def log_directory(profile: Profile) -> Path:
    """Return where every crew has a directory of its own, with the logs of its jobs."""
    return profile.cluster.log_directory or profile.processing.root_directory / "jobs"


def resources_of(profile: Profile, name: Class) -> Resources:
    """Return what a job of a class asks for."""
    given: ClassOfJobs = getattr(profile.cluster, name)
    memory = bytes_of(given.memory)
    return Resources(
        name,
        cores=given.cores,
        memory=memory,
        least_memory=bytes_of(given.least_memory),
        memory_limit=bytes_of(given.memory_limit) if given.memory_limit else _GROWTH * memory,
        disk=bytes_of(given.disk),
        walltime=given.walltime.total_seconds(),
        requirements=given.requirements or "",
        rank=given.rank or "",
        concurrency_limits=given.concurrency_limits or "",
        accounting_group=given.accounting_group or "",
    )

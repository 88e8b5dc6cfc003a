"""The workers of a stage: threads of this process, or jobs of the profile's pool."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from prefect import get_run_logger

from blocks.profile import Profile
from tasks._task_jobs import jobs_shown
from tasks.alma.ids import EntityId
from tasks.catalog.tasks import sizes_of
from tasks.cluster.tag import Tag, own
from tasks.cluster.tasks import Class, at_once, log_directory, most_jobs, pool_of, resources_of
from tasks.place import working_at
from tasks.usage import Work

if TYPE_CHECKING:
    from tasks.cluster.description import Site
    from tasks.cluster.watch import Terms

__all__ = ["Case", "threads", "workers"]

_WAITING: Final = 256
"""How many tasks may wait for jobs at once: each has a thread, which does nothing else."""


@dataclass(frozen=True)
class Case:
    """What a flow's stages work on.

    Parameters
    ----------
    profile
        The environment.
    flow, flow_run
        The flow's name, and Prefect's id of its run.
    observation, project
        For whom; the project's code.
    works
        All pieces of work, by stage.
    """

    profile: Profile
    flow: str
    flow_run: str
    observation: EntityId
    project: str
    works: Mapping[str, tuple[Work, ...]] = field(default_factory=dict)


def threads(profile: Profile, resources: Class) -> int:
    """Return how many tasks of a stage may be under way at once in this process."""
    return _WAITING if profile.cluster.kind == "htcondor" else at_once(profile, resources)


@contextmanager
def workers(case: Case, stage: str, resources: Class) -> Iterator[None]:
    """Have the workers of a stage while the block runs.

    Raises
    ------
    Missing
        HTCondor's programs are not on this host.
    """
    if case.profile.cluster.kind == "local":
        yield
        return
    from tasks.cluster.crew import at_work

    tag, works = _tag(case, stage), case.works.get(stage, ())
    pool, site, terms = pool_of(case.profile), _site(case.profile, tag), _terms(case.profile, resources)
    with (
        jobs_shown(case.profile.reports.url) as show,
        at_work(pool, site, tag, terms, sizes_of(case.profile, works).memory) as crew,
        working_at(crew),
    ):
        show(crew.rows)
        yield


def _tag(case: Case, stage: str) -> Tag:
    owner = own(os.uname().nodename, os.getpid())
    observation, crew = str(case.observation), uuid4().hex
    return Tag(case.profile.name, case.project, observation, case.flow, stage, case.flow_run, crew, owner)


def _site(profile: Profile, tag: Tag) -> Site:
    from tasks.cluster.description import Site

    return Site(log_directory(profile) / tag.crew, profile.cluster.python, profile.cluster.interface)


def _terms(profile: Profile, resources: Class) -> Terms:
    from tasks.cluster.watch import Terms

    idle = profile.cluster.longest_idle.total_seconds()
    return Terms(resources_of(profile, resources), most_jobs(profile), idle, get_run_logger().info)

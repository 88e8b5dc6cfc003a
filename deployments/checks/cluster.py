"""What a profile needs of its cluster: nothing, where that is this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial

import psutil
from humanize import naturalsize

from blocks.profile import Cluster, Profile
from deployments.checks.finding import Probe

__all__ = ["probes"]


def probes(profile: Profile) -> Iterator[Probe]:
    """Return what is to be looked at."""
    if profile.cluster.kind == "local":
        yield Probe("cluster", partial(_local, profile.cluster))
    else:
        from deployments.checks import htcondor

        yield from htcondor.probes(profile)


def _local(named: Cluster) -> str:
    memory = naturalsize(psutil.virtual_memory().total)
    return f"local: {os.cpu_count()} cores, {memory}; {named.max_workers or 'one job a core'} at once"

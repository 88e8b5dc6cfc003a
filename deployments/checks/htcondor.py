"""What a profile needs of an HTCondor pool: that it answers, and could run a job of each class. No job is queued.

The limits and groups that all environments share are in the negotiator's configuration, and it is asked for them.
Slow to import, since `distributed` is; and only from one thread at a time, since its modules import each other.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import psutil
from distributed.security import Security
from humanize import naturalsize

from blocks.profile import Profile
from deployments.checks.finding import Probe, Unknown
from deployments.checks.machine import usable
from tasks.cluster.description import Site, describe, environment
from tasks.cluster.fit import Fit, fit, slots_of
from tasks.cluster.pool import Pool
from tasks.cluster.resources import Resources
from tasks.cluster.tag import Tag, own
from tasks.cluster.tasks import CLASS_OF_STAGE, log_directory, pool_of, resources_of
from tasks.errors import Missing, Refused, Transient

__all__ = ["probes"]

_SECONDS: Final = 4.0
_UNDEFINED: Final = "Not defined"
_DEFAULT: Final = "CONCURRENCY_LIMIT_DEFAULT"
_ADMINISTRATOR: Final = "ask the pool's administrator"
_WORKER: Final = """
import platform, distributed, tasks.cluster.worker
print(platform.python_version(), distributed.__version__)
"""


def probes(profile: Profile) -> Iterator[Probe]:
    """Return what is to be looked at."""
    pool = replace(pool_of(profile), seconds=_SECONDS)
    classes = [resources_of(profile, name) for name in CLASS_OF_STAGE.values()]
    yield Probe("cluster", partial(_pool, pool))
    yield Probe("job queue", partial(_queue, pool))
    yield Probe("job logs", partial(usable, log_directory(profile)))
    yield Probe("jobs' Python", partial(_python, profile.cluster.python))
    yield Probe("jobs' network", partial(_interface, profile.cluster.interface))
    for resources in classes:
        yield Probe(f"job class {resources.name}", partial(_class, pool, profile, resources))
    yield Probe("concurrency limits", partial(_limits, pool, classes))
    yield Probe("accounting groups", partial(_groups, pool, classes))


def _pool(pool: Pool) -> str:
    version = pool.run("condor_version").split()[1:2]
    cores = pool.run("condor_status", "-constraint", "DynamicSlot =!= true", "-af", "TotalSlotCpus").split()
    if not cores:
        raise Transient("HTCondor", "its pool has no slots", _ADMINISTRATOR)
    return f"HTCondor {' '.join(version)}: {len(cores)} slots with {sum(map(int, cores))} cores"


def _queue(pool: Pool) -> str:
    jobs = pool.run("condor_q", "-allusers", "-af", "JobStatus").split()
    return f"the schedd answers; {len(jobs)} jobs are queued"


def _python(python: Path | None) -> str:
    """Import what jobs run, in the environment that they have; both ends must understand one another's pickles."""
    if python is None:
        return f"{sys.executable}, which is this one"
    todo = "install PPI there (ppi install), or name its Python in ppi.cluster.python"
    try:
        ran = subprocess.run(
            [str(python), "-c", _WORKER], cwd="/", env=environment(), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=_SECONDS, check=False,
        )  # fmt: skip
    except OSError as error:
        raise Missing(str(python), error.strerror or "it cannot be run", todo) from error
    except subprocess.TimeoutExpired as error:
        raise Unknown(f"{python} took longer than {_SECONDS:g} s to import PPI", "run the check again") from error
    if ran.returncode:
        last = ran.stderr.strip().rpartition("\n")[2] or f"it ended with {ran.returncode}"
        raise Missing(f"PPI in {python}", last, todo)
    theirs, ours = ran.stdout.strip(), f"{platform.python_version()} {importlib.metadata.version('distributed')}"
    if theirs != ours:
        why = f"its versions of Python and distributed are {theirs}, those of this one {ours}"
        raise Refused(str(python), why, "install the same")
    return f"{python} imports PPI (seen from this host)"


def _interface(name: str | None) -> str | None:
    if name is None:
        return None
    known = psutil.net_if_addrs()
    addresses = [each.address for each in known.get(name, []) if each.family == socket.AF_INET]
    if not addresses:
        why = "it has no IPv4 address" if name in known else f"this host has {', '.join(known)}"
        raise Missing(f"network interface {name}", why, "correct ppi.cluster.interface")
    return f"{name}, {addresses[0]}; nodes need one of that name, too"


def _class(pool: Pool, profile: Profile, resources: Resources) -> str:
    """Ask the matchmaker about a job as large as it begins, and one as large as it may grow."""
    sizes = resources.within(resources.memory), resources.memory_limit
    with _asking(), TemporaryDirectory(prefix="ppi-check-") as folder:
        slots = slots_of(pool)
        site = Site(Path(folder), profile.cluster.python)
        found, grown = (fit(pool, _description(site, profile.name, resources, size), slots) for size in sizes)
    cores = f"{resources.cores} core{'s' if resources.cores > 1 else ''}"
    asked = f"{cores}, {naturalsize(sizes[0])}, {naturalsize(resources.disk)} of disk"
    if not found.fitting:
        todo = f"correct ppi.cluster.{resources.name}.*, or {_ADMINISTRATOR}"
        raise Refused(f"none of {found.slots} slots could ever run a job of {asked}", _reason(found), todo)
    but = "" if grown.fitting else f"; none could once it has grown to memoryLimit, {naturalsize(sizes[1])}"
    return f"{found.fitting} of {found.slots} slots could run a job of {asked}{but}"


def _description(site: Site, profile: str, resources: Resources, memory: int) -> str:
    """Return what would be submitted, for a scheduler that does not exist."""
    tag = Tag(profile, "", "", "check", resources.name, "", "", own(platform.node(), os.getpid()))
    security = Security(require_encryption=True)
    return describe(site, resources, tag, "tls://check:0", security, "check", memory)


def _reason(found: Fit) -> str:
    if found.unmet:
        return f"no slot meets {', nor '.join(found.unmet)}"
    return f"{found.rejected} are not what it asks for, {found.unwilling} do not take such jobs"


def _limits(pool: Pool, classes: list[Resources]) -> str | None:
    """Compare what jobs count against each limit with what the negotiator allows at once."""
    counted = _counted(classes)
    if not counted:
        return None
    allowed = _configured(pool, [_DEFAULT, *(f"{name}_LIMIT" for name in counted)])
    default = allowed.pop(_DEFAULT)
    undefined = ", ".join(name for name, value in allowed.items() if value == _UNDEFINED)
    if undefined:
        why = f"the negotiator's configuration has none, so that {_DEFAULT} holds, which is {default}"
        raise Missing(undefined, why, _ADMINISTRATOR)
    for name, count in counted.items():
        if count > float(allowed[f"{name}_LIMIT"]):
            why = f"it allows {allowed[f'{name}_LIMIT']} in all, so that no such job ever runs"
            raise Refused(f"a job counts {count:g} against the limit {name}", why, "correct the one or the other")
    return ", ".join(f"{name} {value}" for name, value in allowed.items())


def _counted(classes: list[Resources]) -> dict[str, float]:
    """Return the limits that classes name, with the most that a job of one counts against each."""
    counted: dict[str, float] = {}
    for limit in ",".join(each.concurrency_limits for each in classes).split(","):
        name, _, count = limit.strip().partition(":")
        if name:
            counted[name.upper()] = max(counted.get(name.upper(), 0.0), float(count or 1))
    return counted


def _groups(pool: Pool, classes: list[Resources]) -> str | None:
    """Compare the groups of classes with those that the negotiator knows; a group's subgroups count as it."""
    named = sorted({each.accounting_group for each in classes if each.accounting_group})
    if not named:
        return None
    known = _configured(pool, ["GROUP_NAMES"])["GROUP_NAMES"].replace(",", " ").lower().split()
    strangers = [name for name in named if not any(f"{name.lower()}.".startswith(f"{group}.") for group in known)]
    if strangers:
        why = "the negotiator's GROUP_NAMES has no such group, so that their jobs have no quota of their own"
        raise Missing(f"accounting group {', '.join(strangers)}", why, _ADMINISTRATOR)
    return ", ".join(named)


def _configured(pool: Pool, names: list[str]) -> dict[str, str]:
    """Return parameters of the negotiator's configuration."""
    with _asking():
        values = pool.run("condor_config_val", "-negotiator", *names).splitlines()
    if len(values) != len(names):
        raise Unknown("the negotiator told something else than what it was asked", "run condor_config_val by hand")
    return dict(zip(names, map(str.strip, values), strict=True))


@contextmanager
def _asking() -> Iterator[None]:
    """Ask the pool what cannot be told while it does not answer; that it does not is a finding of its own."""
    try:
        yield
    except (Transient, Missing) as error:
        raise Unknown(f"{error.what}: {error.why}", error.todo) from error

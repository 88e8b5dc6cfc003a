"""What is left of crews whose flow is gone: jobs in the queue, and keys in their directories.

A flow's keeper removes both when the flow is killed; this is for what outlives the keeper too, as when the host
goes down. Nobody's work is touched unless its owner is known to be gone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, NamedTuple

from tasks import disk, kin
from tasks.cluster.job import Job
from tasks.cluster.tag import Owner

__all__ = ["KEYS", "OWNER", "Orphan", "dead_keys", "is_gone", "orphans", "sign"]

KEYS: Final = "tls"
"""The folder of the keys, in a crew's directory."""
OWNER: Final = "owner"
"""The file in a crew's directory that names the flow's process."""


class Orphan(NamedTuple):
    """The jobs of a crew whose flow does not look after them.

    Parameters
    ----------
    crew
        The crew.
    jobs
        Those in the queue.
    why
        What is known of the flow's process.
    is_certain
        Whether it is known to be gone; otherwise they are only told of.
    """

    crew: str
    jobs: tuple[Job, ...]
    why: str
    is_certain: bool


def is_gone(owner: Owner) -> bool | None:
    """Tell whether a process is known to be gone; None where that cannot be seen from here."""
    if owner.is_gone:
        return True
    return False if owner.machine == kin.machine() else None


def orphans(jobs: Iterable[Job], has_ended: Callable[[str], bool]) -> tuple[Orphan, ...]:
    """Return the crews whose jobs nobody looks after, or for which that cannot be seen from here.

    Parameters
    ----------
    jobs
        Those in the queue.
    has_ended
        Tells whether the run of some id is known to have ended, wherever it was.
    """
    crews: dict[str, list[Job]] = {}
    for job in jobs:
        if job.tag and not job.is_over:
            crews.setdefault(job.tag.crew, []).append(job)
    judged = (_judged(crew, tuple(found), has_ended) for crew, found in crews.items())
    return tuple(orphan for orphan in judged if orphan)


def _judged(crew: str, jobs: tuple[Job, ...], has_ended: Callable[[str], bool]) -> Orphan | None:
    tag = jobs[0].tag
    gone = is_gone(tag.owner) if tag else False
    if tag is None or gone is False:
        return None
    if gone:
        return Orphan(crew, jobs, f"{tag.owner} is gone", is_certain=True)
    if has_ended(tag.flow_run):
        return Orphan(crew, jobs, f"their run on {tag.owner.host} has ended", is_certain=True)
    return Orphan(crew, jobs, f"{tag.owner} cannot be seen from {os.uname().nodename}", is_certain=False)


def sign(directory: Path, owner: Owner) -> None:
    """Say in a crew's directory whose it is."""
    disk.write_whole(directory / OWNER, owner.text.encode())


def dead_keys(directory: Path) -> tuple[Path, ...]:
    """Return the folders of keys, in the directory of all crews, whose flow is known to be gone."""
    return tuple(folder for folder in sorted(directory.glob(f"*/{KEYS}")) if _is_of_the_dead(folder.parent))


def _is_of_the_dead(crew: Path) -> bool:
    try:
        return Owner.read((crew / OWNER).read_text()).is_gone
    except (OSError, ValueError):
        return False

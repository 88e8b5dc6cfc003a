"""Could any slot ever run a job? HTCondor's own matchmaker is asked, with a description that is not submitted.

A partitionable slot tells what is left of it, so it is shown to the matchmaker as it is when it is empty: whether
a job has to wait is not the question.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tasks.cluster.pool import Pool
from tasks.errors import Transient

__all__ = ["Fit", "fit", "slots_of"]

_WHOLE: Final = "Cpus = TotalSlotCpus\nMemory = TotalSlotMemory\nDisk = TotalSlotDisk\n"
_OWNED: Final = 'Owner = "ppi"\nUser = "ppi@ppi"\n'
"""What the queue would add to a job, and the matchmaker wants to see."""
_COUNTS: Final = (
    r"Of (\d+) machines,",
    r"(\d+) are rejected by your job's requirements",
    r"(\d+) reject your job because of their own requirements",
)
_STEP: Final = re.compile(r"^(\[\d+\])\s+(\d+)\s+(\S.*)$", re.MULTILINE)
"""A condition with its name, and how many slots meet it; a later one may name earlier ones."""
_NAME: Final = re.compile(r"\[\d+\]")


@dataclass(frozen=True)
class Fit:
    """Which slots could run a job if nothing else ran.

    Parameters
    ----------
    slots
        How many there are, each counted once however it is divided.
    rejected
        How many of them are not what the job asks for.
    unwilling
        How many do not take it.
    unmet
        What it asks for and no slot has, as ClassAd expressions.
    """

    slots: int
    rejected: int
    unwilling: int
    unmet: tuple[str, ...]

    @property
    def fitting(self) -> int:
        """How many could run it."""
        return self.slots - self.rejected - self.unwilling


def slots_of(pool: Pool) -> str:
    """Return the ClassAds of all slots, each as it is when nothing runs in it.

    Raises
    ------
    Transient, Missing
        As `Pool.run`.
    """
    printed = pool.run("condor_status", "-long", "-constraint", "DynamicSlot =!= true")
    return "\n".join(f"{ad}\n{_WHOLE}" for ad in printed.strip().split("\n\n") if ad)


def fit(pool: Pool, description: str, slots: str) -> Fit:
    """Return which slots could run the job of a submit description.

    Parameters
    ----------
    slots
        Their ClassAds, from `slots_of`.

    Raises
    ------
    Transient, Missing
        As `Pool.run`.
    Refused
        HTCondor does not take such a job.
    """
    with TemporaryDirectory(prefix="ppi-fit-") as folder:
        job, machines = Path(folder, "job"), Path(folder, "slots")
        pool.run("condor_submit", "-terse", "-dry-run", str(job), "-", standard_input=description)
        job.write_text(_owned(job.read_text()))
        machines.write_text(slots)
        question = ("-jobads:long", str(job), "-slotads:long", str(machines), "-better-analyze")
        return _read(pool.run("condor_q", *question))


def _owned(ad: str) -> str:
    lines = (line for line in ad.splitlines() if line and not line.startswith("Owner="))
    return "\n".join((*lines, _OWNED))


def _read(analysis: str) -> Fit:
    counts = [re.search(count, analysis) for count in _COUNTS]
    found = [int(count[1]) for count in counts if count]
    if len(found) < len(_COUNTS):
        raise Transient("HTCondor's condor_q -better-analyze", "it told no counts", "run it by hand")
    slots, rejected, unwilling = found
    return Fit(slots, rejected, unwilling, _unmet(analysis))


def _unmet(analysis: str) -> tuple[str, ...]:
    """Return the conditions that no slot meets, in full; one that is part of another is not told by itself."""
    steps = {name: (slots, condition) for name, slots, condition in _STEP.findall(analysis)}
    unmet = {name: condition for name, (slots, condition) in steps.items() if slots == "0"}
    parts = {part for condition in unmet.values() for part in _NAME.findall(condition)}
    return tuple(_in_full(condition, steps) for name, condition in unmet.items() if name not in parts)


def _in_full(condition: str, steps: Mapping[str, tuple[str, str]]) -> str:
    whole = {name: f"({_in_full(steps[name][1], steps)})" for name in _NAME.findall(condition) if name in steps}
    return _NAME.sub(lambda part: whole.get(part[0], part[0]), condition)

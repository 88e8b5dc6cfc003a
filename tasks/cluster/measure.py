"""What a piece of work takes: of the process that does it and all that it starts, CASA with the rest.

Memory is the sum of resident sets, as HTCondor counts a job's where nodes have no cgroups. Pages that processes
share are counted once for each of them, so that it is at most too much (by 4 % for two Pythons); proportional
sizes would cost a walk through all pages at every look, while the process that is looked at waits. Between looks
the kernel keeps the most that this process held, and each child.
"""

from __future__ import annotations

import os
import resource
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Taken", "measured"]

_SECONDS = 0.5
_PAGE = os.sysconf("SC_PAGE_SIZE")
_KILOBYTE = 1 << 10


@dataclass
class Taken:
    """What was taken so far, and in all once the block has ended.

    Parameters
    ----------
    wall_seconds, cpu_seconds
        CPU of this process and of all that it started, if they have ended and were waited for.
    peak_memory
        Bytes that all of them held at most, together.
    """

    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_memory: int = 0


@contextmanager
def measured() -> Iterator[Taken]:
    """Measure what the block takes, if nothing else happens in this process meanwhile."""
    taken, ended = Taken(), threading.Event()
    begun, cpu, largest = time.monotonic(), _cpu_seconds(), _largest()
    watcher = threading.Thread(target=_watch, args=(taken, ended), name="measure", daemon=True)
    watcher.start()
    try:
        yield taken
    finally:
        ended.set()
        watcher.join()
        taken.wall_seconds = time.monotonic() - begun
        taken.cpu_seconds = _cpu_seconds() - cpu
        grown = [now for now, before in zip(_largest(), largest, strict=True) if now > before]
        taken.peak_memory = max(taken.peak_memory, *grown, 0)


def _watch(taken: Taken, ended: threading.Event) -> None:
    over = False
    while not over:
        taken.peak_memory = max(taken.peak_memory, sum(map(_resident, _family(os.getpid()))))
        over = ended.wait(_SECONDS)


def _family(pid: int) -> Iterator[int]:
    """Return a process and all that descend from it; some may go while one looks."""
    yield pid
    with suppress(OSError):
        for listing in Path(f"/proc/{pid}/task").glob("*/children"):
            with suppress(OSError):
                for child in listing.read_text().split():
                    yield from _family(int(child))


def _resident(pid: int) -> int:
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    return 0


def _cpu_seconds() -> float:
    return sum(usage.ru_utime + usage.ru_stime for usage in _usages())


def _largest() -> list[int]:
    """Return the most that this process held, and the most that one held of those that have ended here."""
    return [usage.ru_maxrss * _KILOBYTE for usage in _usages()]


def _usages() -> list[resource.struct_rusage]:
    return [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]

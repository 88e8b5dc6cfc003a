"""What a part of a process takes: time, processor time, and the most memory that it held."""

from __future__ import annotations

import re
import resource
import time
from pathlib import Path
from typing import TypedDict

__all__ = ["Measurement", "Usage"]

_PROCESS = Path("/proc/self")
_FORGET_PEAK = "5"
"""What resets VmHWM when it is written to clear_refs."""


class Usage(TypedDict):
    """What was taken, under the names that a step has for it."""

    seconds: float
    cpu_seconds: float
    peak_memory_bytes: int | None


class Measurement:
    """Measure from here on.

    The kernel keeps one peak for the whole process. Where it cannot be reset, a peak that did not rise is that of
    an earlier part, and this one's is unknown.
    """

    def __init__(self) -> None:
        self._was_reset = _forget_peak()
        self._peak = _peak_memory()
        self._began, self._cpu = time.monotonic(), _cpu_seconds()

    def taken(self) -> Usage:
        """Return what was taken so far."""
        return Usage(
            seconds=round(time.monotonic() - self._began, 3),
            cpu_seconds=round(_cpu_seconds() - self._cpu, 3),
            peak_memory_bytes=self._peak_since(),
        )

    def _peak_since(self) -> int | None:
        peak = _peak_memory()
        rose = peak is not None and self._peak is not None and peak > self._peak
        return peak if self._was_reset or rose else None


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _forget_peak() -> bool:
    try:
        (_PROCESS / "clear_refs").write_text(_FORGET_PEAK)
    except OSError:
        return False
    return True


def _peak_memory() -> int | None:
    try:
        found = re.search(r"^VmHWM:\s+(\d+) kB$", (_PROCESS / "status").read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None

"""Which processes live, as far as it can be seen from here: a number alone means another process tomorrow."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

__all__ = ["born", "is_gone", "machine"]


@cache
def machine() -> str:
    """Name the running system and its space of process numbers: elsewhere they mean other processes."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot} {Path('/proc/self/ns/pid').readlink()}"


def is_gone(where: str, pid: int, birth: int) -> bool:
    """Whether a process is known to have ended; False also where that cannot be seen from here.

    Parameters
    ----------
    where
        Its `machine`.
    birth
        When it was `born`.
    """
    return where == machine() and born(pid) != birth and not _is_hidden(pid)


def born(pid: int) -> int | None:
    """Return when a process started, in the kernel's ticks; None when there is none that may still do something.

    That is so, too, of one that its parent has not asked for. Of one that was killed the first thread may have
    ended while another is still in a call of the kernel's.
    """
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, PermissionError, ProcessLookupError):
        return None
    threads = int(rest[16])
    return None if state in "ZX" and threads <= 1 else int(rest[18])


def _is_hidden(pid: int) -> bool:
    """Whether a process is there, of another account, and the system does not show it (``hidepid``)."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return not os.access(f"/proc/{pid}/stat", os.R_OK)
    except (ProcessLookupError, OverflowError):
        return False
    return False

"""Watch over one CASA process from its own side, so that it ends however its launcher ended.

Run as a script with nothing but the standard library: ``_supervisor.py LIFELINE REPORT TIMEOUT -- COMMAND…``.
LIFELINE is the reading end of a pipe whose writing end only the launcher holds: it reads end-of-file the
moment the launcher is gone, be it by return, exception, SIGTERM or SIGKILL. Where the launcher could make
a process namespace this script is its process 1, and the kernel ends all others with it; elsewhere it is
the sub-reaper of all its descendants and ends them one by one.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import select
import signal
import socket
import struct
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 1, 36, 47, 4
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
GRACE_SECONDS = 5.0


def main(arguments: list[str]) -> int:
    """Run the command to its end, its time-out or the launcher's end, and write the report."""
    lifeline, report, timeout = int(arguments[0]), Path(arguments[1]), float(arguments[2])
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    _raise_loopback()
    _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    started = time.monotonic()
    child = _start(arguments[4:])
    why = _wait(child, lifeline, timeout)
    if why != "ended":
        _ask_to_end(child)
    _, status, usage = os.wait4(child, 0)
    _end_descendants()
    code = os.waitstatus_to_exitcode(status)
    _write(
        report,
        {
            "status": code if code >= 0 else None,
            "signal": -code if code < 0 else None,
            "timed_out": why == "timed out",
            "wall_seconds": time.monotonic() - started,
            "cpu_seconds": usage.ru_utime + usage.ru_stime,
            "peak_rss_bytes": usage.ru_maxrss * 1024,
        },
    )
    return 0


def _raise_loopback() -> None:
    """Bring up the loopback device of a network namespace of our own: parts of CASA talk over it."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh22x", b"lo", 0)
        (flags,) = struct.unpack("16xh22x", fcntl.ioctl(control, SIOCGIFFLAGS, request))
        if not flags & IFF_UP:
            fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", flags | IFF_UP))


def _start(command: list[str]) -> int:
    child = os.fork()
    if child == 0:
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        os.setpgid(0, 0)
        try:
            os.execvpe(command[0], command, os.environ)  # noqa: S606 - a list, and no shell is wanted
        except OSError as error:
            sys.stderr.write(f"cannot start {command[0]}: {error}\n")
            os._exit(127)
    return child


def _wait(child: int, lifeline: int, timeout: float) -> str:
    ended = os.pidfd_open(child)
    poll = select.poll()
    poll.register(ended, select.POLLIN)
    poll.register(lifeline, select.POLLHUP)
    events = {descriptor for descriptor, _ in poll.poll(timeout * 1000)}
    if ended in events:
        return "ended"
    return "launcher gone" if lifeline in events else "timed out"


def _ask_to_end(child: int) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, number)
        if _gone(child, GRACE_SECONDS):
            return


def _gone(child: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(os.pidfd_open(child), select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def _end_descendants() -> None:
    if os.getpid() == 1:
        return  # leaving process 1 of a namespace ends them all
    while descendants := _children(os.getpid()):
        for pid in descendants:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, 0)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for listing in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(word) for word in listing.read_text().split()]
    return found


def _write(report: Path, content: dict[str, object]) -> None:
    unfinished = report.with_suffix(".tmp")
    unfinished.write_text(json.dumps(content))
    unfinished.replace(report)


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

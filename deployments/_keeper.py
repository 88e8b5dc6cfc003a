"""Keep one service: it ends when who started it is gone, however that went, and with it all that it started.

Run as a script, with what to do as JSON in its argument. Its standard input is a life-line: the reading end of a
pipe whose only writing end the starter holds, and which ends with it. Signals do not reach the keeper, so that
services are ended in their order, and not by a Ctrl-C that the terminal sends to all.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from typing import Any

import psutil

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
LIFELINE = 0


def main(told: str) -> int:
    """Start the service, or take over one that runs; return its exit code, as a shell would tell it."""
    plan = json.loads(told)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # a handler, since a child would inherit that they are ignored
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    child = _start(plan) if "command" in plan else None
    with contextlib.suppress(psutil.NoSuchProcess):
        _keep(psutil.Process(child.pid if child else plan["pid"]), plan)
    _end_descendants()
    return _as_shell(child.wait()) if child else 0


def _start(plan: dict[str, Any]) -> subprocess.Popen[bytes]:
    stop = signal.Signals[plan["stop"][0][0]]
    return subprocess.Popen(
        plan["command"],
        stdin=subprocess.DEVNULL,
        cwd=plan["directory"],
        preexec_fn=lambda: _prctl(PR_SET_PDEATHSIG, stop),
        **plan["account"],
    )


def _keep(service: psutil.Process, plan: dict[str, Any]) -> None:
    """Wait for the end of the service or of the life-line, and end the service in the latter case."""
    if _ended(service, None, LIFELINE):
        return
    if plan["children_first"]:
        _stop(service.children(), *plan["stop"][0])
    if not any(_stop([service], name, seconds) for name, seconds in plan["stop"]):
        _send(service, signal.SIGKILL)


def _stop(processes: list[psutil.Process], name: str, seconds: float) -> bool:
    """Send a signal, and tell whether all have ended within some seconds."""
    for process in processes:
        _send(process, signal.Signals[name])
    ends = time.monotonic() + seconds
    return all(_ended(process, max(0.0, ends - time.monotonic())) for process in processes)


def _ended(service: psutil.Process, seconds: float | None, *others: int) -> bool:
    """Wait for the service, or for one of some descriptors to close; tell whether it was the service."""
    try:
        over = os.pidfd_open(service.pid)
    except ProcessLookupError:
        return True
    poll = select.poll()
    for descriptor in (over, *others):
        poll.register(descriptor, select.POLLIN)
    found = {descriptor for descriptor, _ in poll.poll(None if seconds is None else seconds * 1000)}
    os.close(over)
    return over in found


def _send(process: psutil.Process, number: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def _end_descendants() -> None:
    while left := [each for each in psutil.Process().children(recursive=True) if _is_alive(each)]:
        for process in left:
            _send(process, signal.SIGKILL)
        psutil.wait_procs(left, timeout=1)


def _is_alive(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False


def _as_shell(code: int) -> int:
    return code if code >= 0 else 128 - code


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

"""Take a crew's jobs out of the queue when the flow that they work for is gone, however it went.

Run as a script with nothing but the standard library: ``_keeper.py SECONDS CONDOR_RM CONDOR_Q CONSTRAINT KEYS``.
Its standard input is a life-line: the reading end of a pipe whose only writing end the flow holds. At its end the
folder of the crew's keys is removed, and its jobs are until none is left, since the pool may be away at that
moment. A flow whose jobs are gone says so, in one byte.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time

PAUSE_SECONDS, ANSWER_SECONDS = 2.0, 30.0


def main(arguments: list[str]) -> int:
    """Wait for the end of the flow, and see that its jobs go; return whether they did not."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if os.read(0, 1):
        return 0
    seconds, remove, queue, constraint, keys = arguments
    shutil.rmtree(keys, ignore_errors=True)
    ends = time.monotonic() + float(seconds)
    while time.monotonic() < ends:
        _printed(remove, "-reason", "the flow that it worked for is gone", "-constraint", constraint)
        if _printed(queue, "-allusers", "-autoformat", "ClusterId", "-constraint", constraint) == "":
            return 0
        time.sleep(PAUSE_SECONDS)
    return 1


def _printed(*command: str) -> str | None:
    """Return what a program prints; None if it failed, or took too long."""
    try:
        ran = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=ANSWER_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return ran.stdout.strip() if ran.returncode == 0 else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

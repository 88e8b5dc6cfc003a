"""Work that is killed at a chosen moment: just before any of its changes of the disk."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

_CHANGES = (
    "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod",
    "os.utime",
)  # fmt: skip
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


Watch = Callable[[Callable[..., object]], None]
"""Is given what to call at further moments at which the work may be killed."""


def moments(work: Callable[[], object], step: int = 1, watch: Watch = lambda tick: None) -> Iterator[int]:
    """Kill the work just before its first change of the disk, then its second, ... until it comes to its end.

    The work is done in a process of its own each time; what surrounds an iteration prepares the next.
    """
    for moment in count(1, step):
        killed = _killed(moment, work, watch)
        yield moment
        if not killed:
            return


def _killed(moment: int, work: Callable[[], object], watch: Watch) -> bool:
    child = os.fork()
    if child == 0:
        _work_until(moment, work, watch)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0, "it failed, and was not killed"
    return False


def _work_until(moment: int, work: Callable[[], object], watch: Watch) -> None:
    left = count(moment - 1, -1)

    def tick(*_: Any) -> None:
        if next(left) == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _CHANGES or (event == "open" and arguments[2] & _WRITING):
            tick()

    sendfile = os.sendfile
    sys.dont_write_bytecode = True
    os.fsync = tick  # a kill is no power cut: what is written stays
    os.sendfile = lambda *given: (tick(), sendfile(*given))[1]
    sys.addaudithook(audit)
    watch(tick)
    try:
        work()
    except BaseException:  # noqa: BLE001 - nothing may return into the test of the parent
        sys.excepthook(*sys.exc_info())
        os._exit(1)
    os._exit(0)

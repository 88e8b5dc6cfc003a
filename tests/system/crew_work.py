"""Work for the workers of crews, which leaves marks: so that it can be counted how often it was begun and ended.

Workers cannot import the tests, so that functions travel by value: `by_value`.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Generic, ParamSpec, TypeVar

import cloudpickle

from tasks.abandon import pause
from tasks.casa.launch import Launch, run
from tasks.errors import Failed

__all__ = ["by_value", "child_until", "hoard", "make", "mark", "nap", "once_for_ever", "outlast", "until"]

P = ParamSpec("P")
R = TypeVar("R")
_MEGABYTE = 1 << 20
_WAITS = """
import os, sys, time
while not os.path.exists(sys.argv[1]):
    time.sleep(0.05)
"""


class _ByValue(Generic[P, R]):
    def __init__(self, function: Callable[P, R]) -> None:
        self._function = function

    def __reduce__(self) -> tuple[Any, ...]:
        return cloudpickle.loads, (cloudpickle.dumps(self._function),)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._function(*args, **kwargs)


def by_value(function: Callable[P, R]) -> Callable[P, R]:
    """Return a function of this module as one that a process can unpickle which does not know the module."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    return _ByValue(function)


def mark(folder: Path, name: str, what: str) -> None:
    """Leave a mark, unlike any other."""
    (folder / f"{name}.{what}.{os.getpid()}-{time.time_ns()}").touch()


def nap(folder: Path, name: str, seconds: float) -> str:
    """Take a while, whether somebody wants it or not."""
    mark(folder, name, "began")
    time.sleep(seconds)
    mark(folder, name, "ended")
    return name


def until(folder: Path, name: str, flag: str) -> str:
    """Take until there is a file, or nobody wants it any more."""
    mark(folder, name, "began")
    while not (folder / flag).exists():
        pause(0.05)
    mark(folder, name, "ended")
    return name


def once_for_ever(folder: Path, name: str) -> str:
    """Have no end the first time; afterwards, be done at once."""
    again = any(folder.glob(f"{name}.began.*"))
    mark(folder, name, "began")
    while not again:
        time.sleep(0.05)
    mark(folder, name, "ended")
    return name


def child_until(folder: Path, name: str, flag: str) -> str:
    """Have a child wait for a file, as CASA is a child."""
    mark(folder, name, "began")
    command = (sys.executable, "-S", "-c", _WAITS, str(folder / flag))
    ended = run(Launch(command, Path(mkdtemp(prefix=f"{name}-", dir=folder)), 600))
    if ended.status != 0:
        raise Failed(name, f"its child ended with {ended}")
    mark(folder, name, "ended")
    return name


def hoard(folder: Path, name: str, megabytes: int, flag: str) -> str:
    """Hold memory until there is a file."""
    mark(folder, name, "began")
    held = bytearray(os.urandom(_MEGABYTE)) * megabytes
    while not (folder / flag).exists() and held:
        time.sleep(0.05)
    mark(folder, name, "ended")
    return name


def outlast(folder: Path, name: str, why: str) -> str:
    """Fail, or without a reason have the whole worker end."""
    mark(folder, name, "began")
    if why:
        raise Failed(name, why)
    os._exit(7)


def make(folder: Path, name: str, megabytes: int) -> bytes:
    """Return something large."""
    mark(folder, name, "began")
    made = bytes(_MEGABYTE) * megabytes
    mark(folder, name, "ended")
    return made

"""Where a piece of work runs: here, or wherever the stage that it belongs to has workers.

A Prefect task asks for the place and hands it one plain function, so that it need not know which place it is.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import ParamSpec, Protocol, TypeVar

from tasks.usage import Usage, Work, report

__all__ = ["HERE", "Here", "Place", "place", "working_at"]

P = ParamSpec("P")
R = TypeVar("R")


class Place(Protocol):
    """Where work is done."""

    def run(self, work: Work, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Do a piece of work, and report what it took.

        Parameters
        ----------
        work
            What it is, for people and for what is learnt.
        function
            A function of a module, with arguments that can be pickled: it may run on another host.
        """


class Here:
    """The process at hand, in the thread that asks."""

    def run(self, work: Work, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function."""
        begun = time.monotonic()
        done = function(*args, **kwargs)
        report(Usage(work, time.monotonic() - begun, place=os.uname().nodename))
        return done


HERE = Here()
_place: ContextVar[Place] = ContextVar("place", default=HERE)


def place() -> Place:
    """Return where the stage at hand has its work done."""
    return _place.get()


@contextmanager
def working_at(chosen: Place) -> Iterator[None]:
    """Have work done in a place, by the block and by threads that are given its context."""
    token = _place.set(chosen)
    try:
        yield
    finally:
        _place.reset(token)

"""How far work has come, told by whoever does it to whoever shows it, without either knowing the other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

__all__ = ["Event", "following", "tell"]


@dataclass(frozen=True)
class Event:
    """Something that happened.

    Parameters
    ----------
    stage
        ``plan``, ``gather``, ``process`` or ``finish``.
    item
        What it happened to: a file, an execution block; empty for the stage itself.
    step
        What it is doing now.
    done, total
        What was done since the last event, and what there is in all, in bytes or steps; 0 where it is not known.
    """

    stage: str
    item: str = ""
    step: str = ""
    done: int = 0
    total: int = 0


_followers: list[Callable[[Event], None]] = []
_guard = threading.Lock()


def tell(event: Event) -> None:
    """Tell all followers; they are called in the thread of the work, so they must be quick."""
    for follower in tuple(_followers):
        follower(event)


@contextmanager
def following(follower: Callable[[Event], None]) -> Iterator[None]:
    """Have a function called with every event while the block runs."""
    with _guard:
        _followers.append(follower)
    try:
        yield
    finally:
        with _guard:
            _followers.remove(follower)

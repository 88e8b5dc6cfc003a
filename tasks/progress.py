"""How far work has come, told by whoever does it to whoever shows it, without either knowing the other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import NamedTuple

__all__ = ["Event", "Item", "Kind", "OnBytes", "following", "note", "tell", "tell_found"]

OnBytes = Callable[[int], None]
"""Called with each gain in bytes, and with a negative number when bytes prove wrong; it may be an `Item`."""


class Kind(Enum):
    """What an event says."""

    BEGIN = "begin"
    """Work on the item begins, from nothing."""
    CAME = "came"
    """So much was done; nothing, if only the step changed."""
    FOUND = "found"
    """So much was there already, and took no time."""
    END = "end"
    """Nothing more is done on the item: it is finished, or it failed."""


class Event(NamedTuple):
    """Something that happened.

    Parameters
    ----------
    stage
        ``plan``, ``gather``, ``process``, ``finish`` or another that is shown.
    item
        What it happened to: a file, an execution block; empty for the stage itself.
    step
        What it is doing now, or waiting for; empty for bytes that plainly come.
    done, total
        What was done since the last event, and what there is in all, in bytes or steps; 0 where it is not known.
    items
        For the stage itself: how many items it has in all; 0 where it is not known.
    kind
        What it says.
    """

    stage: str
    item: str = ""
    step: str = ""
    done: int = 0
    total: int = 0
    items: int = 0
    kind: Kind = Kind.CAME


_followers: tuple[Callable[[Event], None], ...] = ()
_guard = threading.Lock()
_thread = threading.local()


def tell(event: Event) -> None:
    """Tell all followers; they are called in the thread of the work, so they must be quick."""
    for follower in _followers:
        follower(event)


@contextmanager
def following(follower: Callable[[Event], None]) -> Iterator[None]:
    """Have a function called with every event while the block runs."""
    global _followers
    with _guard:
        _followers = (*_followers, follower)
    try:
        yield
    finally:
        with _guard:
            _followers = tuple(each for each in _followers if each is not follower)


class Item:
    """One file under way: a context in which work on it is done, and what that work calls with its bytes.

    Parameters
    ----------
    stage
        The stage that it belongs to.
    name
        What people know it by.
    total
        Its bytes; 0 where they are not known.
    """

    def __init__(self, stage: str, name: str, total: int = 0) -> None:
        self._stage, self._name, self._total = stage, name, total

    def __enter__(self) -> Item:
        self._outer: Item | None = getattr(_thread, "item", None)
        _thread.item = self
        self._tell("", 0, Kind.BEGIN)
        return self

    def __exit__(self, *_: object) -> None:
        _thread.item = self._outer
        self._tell("", 0, Kind.END)

    def __call__(self, done: int) -> None:
        """Tell of bytes that came, or as a negative number of bytes that proved wrong."""
        tell(Event(self._stage, self._name, "", done, self._total))

    def found(self, done: int) -> None:
        """Tell of bytes that were there already: they count, but no rate."""
        self._tell("", done, Kind.FOUND)

    def step(self, text: str) -> None:
        """Tell what it waits for, or does besides moving bytes."""
        self._tell(text, 0, Kind.CAME)

    def _tell(self, step: str, done: int, kind: Kind) -> None:
        tell(Event(self._stage, self._name, step, done, self._total, kind=kind))


def tell_found(on_bytes: OnBytes, done: int) -> None:
    """Tell of bytes that were there already, to one who can tell them from those that come, or to any other."""
    if isinstance(on_bytes, Item):
        on_bytes.found(done)
    else:
        on_bytes(done)


def note(step: str) -> None:
    """Tell what the item that this thread works on waits for or does; empty when that is over."""
    item: Item | None = getattr(_thread, "item", None)
    if item:
        item.step(step)

"""Work that is given up at once: when a flow is interrupted or fails, its threads let go of what they wait for.

A flow that ends waits for its threads, and they wait for the archive, for a lease, for a pause between attempts.
`ending()` marks every thread that lives when its block is left by an exception: their pauses end, what they have
registered is cut, and what they begin anew raises `Abandoned`. The thread that leaves the block, threads that
start later, and any thread that enters such a block itself are free, so that a process can go on with other work.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from tasks.errors import PpiError

__all__ = ["Abandoned", "abandon_others", "abandoned", "ending", "on_abandon", "pause", "require_wanted"]

_change: Final = threading.Condition()
_ended: Final[weakref.WeakSet[threading.Thread]] = weakref.WeakSet()
_cuts: Final[dict[object, tuple[threading.Thread, Callable[[], None]]]] = {}


class Abandoned(PpiError):
    """Nobody waits for this work any more; it is not tried again by itself."""

    exit_code = 5

    def __init__(self, what: str = "the work was given up", why: str = "", todo: str = "") -> None:
        super().__init__(what, why or "the run is ending", todo or "run it again: it goes on where it was")


@contextmanager
def ending() -> Iterator[None]:
    """Let the other threads give up their work when the block is left by an exception."""
    with _change:
        _ended.discard(threading.current_thread())
    try:
        yield
    except BaseException:
        abandon_others()
        raise


def abandoned() -> bool:
    """Whether the work of this thread was given up."""
    return threading.current_thread() in _ended


def require_wanted() -> None:
    """Go on only if the work of this thread was not given up.

    Raises
    ------
    Abandoned
        It was.
    """
    if abandoned():
        raise Abandoned


def pause(seconds: float) -> None:
    """Sleep, but no longer than the work is wanted.

    Raises
    ------
    Abandoned
        It was given up, before or meanwhile.
    """
    with _change:
        _change.wait_for(abandoned, seconds)
    require_wanted()


@contextmanager
def on_abandon(cut: Callable[[], None]) -> Iterator[None]:
    """Have something called, in another thread, as soon as the work of this one is given up.

    Parameters
    ----------
    cut
        Ends what this thread waits for, such as a connection. It must return at once.

    Raises
    ------
    Abandoned
        It was given up before.
    """
    key = object()
    with _change:
        require_wanted()
        _cuts[key] = threading.current_thread(), cut
    try:
        yield
    finally:
        with _change:
            del _cuts[key]


def abandon_others() -> None:
    """Give up the work of every thread that lives, except for this one and the main thread."""
    spared = {threading.current_thread(), threading.main_thread()}
    with _change:
        _ended.update(thread for thread in threading.enumerate() if thread not in spared)
        _change.notify_all()
        for thread, cut in tuple(_cuts.values()):
            if thread in _ended:
                with suppress(OSError):
                    cut()

"""Progress on its way from a worker to the flow, gathered for half a second: bytes come in many small pieces."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Final

from tasks.progress import Event, Kind, tell

__all__ = ["Relay", "retell"]

_SECONDS: Final = 0.5
_SUMMED: Final = (Kind.CAME, Kind.FOUND)

Packed = list[list[Any]]
"""Events in the types that go over the wire."""


class Relay:
    """A follower that passes on what it is told, twice a second and at its end.

    Parameters
    ----------
    send
        Passes events on.
    """

    def __init__(self, send: Callable[[Packed], object]) -> None:
        self._send = send
        self._events: list[Event] = []
        self._guard = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._pass_on, name="relay", daemon=True)

    def __enter__(self) -> Relay:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def __call__(self, event: Event) -> None:
        """Take an event; it is added to the one before it where both only say that more came."""
        with self._guard:
            if self._events and _continues(self._events[-1], event):
                last = self._events.pop()
                event = event._replace(done=last.done + event.done)
            self._events.append(event)

    def _pass_on(self) -> None:
        over = False
        while not over:
            over = self._ended.wait(_SECONDS)
            with self._guard:
                events, self._events = self._events, []
            if events:
                self._send([[*event[:-1], event.kind.value] for event in events])


def retell(packed: Sequence[Sequence[Any]]) -> None:
    """Tell the followers in this process what a relay has sent."""
    for *fields, kind in packed:
        tell(Event._make((*fields, Kind(kind))))


def _continues(last: Event, event: Event) -> bool:
    return event.kind in _SUMMED and last._replace(done=0) == event._replace(done=0)

"""Which servers of the archive are well, as this process has seen them, and which of them to ask first.

A server that was busy, gone or slow is asked last for a while, longer each time, so that neither the files that
follow wait for it nor it has to carry more than it can. It is never left out: it may be the only one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Final, NamedTuple, TypeVar

from tasks.ngas.connection import Unwell
from tasks.ngas.patience import Attempt

__all__ = ["HEALTH", "Health", "watched"]

T = TypeVar("T")

_FIRST_SECONDS, _LONGEST_SECONDS = 5.0, 300.0


class _Illness(NamedTuple):
    """How often a server failed since it was last well, and until when it is spared."""

    failures: int
    until: float


class Health:
    """What is known of servers, by their addresses; for any thread.

    Parameters
    ----------
    clock
        Seconds from any moment on; replaced in tests.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ill: dict[str, _Illness] = {}
        self._guard = threading.Lock()

    def well(self, server: str) -> None:
        """Note that a server did what it was asked."""
        with self._guard:
            self._ill.pop(server, None)

    def unwell(self, server: str) -> None:
        """Note that a server was busy, gone or slow; what fails at the same time counts once."""
        now = self._clock()
        with self._guard:
            failures, until = self._ill.get(server, _Illness(0, now))
            if until <= now:
                spared = min(_LONGEST_SECONDS, _FIRST_SECONDS * 2**failures)
                self._ill[server] = _Illness(failures + 1, now + spared)

    def order(
        self,
        servers: Iterable[str],
        subject: str,
        *,
        preferred: str = "",
        busy: Callable[[str], int] = lambda server: 0,
    ) -> tuple[str, ...]:
        """Return the servers in the order in which to ask them.

        Parameters
        ----------
        subject
            What they are asked for. Among equals it decides, so that not one of them is asked for everything.
        preferred
            Asked first while it is well.
        busy
            How many streams from a server are open; of those that are well, the least busy is asked first.
        """
        now = self._clock()
        with self._guard:
            until = {server: illness.until for server, illness in self._ill.items() if illness.until > now}

        def rank(server: str) -> tuple[float, bool, int, bytes]:
            other = server != preferred
            streams = 0 if server in until or not other else busy(server)
            share = sha256(f"{subject}\n{server}".encode(errors="surrogatepass")).digest()
            return until.get(server, 0.0), other, streams, share

        return tuple(sorted(servers, key=rank))


HEALTH: Final = Health()
"""What this process has seen: one, since clients are made for single tasks."""


def watched(attempt: Callable[[Attempt], T]) -> Callable[[Attempt], T]:
    """Note of every server that is asked whether it is well."""

    def noted(at: Attempt) -> T:
        try:
            result = attempt(at)
        except Unwell:
            HEALTH.unwell(at.server)
            raise
        HEALTH.well(at.server)
        return result

    return noted

"""How many files come from one server at once, over all processes, hosts and environments that share a store.

One archive serves all environments, and too many streams from one of them hurt all. Each stream holds one of the
server's numbered places, which are leases: those of a dead process are free again.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.abandon import pause
from tasks.lease import Claim, Lease, beating, holders
from tasks.progress import note

__all__ = ["Streams"]

_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.1, 1.0
"""Seconds between looks for a free place, each of which asks the file system for all of them."""


class Streams:
    """Places for streams from servers.

    Parameters
    ----------
    folder
        Where the places are kept, in the folder that all share. None, or where that is not there: no limit.
    per_server
        Streams from one server at once. Of environments with different limits the greatest holds in all.
    """

    def __init__(self, folder: Path | None, per_server: int) -> None:
        self._folder, self._per_server = folder, per_server

    @contextmanager
    def slot(self, server: str) -> Iterator[None]:
        """Hold a place while the block runs; wait for one as long as it takes."""
        if self._folder is None or not self._folder.parent.is_dir():
            yield
            return
        with beating(self._place(self._folder, server)):
            yield

    def busy(self, server: str) -> int:
        """Return how many streams from a server are open now, whoever's."""
        if self._folder is None:
            return 0
        prefix = _prefix(server)
        return sum(name.startswith(prefix) for name in holders(self._folder))

    def _place(self, folder: Path, server: str) -> Lease:
        names = [f"{_prefix(server)}{number}" for number in range(self._per_server)]
        claims = [Claim(folder, name, f"a stream from {server}") for name in names]
        seconds = _SHORTEST_PAUSE
        while not (lease := _any(claims)):
            note(f"waiting for a stream from {server}")
            pause(random.uniform(seconds / 2, seconds))  # noqa: S311 - it spreads load and guards nothing
            seconds = min(_LONGEST_PAUSE, 1.5 * seconds)
        note("")
        return lease


def _any(claims: list[Claim]) -> Lease | None:
    random.shuffle(claims)
    return next(filter(None, (claim.attempt() for claim in claims)), None)


def _prefix(server: str) -> str:
    """Return a server's part of the file names; no two servers have the same."""
    return re.sub(r"[^A-Za-z0-9.-]", lambda found: f"_{ord(found[0]):x}_", server) + "_stream_"

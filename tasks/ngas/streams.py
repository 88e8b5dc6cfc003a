"""How many files come from one server at once, over all processes, hosts and environments that share a store.

One archive serves all environments, and too many streams from one of them hurt all. Each stream holds one of the
server's numbered places, which are leases: those of a dead process are free again.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tasks.abandon import pause
from tasks.lease import Claim, Lease, beating, holders

__all__ = ["Streams"]

_LOOK_SECONDS: Final = 0.2


class Streams:
    """Places for streams from servers.

    Parameters
    ----------
    folder
        Where the places are kept, on the file system that all share; None sets no limit.
    per_server
        Streams from one server at once. Of environments with different limits the greatest holds in all.
    on_wait
        Called with the server when a stream has to wait for a place.
    """

    def __init__(
        self, folder: Path | None, per_server: int, on_wait: Callable[[str], None] = lambda server: None
    ) -> None:
        self._folder, self._per_server, self._on_wait = folder, per_server, on_wait

    @contextmanager
    def slot(self, server: str) -> Iterator[None]:
        """Hold a place while the block runs; wait for one as long as it takes."""
        if self._folder is None:
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
        told = False
        while True:
            random.shuffle(claims)
            if lease := next(filter(None, (claim.attempt() for claim in claims)), None):
                return lease
            if not told:
                self._on_wait(server)
                told = True
            pause(random.uniform(_LOOK_SECONDS / 2, _LOOK_SECONDS))  # noqa: S311 - it guards nothing


def _prefix(server: str) -> str:
    """Return a server's part of the file names; no two servers have the same."""
    return re.sub(r"[^A-Za-z0-9.-]", lambda found: f"_{ord(found[0]):x}_", server) + "_stream_"

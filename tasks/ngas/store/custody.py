"""Who has what of the store in hand: one fetches or removes an entry, any number use it meanwhile or not at all.

Both are leases, so they end with their process. Whoever uses an entry says so before it looks whether the entry is
there; whoever removes one takes it out of service before it looks whether it is used. So one of the two sees the
other, and nothing is removed under a user's hands, without a lock that all of them would have to share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from tasks.disk import names_in
from tasks.lease import Claim, Holder, Lease, beating, holders, leased, left, sweep
from tasks.ngas.store.entry import Entry

__all__ = ["Custody"]


class Custody:
    """The leases and holds of a store.

    Parameters
    ----------
    root
        The store.
    """

    def __init__(self, root: Path) -> None:
        self._leases, self._holds, self._streams = root / ".leases", root / ".holds", root / ".streams"

    @contextmanager
    def alone(self, entry: Entry, subject: str, on_wait: Callable[[Holder], None]) -> Iterator[Lease]:
        """Have an entry alone, when nobody else has."""
        with leased(self._leases, entry.key, subject, on_wait=on_wait) as lease:
            yield lease

    @contextmanager
    def alone_at_once(self, entry: Entry, subject: str) -> Iterator[Lease | None]:
        """Have an entry alone if nobody else has; nothing is waited for."""
        lease = Claim(self._leases, entry.key, subject).attempt()
        if lease is None:
            yield None
        else:
            with beating(lease):
                yield lease

    @contextmanager
    def using(self, entry: Entry, subject: str) -> Iterator[None]:
        """Keep an entry from being removed."""
        uses = self._holds / entry.key
        try:
            with leased(uses, uuid4().hex, subject):
                yield
        finally:
            _tidy(uses)

    def is_used(self, entry: Entry) -> bool:
        """Whether somebody keeps an entry."""
        return bool(holders(self._holds / entry.key))

    def is_taken(self, entry: Entry) -> bool:
        """Whether somebody who lives has an entry alone."""
        return (self._leases / entry.key).exists() and entry.key in holders(self._leases)

    def forget_the_dead(self, entry: Entry) -> bool:
        """Remove what one who died has left on and in a complete entry; a cheap look if there is nothing."""
        if not (entry.is_untidy or (self._leases / entry.key).exists()):
            return False
        with self.alone_at_once(entry, "clearing away") as lease:
            if lease and entry.is_untidy:
                entry.tidy()
            return lease is not None

    def sweep(self) -> set[str]:
        """Remove what the dead have left on any entry; return the parts of the store where they had one alone."""
        swept = sweep(self._leases)
        sweep(self._streams)
        for uses in self._uses():
            sweep(uses)
            _tidy(uses)
        return {key[:2] for key in swept}

    def left(self) -> int:
        """Count what `sweep` would remove."""
        return sum(len(left(folder)) for folder in (self._leases, self._streams, *self._uses()))

    @contextmanager
    def pruning(self) -> Iterator[None]:
        """Be the only one that makes room: two at once would make it twice."""
        with leased(self._leases, "pruning", "pruning the store"):
            yield

    def at_work(self) -> list[Holder]:
        """Return who has entries alone."""
        return list(holders(self._leases).values())

    def users(self) -> list[Holder]:
        """Return who keeps entries."""
        return [holder for uses in self._uses() for holder in holders(uses).values()]

    def _uses(self) -> list[Path]:
        return [self._holds / key for key in names_in(self._holds)]


def _tidy(folder: Path) -> None:
    with suppress(OSError):  # others use it too
        folder.rmdir()

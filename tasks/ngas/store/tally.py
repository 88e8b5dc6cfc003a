"""How much a store holds, known without walking it, and exactly, whoever is killed.

Each part of the store has an account: a number of entries and bytes. It is a symbolic link that points to nothing,
named by its generation, because such a link is made whole, and by one process only. Whoever changes a record marks
the part first, and takes the mark away when the account says what the record says. So a part with a mark is in
doubt, and counted anew; only then are marks of the dead removed. Accounts are derived: without them, all is
counted once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from tasks.disk import make_shared, names_in, sync_folder
from tasks.lease import Claim, Holder, Lease, holders, sweep
from tasks.ngas.store.entry import Count, Entry, entries_in

__all__ = ["Tally"]


@dataclass(frozen=True)
class _Account:
    """What a part's newest link says."""

    generation: int = 0
    count: Count | None = None
    """None when nobody knows it."""
    settled: frozenset[str] = frozenset()
    """Those changes in it whose marks are still there, so that none is counted twice."""


class Tally:
    """The accounts of a store.

    Parameters
    ----------
    root
        The store.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    @contextmanager
    def changing(self, entry: Entry) -> Iterator[None]:
        """Keep account while an entry's record is written or taken away by the block; one at a time an entry."""
        part, mark = self._part(entry.shard), f"m{uuid4().hex[:12]}"
        self.forget_the_dead(entry.shard)
        lease = _marked(part, mark, f"recording {entry.folder.name}")
        before = entry.count()
        try:
            yield
        finally:
            _settle(part, mark, entry.count().plus(before, -1))
            lease.release()

    def forget_the_dead(self, shard: str) -> None:
        """Count a part anew if nobody knows it, or one who died has left it in doubt; a cheap look otherwise."""
        part = self._part(shard)
        if _newest(part).count is None or None in _marks(part).values():
            self.count(shard)

    def count(self, shard: str) -> Count:
        """Return what a part holds, counted anew if that is in doubt."""
        account, marks = _newest(self._part(shard)), _marks(self._part(shard))
        if account.count is not None and not marks:
            return account.count
        return self.recount(shard, (entry.count() for entry in entries_in(self._root, shard)))

    def recount(self, shard: str, counts: Iterable[Count]) -> Count:
        """Take account of a part anew; if it is changed meanwhile, that stays in doubt.

        Parameters
        ----------
        counts
            Those of its entries, looked at as they are asked for.
        """
        part = self._part(shard)
        account, marks = _newest(part), _marks(part)
        count = Count()
        for each in counts:
            count = count.plus(each)
        is_quiet = not any(marks.values()) and _marks(part).keys() == marks.keys()
        if is_quiet and _publish(part, _Account(account.generation + 1, count)):
            sweep(part, marks)
        return count

    def _part(self, shard: str) -> Path:
        return self._root / ".tally" / shard


def _marked(part: Path, mark: str, subject: str) -> Lease:
    """Put a part in doubt. If its account cannot be set right, it stays so: the mark ends with its process."""
    while not (lease := Claim(part, mark, subject).attempt()):
        pass  # somebody tidied its folder away before it was in it
    return lease


def _marks(part: Path) -> Mapping[str, Holder | None]:
    """Return the marks of a part, with who made them; None for the dead."""
    names = [name for name in names_in(part) if not name.isdecimal()]
    living = holders(part) if names else {}
    return {name: living.get(name) for name in names}


def _newest(part: Path) -> _Account:
    while generations := _generations(part):
        newest = max(generations)
        try:
            entries, size, *settled = (part / str(newest)).readlink().name.split("-")
            return _Account(newest, Count(int(entries), int(size)) if entries else None, frozenset(settled))
        except FileNotFoundError:
            continue  # a newer one has come
        except (OSError, ValueError):
            return _Account(newest)  # none of ours
    return _Account()


def _generations(part: Path) -> list[int]:
    return [int(name) for name in names_in(part) if name.isdecimal()]


def _settle(part: Path, mark: str, gain: Count) -> None:
    """Bring a change into the account, once. Unknown stays unknown, so that nobody sets it from an old look."""
    while mark not in (account := _newest(part)).settled:
        settled = account.settled & _marks(part).keys() | {mark}
        count = account.count.plus(gain) if account.count is not None else None
        _publish(part, _Account(account.generation + 1, count, settled))


def _publish(part: Path, account: _Account) -> bool:
    """Make an account's next generation; say whether it is now the newest."""
    make_shared(part)
    told = (account.count.entries, account.count.bytes) if account.count is not None else ("", "")
    try:
        (part / str(account.generation)).symlink_to("-".join(map(str, (*told, *sorted(account.settled)))))
    except FileExistsError:
        return False
    generations = _generations(part)
    if max(generations) != account.generation:
        return False  # it was one that others had left behind long ago; or one has already gone on from it
    sync_folder(part)
    for old in generations:
        if old < account.generation:
            with suppress(OSError):  # it is gone, or nothing of ours
                (part / str(old)).unlink()
    return True

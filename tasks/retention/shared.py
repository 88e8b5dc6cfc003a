"""The store that environments share, and the messages that were sent: they know themselves what is in hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from tasks.catalog.outbox import Outbox
from tasks.ngas.store import Pruned, Store
from tasks.report.units import size
from tasks.retention.model import Cleared, Finding, Part

__all__ = ["of_messages", "of_store"]


def of_store(store: Store, root: Path, limit: int | None) -> Iterator[Finding]:
    """Find what the store is to be rid of: what was not used for longest, and what the dead hold.

    Parameters
    ----------
    root
        Where the store is.
    limit
        How many bytes it may hold; None for any number, and then nothing of it goes.
    """
    if leases := store.left_by_the_dead():
        why = "who held these leases is gone"
        yield Finding(Part.LEFTOVERS, str(root), why, leases, None, partial(_clear_away, store, leases))
    standing = store.status()
    if limit is None:
        why = "it has no limit: ppi.processing.storeLimit"
        yield Finding(Part.STORE, str(root), why, standing.entries, standing.bytes)
    elif standing.bytes <= limit:
        yield Finding(Part.STORE, str(root), f"it is within its {size(limit)}", standing.entries, standing.bytes)
    else:
        found = _cleared(store.prune(limit, dry_run=True))
        why = "; ".join(filter(None, (f"it has {size(standing.bytes)} of {size(limit)}", found.left)))
        remove = partial(_prune, store, limit)
        yield Finding(Part.STORE, str(root), why, found.count, found.size, remove)


def of_messages(outbox: Outbox, age: timedelta, now: datetime) -> Iterator[Finding]:
    """Find the messages that were sent long ago; those that were not are never removed."""
    if old := outbox.forget(now - age, dry_run=True):
        why = f"sent more than {age.days} days ago"
        yield Finding(
            Part.MESSAGES, "the outbox of the catalog", why, old, None, partial(_forget, outbox, now - age)
        )
    if backlog := outbox.backlog():
        yield Finding(Part.MESSAGES, "the outbox of the catalog", "not sent yet", backlog)


def _forget(outbox: Outbox, before: datetime) -> Cleared:
    return Cleared(outbox.forget(before))


def _clear_away(store: Store, leases: int) -> Cleared:
    store.clear_away()
    return Cleared(leases)


def _prune(store: Store, limit: int) -> Cleared:
    return _cleared(store.prune(limit))


def _cleared(pruned: Pruned) -> Cleared:
    stays = [f"{size(kept.bytes)} stay, {kept.reason}" for kept in pruned.kept]
    over = [f"{size(pruned.over)} too many cannot be freed now"] if pruned.over else []
    removed = sum(each.bytes for each in pruned.removed)
    return Cleared(len(pruned.removed), removed, "; ".join((*stays, *over)))

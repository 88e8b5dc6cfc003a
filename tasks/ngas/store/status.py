"""What a store holds and who has what of it in hand, told in the same time however large it is."""

from __future__ import annotations

import shutil
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from tasks.lease import Holder
from tasks.ngas.store.custody import Custody
from tasks.ngas.store.entry import Count, shards
from tasks.ngas.store.tally import Tally

__all__ = ["Standing", "standing"]


class Standing(BaseModel):
    """How a store stands."""

    model_config = ConfigDict(frozen=True)

    entries: int
    bytes: int
    free: int
    """Bytes free on its file system."""
    at_work: tuple[Holder, ...]
    """Who fetches, checks or removes something, and what."""
    users: tuple[Holder, ...]
    """Who uses something, and what."""


def standing(root: Path) -> Standing:
    """Count a store by its accounts, and say who is at work in it; what the dead have left is removed."""
    custody, tally = Custody(root), Tally(root)
    custody.sweep()
    count = Count()
    for shard in shards(root):
        count = count.plus(tally.count(shard))
    free = shutil.disk_usage(next(each for each in (root, *root.parents) if each.exists())).free
    return Standing(
        entries=count.entries,
        bytes=count.bytes,
        free=free,
        at_work=tuple(custody.at_work()),
        users=tuple(custody.users()),
    )

"""Whoever is killed before any change of the disk: the next run has the right bytes, and leaves nothing."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from killed_moments import moments
from store_examples import Filled, content_of, left_over

from tasks.lease import Claim
from tasks.ngas import Transfer
from tasks.ngas.store import store
from tasks.ngas.store.entry import Count, entries_in, shards
from tasks.ngas.streams import Streams


@pytest.fixture
def filled(tmp_path: Path) -> Filled:
    return Filled(tmp_path / "store")


def place(filled: Filled) -> None:
    outside = filled.root.parent / "workspace" / "a"
    filled.use(filled.file("a"), lambda held: filled.store.place(held, outside))


WORK: dict[str, Callable[[Filled], object]] = {
    "fetching": lambda filled: filled.use(filled.file("new")),
    "using": place,
    "pruning": lambda filled: filled.store.prune(0),
    "verifying": lambda filled: filled.store.verify(),
}


@pytest.mark.parametrize("name", WORK)
def test_the_next_run_has_the_right_bytes_and_nothing_stays(filled: Filled, name: str) -> None:
    begin(filled)
    for _ in moments(lambda: as_a_process(filled, WORK[name])):
        store._clear_away.cache_clear()
        for each in ("a", "b", "new"):
            held = filled.use(filled.file(each))
            assert held.path.read_bytes() == content_of(each, 100)
        assert left_over(filled.root) == []
        assert list((filled.root.parent / "workspace").glob(".*")) == []
        standing, shown = filled.store.status(), counted(filled.root)
        assert Count(standing.entries, standing.bytes) == shown == Count(3, 300)
        begin(filled)


def begin(filled: Filled) -> None:
    for folder in (filled.root, filled.root.parent / "workspace"):
        shutil.rmtree(folder, ignore_errors=True)
    filled.put("a")
    filled.put("b")


def as_a_process(filled: Filled, work: Callable[[Filled], object]) -> None:
    store._clear_away.cache_clear()
    os.umask(0o077)
    work(filled)


def counted(root: Path) -> Count:
    total = Count()
    for entry in (entry for shard in shards(root) for entry in entries_in(root, shard)):
        total = total.plus(entry.count())
    return total


def test_a_stream_of_the_dead_is_closed_by_the_next_run(filled: Filled) -> None:
    filled.put("a")
    streams = filled.root / ".streams"
    for _ in moments(lambda: Claim(streams, "h_3a_1_stream_0", "a stream from h:1").attempt()):
        assert Streams(streams, 1).busy("h:1") == 0
        store._clear_away.cache_clear()
        filled.use(filled.file("a"))
        assert list(streams.glob("*")) == []


def test_what_is_written_for_a_while_is_open_to_the_group(filled: Filled, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another account of the group goes on when this one is killed."""
    umask, modes = os.umask(0o077), dict[str, int]()
    retrieve = filled.retrieve

    def look(*args: Any, **options: Any) -> Transfer:
        folder = filled.entry(filled.file("a")).folder
        modes.update({path.name[:6]: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()})
        return retrieve(*args, **options)

    monkeypatch.setattr(filled, "retrieve", look)
    try:
        filled.put("a")
    finally:
        os.umask(umask)
    assert modes == {"writer": 0o660, "descri": 0o660}

"""Verifying reads everything: what is wrong is taken out of service, what only lost its record is found again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from store_examples import Filled, content_of, left_over

from tasks.lease import leased
from tasks.ngas.store import Verified
from tasks.progress import Event, following


@pytest.fixture
def filled(tmp_path: Path) -> Filled:
    return Filled(tmp_path / "store")


def changed(path: Path, data: bytes, *, keep_time: bool = True) -> None:
    before = path.stat()
    path.chmod(0o640)
    path.write_bytes(data)
    if keep_time:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    else:
        os.utime(path, ns=(1, 1))


def test_a_store_that_is_right(filled: Filled) -> None:
    for name in "abc":
        filled.put(name)
    events: list[Event] = []
    with following(events.append):
        assert filled.store.verify() == Verified(files=3, bytes=300)
    assert sum(event.done for event in events if event.stage == "verify") == 300
    assert filled.holds(*"abc") == list("abc")
    assert left_over(filled.root) == []


WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "a flipped byte": (
        lambda content: changed(content, b"x" + content.read_bytes()[1:]), "it has checksum crc32:"
    ),
    "cut off": (lambda content: changed(content, content.read_bytes()[:-1]), "it has 99 bytes instead of 100"),
    "gone": (lambda content: content.unlink(), "its content is gone"),
    "another's record": (
        lambda content: changed(
            record := content.with_name("record.json"), record.read_bytes().replace(b'"a"', b'"b"')
        ),
        "its record is of another file, b version 1",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("spoil", "wrong"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_taken_out_of_service_and_named(
    filled: Filled, spoil: Callable[[Path], object], wrong: str
) -> None:
    entry = filled.put("a")
    filled.put("right")
    spoil(entry.content)
    found = filled.store.verify()
    (bad,) = found.bad
    assert wrong in bad.wrong
    assert bad.todo
    assert not entry.content.exists()
    assert filled.holds("a", "right") == ["right"]
    assert filled.store.status().entries == 1
    assert filled.use(filled.file("a")).path.read_bytes() == content_of("a", 100)
    assert filled.store.verify() == Verified(files=2, bytes=200)
    assert left_over(filled.root) == []


def test_names_elsewhere_of_what_is_wrong_are_told(filled: Filled, tmp_path: Path) -> None:
    entry = filled.put("a")
    (tmp_path / "link").hardlink_to(entry.content)
    changed(entry.content, bytes(100))
    (bad,) = filled.store.verify().bad
    assert bad.file == "a version 1"
    assert f"1 other names (find -inum {(tmp_path / 'link').stat().st_ino})" in bad.todo


def test_without_a_checksum_only_what_was_not_touched_is_right(filled: Filled) -> None:
    entries = [filled.put(name, checksum=False) for name in "ab"]
    changed(entries[1].content, content_of("b", 100), keep_time=False)
    found = filled.store.verify()
    assert [(bad.file, bad.wrong) for bad in found.bad] == [
        ("b version 1", "it was changed, and no checksum can prove it right")
    ]
    assert found.files == 2


def test_what_only_seems_changed_is_proven_and_vouched_for_again(filled: Filled) -> None:
    entry = filled.put("a")
    changed(entry.content, content_of("a", 100), keep_time=False)
    assert filled.holds("a") == []
    assert filled.store.verify().recovered == ("a version 1",)
    assert filled.holds("a") == ["a"]


def test_contents_without_a_record_are_proven_or_dropped(filled: Filled) -> None:
    known, unknown, wrong = (filled.put(name) for name in ("known", "unknown", "wrong"))
    unknown.record_path.unlink()
    for entry in (known, wrong):
        entry.withdraw()
    changed(wrong.content, bytes(100), keep_time=False)
    found = filled.store.verify()
    assert (found.files, found.bad, found.recovered, found.dropped) == (1, (), (), 2)
    assert filled.holds("known", "unknown", "wrong") == ["known"]
    assert filled.store.status().entries == 1


def test_what_is_just_being_fetched_is_left_alone(filled: Filled) -> None:
    entry = filled.put("a")
    entry.withdraw()
    with leased(filled.root / ".leases", entry.key, "fetching a"):
        assert filled.store.verify() == Verified()
    assert entry.content.exists()


def test_parts_stay_and_empty_folders_go(filled: Filled) -> None:
    part, empty = filled.entry(filled.file("part")), filled.entry(filled.file("empty"))
    for entry in (part, empty):
        entry.folder.mkdir(parents=True)
    (part.folder / ".ngas-x.part").write_bytes(b"x")
    assert filled.store.verify() == Verified()
    assert (part.folder.exists(), empty.folder.exists()) == (True, False)


def test_strays_are_told_and_left_alone(filled: Filled) -> None:
    entry = filled.put("a")
    leaf = entry.folder.parent
    strays = [filled.root / "notes", leaf.parent / "x", leaf / "y", entry.folder / "z"]
    for path in strays:
        path.write_text("mine")
    found = filled.store.verify()
    assert sorted(found.strays) == sorted(str(path.relative_to(filled.root)) for path in strays)
    assert all(path.exists() for path in strays)


def test_accounts_that_are_wrong_are_set_right(filled: Filled) -> None:
    entries = [filled.put(name) for name in "abcdef"]
    shutil.rmtree(entries[0].folder)  # an operator's hand
    assert filled.store.status().entries == 6
    filled.store.verify()
    assert (filled.store.status().entries, filled.store.status().bytes) == (5, 500)


def test_what_pruning_emptied_is_no_stray(filled: Filled) -> None:
    filled.put("a")
    filled.store.prune(0)
    assert filled.store.verify() == Verified()


def test_what_is_put_back_into_service_is_checked_first(filled: Filled) -> None:
    """As somebody leaves it who dies over removing it."""
    entry = filled.put("a")
    changed(entry.content, b"?" * 100)
    entry.withdraw()
    assert [bad.file for bad in filled.store.verify().bad] == ["a version 1"]
    assert filled.holds("a") == []


def test_folders_that_somebody_died_over_making_go(filled: Filled) -> None:
    leaf = filled.put("a").folder.parent
    halves = [folder / ".new-1" for folder in (filled.root, leaf.parent, leaf)]
    for half in halves:
        half.mkdir()
    assert filled.store.verify().strays == ()
    assert [half for half in halves if half.exists()] == []

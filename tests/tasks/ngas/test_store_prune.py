"""Pruning: what was not used for longest goes, and never what anybody has in hand."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from store_examples import Filled, left_over

from tasks import kin
from tasks.lease import Holder, leased
from tasks.ngas.store import Kept, store
from tasks.ngas.store.entry import Entry


@pytest.fixture
def filled(tmp_path: Path) -> Filled:
    return Filled(tmp_path / "store")


def disk_of(entry: Entry) -> int:
    return sum(path.stat().st_size for path in entry.folder.iterdir())


def test_what_was_not_used_for_longest_goes_until_the_rest_is_within_the_limit(filled: Filled) -> None:
    entries = [filled.put(name, hours_ago=hours) for name, hours in (("a", 2), ("b", 4), ("c", 3), ("d", 0))]
    sizes = [disk_of(entry) for entry in entries]
    before, after = sum(sizes), sizes[0] + sizes[3]
    limit = before - sizes[1] - 1
    would = filled.store.prune(limit, dry_run=True)
    assert filled.holds("a", "b", "c", "d") == ["a", "b", "c", "d"]
    did = filled.store.prune(limit)
    assert did == would
    assert [each.file for each in did.removed] == ["b version 1", "c version 1"]
    assert (did.before, did.after, did.over, did.kept) == (before, after, 0, ())
    assert filled.holds("a", "b", "c", "d") == ["a", "d"]
    assert (filled.store.status().entries, filled.store.status().bytes) == (2, 200)
    assert not entries[1].folder.exists()
    assert left_over(filled.root) == []
    assert filled.store.prune(limit).removed == ()


def test_use_is_remembered_to_the_hour(filled: Filled) -> None:
    for name, hours in (("a", 0.5), ("b", 5), ("c", 3)):
        filled.put(name, hours_ago=hours)
    filled.use(filled.file("b"))
    filled.use(filled.file("a"))
    ages = [time.time() - filled.entry(filled.file(name)).record_path.stat().st_mtime for name in "abc"]
    assert ages[0] > 1000
    assert ages[1] < 100
    assert filled.store.prune(0).removed[0].file == "c version 1"


def test_what_is_used_fetched_or_linked_stays_and_that_is_told(filled: Filled, tmp_path: Path) -> None:
    entries = {name: filled.put(name, hours_ago=9) for name in ("used", "fetched", "linked", "idle")}
    (tmp_path / "link").hardlink_to(entries["linked"].content)
    sizes = {name: disk_of(entry) for name, entry in entries.items()}
    with leased(filled.root / ".leases", entries["fetched"].key, "fetching it"):
        for dry_run in (True, False):
            with filled.store.using(filled, filled.file("used")):  # type: ignore[arg-type]
                result = filled.store.prune(0, dry_run=dry_run)
            assert [each.file for each in result.removed] == ["idle version 1"]
            assert {each.reason: each for each in result.kept} == {
                "in use": Kept(reason="in use", entries=1, bytes=sizes["used"]),
                "being fetched": Kept(reason="being fetched", entries=1, bytes=sizes["fetched"]),
                "linked": Kept(reason="linked", entries=1, bytes=sizes["linked"]),
            }
            assert result.over == result.after == sum(sizes.values()) - sizes["idle"]
    assert filled.holds("used", "fetched", "linked", "idle") == ["used", "fetched", "linked"]
    assert {each.file for each in filled.store.prune(0).removed} == {"used version 1", "fetched version 1"}
    assert filled.store.status().entries == 1
    assert left_over(filled.root) == []


def test_an_unfinished_file_goes_in_its_turn(filled: Filled) -> None:
    entry = filled.entry(filled.file("a"))
    entry.folder.mkdir(parents=True)
    (entry.folder / ".ngas-x.part").write_bytes(bytes(100))
    result = filled.store.prune(50)
    assert [each.file for each in result.removed] == ["an unfinished file"]
    assert not entry.folder.exists()


KILLED = """
import os, sys
from pathlib import Path
from tasks.ngas import Store
from tasks.ngas.store.entry import Entry
withdraw = Entry.withdraw
Entry.withdraw = lambda self: (withdraw(self), os.kill(os.getpid(), 9))
Store(Path(sys.argv[1])).prune(0)
"""


def test_what_one_who_was_killed_had_begun_to_remove_is_found_as_good_as_before(filled: Filled) -> None:
    filled.put("a", checksum=False)
    filled.put("b")
    command = [sys.executable, "-c", KILLED, str(filled.root)]
    assert subprocess.run(command, cwd=Path(__file__).parents[3], check=False).returncode == -signal.SIGKILL
    assert filled.store.status().entries == 1
    assert filled.store.held(filled.file("a", checksum=False)) is None
    held = filled.use(filled.file("a", checksum=False))
    assert held.transfer is None
    assert filled.asked == ["a", "b"]
    assert filled.store.status().entries == 2
    assert left_over(filled.root) == []


def test_trash_and_marks_of_the_dead_are_swept(filled: Filled) -> None:
    entry = filled.put("a")
    dead = Holder(token="t", host="here", machine=kin.machine(), pid=2**22 + 1, born=1, subject="x")
    for place in (filled.root / ".leases" / entry.key, filled.root / ".holds" / entry.key / "u"):
        place.mkdir(parents=True)
        (place / "1").symlink_to(dead.text)
    (filled.root / ".trash" / "x" / "y").mkdir(parents=True)
    assert filled.store.prune(10**9).removed == ()
    assert left_over(filled.root) == []


def test_a_lease_of_the_dead_on_what_is_there_goes_when_it_is_used(filled: Filled) -> None:
    entry = filled.put("a")
    place = filled.root / ".leases" / entry.key
    place.mkdir()
    dead = Holder(token="t", host="here", machine=kin.machine(), pid=2**22 + 1, born=1, subject="x")
    (place / "1").symlink_to(dead.text)
    filled.use(filled.file("a"))
    assert not place.exists()


USE = """
import random, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from store_examples import Filled, content_of
filled = Filled(Path(sys.argv[1]))
def right(held):
    assert held.path.read_bytes() == content_of(held.file.file_id, held.file.size), held
for _ in range(int(sys.argv[3])):
    filled.use(filled.file(random.choice("abcdef")), right)
    if random.random() < 0.2:
        filled.store.prune(300)
print(filled.asked and len(filled.asked))
"""


def test_use_and_pruning_at_once_by_many_who_are_killed(filled: Filled) -> None:
    chance = random.Random(3)  # noqa: S311 - the same every time

    def started(rounds: int = 30) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", USE, str(filled.root), str(Path(__file__).parent), str(rounds)]
        return subprocess.Popen(command, cwd=Path(__file__).parents[3], stdout=subprocess.DEVNULL)

    processes = [started() for _ in range(5)]
    for _ in range(6):
        time.sleep(chance.uniform(0.3, 0.6))
        victim = chance.choice(processes)
        victim.kill()
        processes.append(started())
    assert {process.wait(60) for process in processes} <= {0, -signal.SIGKILL}
    assert started(1).wait(30) == 0
    filled.store.prune(10**9)
    assert [path for path in left_over(filled.root) if "/." in path.removeprefix(str(filled.root))] == []
    status, names = filled.store.status(), filled.holds(*"abcdef")
    assert (status.entries, status.bytes) == (len(names), 100 * len(names))


def test_whoever_begins_to_use_what_is_being_removed_has_it_right(
    filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The moment between taking the record away and looking for users, stretched."""
    file, withdraw = filled.file("a"), Entry.withdraw
    filled.put("a", hours_ago=2)
    user = threading.Thread(target=filled.use, args=(file, lambda held: seen.append(held.path.read_bytes())))
    seen: list[bytes] = []

    def slowly(entry: Entry) -> None:
        withdraw(entry)
        user.start()
        while not any((filled.root / ".holds").glob("*/*/*")):
            time.sleep(0.01)

    monkeypatch.setattr(Entry, "withdraw", slowly)
    result = filled.store.prune(0)
    user.join(30)
    assert result.removed == ()
    assert [each.reason for each in result.kept] == ["in use"]
    assert seen == [filled.use(file).path.read_bytes()]
    assert filled.asked == ["a"]


def test_a_store_that_is_not_there_has_nothing_to_prune(filled: Filled) -> None:
    assert filled.store.prune(0).removed == ()
    assert filled.store.status().entries == 0
    assert not filled.root.exists()


def test_of_several_that_prune_at_once_none_makes_room_twice(filled: Filled) -> None:
    entries = [filled.put(f"f{number}", hours_ago=number) for number in range(40)]
    limit = sum(map(disk_of, entries[:20]))
    with ThreadPoolExecutor(4) as pool:
        pruned = list(pool.map(lambda _: filled.store.prune(limit), range(4)))
    assert sorted(len(each.removed) for each in pruned) == [0, 0, 0, 20]
    assert filled.store.status().entries == 20


def test_what_is_left_of_removing_goes_with_the_next_run(filled: Filled) -> None:
    entry = filled.put("a")
    (filled.root / ".trash").mkdir()
    entry.folder.rename(filled.root / ".trash" / "x")
    store._clear_away.cache_clear()
    filled.use(filled.file("b"))
    assert list((filled.root / ".trash").iterdir()) == []


def test_what_verifying_took_out_of_service_leaves_nothing_to_prune(filled: Filled) -> None:
    filled.put("a").content.unlink()
    filled.store.verify()
    assert filled.store.prune(-1).removed == ()


def test_an_empty_folder_is_as_old_as_it_is(filled: Filled) -> None:
    filled.entry(filled.file("a")).folder.mkdir(parents=True)
    (removed,) = filled.store.prune(-1).removed
    assert time.time() - removed.used.timestamp() < 60

"""The accounts: always what the records say, whoever changes them at once or is killed, in any order of things."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from store_examples import Filled, content_of

from tasks import kin
from tasks.lease import Holder, leased
from tasks.ngas.store import tally as tally_module
from tasks.ngas.store.entry import Count, Entry, entries_in, shards
from tasks.ngas.store.tally import Tally

DEAD = Holder(token="t", host="here", machine=kin.machine(), pid=2**22 + 1, born=1, subject="recording a")


@pytest.fixture
def filled(tmp_path: Path) -> Filled:
    return Filled(tmp_path / "store")


def counted(root: Path) -> Count:
    """Count the hard way."""
    total = Count()
    for shard in shards(root):
        for entry in entries_in(root, shard):
            total = total.plus(entry.count())
    return total


def told(root: Path) -> Count:
    standing = Filled(root).store.status()
    return Count(standing.entries, standing.bytes)


def test_a_store_without_accounts_is_counted_once(filled: Filled, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(30):
        filled.put(f"f{number}", number)
    shutil.rmtree(filled.root / ".tally")
    assert told(filled.root) == counted(filled.root) == Count(30, sum(range(30)))
    monkeypatch.setattr(Entry, "count", lambda self: pytest.fail("it was counted again"))
    assert told(filled.root) == Count(30, sum(range(30)))


@pytest.mark.parametrize("spoil", ["a file", "nonsense", "a folder"])
def test_an_account_that_cannot_be_read_is_made_anew(filled: Filled, spoil: str) -> None:
    entry = filled.put("a")
    part = filled.root / ".tally" / entry.shard
    (newest,) = part.iterdir()
    newest.unlink()
    if spoil == "a file":
        newest.write_text("1-100")
    elif spoil == "nonsense":
        newest.symlink_to("so-many")
    else:
        newest.mkdir()
    assert told(filled.root) == Count(1, 100)


def test_one_account_stays_of_many_changes(filled: Filled) -> None:
    entry = filled.put("a")
    for _ in range(10):
        filled.store.prune(0)
        filled.use(filled.file("a"))
    assert len(list((filled.root / ".tally" / entry.shard).iterdir())) == 1


def test_threads_that_change_one_part_at_once_are_all_counted(tmp_path: Path) -> None:
    tally = Tally(tmp_path)
    entries = [Entry(tmp_path / "aa" / "bb" / f"{number:020x}-1-f") for number in range(60)]

    def record(entry: Entry) -> None:
        entry.folder.mkdir(parents=True)
        with tally.changing(entry):
            (entry.folder / "record.json").write_text(
                '{"file_id":"f","version":1,"size":7,"checksum":null,"mtime_ns":1}'
            )

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(record, entries))
    assert tally.count("aa") == Count(60, 420)
    assert len(list((tmp_path / ".tally" / "aa").iterdir())) == 1


def test_an_account_of_long_ago_counts_for_nothing(filled: Filled) -> None:
    """As one leaves it who stood still between reading and writing."""
    entry = filled.put("a")
    part = filled.root / ".tally" / entry.shard
    for _ in range(3):
        filled.store.prune(0)
        filled.use(filled.file("a"))
    (part / "1").symlink_to("77-77")
    assert told(filled.root) == Count(1, 100)
    filled.store.prune(0)
    assert told(filled.root) == Count()
    assert len(list(part.iterdir())) == 1


def test_a_part_that_is_changed_while_it_is_counted_stays_in_doubt(tmp_path: Path) -> None:
    tally, part = Tally(tmp_path), tmp_path / ".tally" / "aa"
    with ExitStack() as change:

        def counts() -> Iterator[Count]:
            yield Count(1, 7)
            change.enter_context(leased(part, "m1", "recording f"))

        assert tally.recount("aa", counts()) == Count(1, 7)
        assert [path.name for path in part.iterdir()] == ["m1"]
    assert tally.count("aa") == Count()
    assert [path.name for path in part.iterdir()] == ["1"]


def test_a_change_that_could_not_be_counted_leaves_doubt(filled: Filled, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with Ctrl-C, or a quota, after the record was written and before the account was."""
    entry = filled.put("a")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(tally_module, "_settle", interrupt)
        with Tally(filled.root).changing(entry):
            entry.withdraw()
    assert told(filled.root) == Count()


def test_who_dies_just_after_a_part_was_counted_leaves_doubt(
    filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = filled.put("a")
    part, publish = filled.root / ".tally" / entry.shard, tally_module._publish

    def die(*args: Any) -> bool:
        is_newest = publish(*args)
        entry.withdraw()
        (part / "m1").mkdir()
        (part / "m1" / "1").symlink_to(DEAD.text)
        return is_newest

    with monkeypatch.context() as patch:
        patch.setattr(tally_module, "_publish", die)
        Tally(filled.root).recount(entry.shard, iter([Count(1, 100)]))
    assert told(filled.root) == Count()


def test_who_changes_a_part_clears_the_doubt_of_the_dead(filled: Filled) -> None:
    entry = filled.put("a")
    part = filled.root / ".tally" / entry.shard
    (part / "m1").mkdir()
    (part / "m1" / "1").symlink_to(DEAD.text)
    with Tally(filled.root).changing(entry):
        pass
    assert [path.name.isdecimal() for path in part.iterdir()] == [True]


CHANGE = """
import random, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from store_examples import Filled
filled = Filled(Path(sys.argv[1]))
while True:
    filled.use(filled.file(f"f{random.randrange(40)}", random.randrange(3)))
    if random.random() < 0.1:
        filled.store.prune(random.choice([0, 2000]))
"""


def test_whoever_is_killed_at_any_moment_the_accounts_are_exact(filled: Filled) -> None:
    chance = random.Random(1)  # noqa: S311 - the same every time

    def started() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", CHANGE, str(filled.root), str(Path(__file__).parent)]
        return subprocess.Popen(command, cwd=Path(__file__).parents[3])

    for _ in range(4):
        processes = [started() for _ in range(3)]
        time.sleep(chance.uniform(0.8, 1.4))
        for process in processes:
            process.kill()
            assert process.wait() == -signal.SIGKILL
        assert told(filled.root) == counted(filled.root)


class History(RuleBasedStateMachine):
    """Any history of a store, against a model of what it must hold."""

    names = st.sampled_from("abcde")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(mkdtemp(prefix="history-"))
        self.filled = Filled(self.folder / "store")
        self.held: set[str] = set()
        self.spoiled: set[str] = set()

    def teardown(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    @rule(name=names)
    def use(self, name: str) -> None:
        held = self.filled.use(self.filled.file(name), lambda held: held.path.read_bytes())
        if name not in self.spoiled:
            assert held.path.read_bytes() == content_of(name, 100)
            assert (held.transfer is None) == (name in self.held)
        self.held.add(name)

    @rule(name=names, other=names)
    def prune_while_using(self, name: str, other: str) -> None:
        self.use(other)
        with self.filled.store.using(self.filled, self.filled.file(name)):  # type: ignore[arg-type]
            self.filled.store.prune(0)
        self.held, self.spoiled = {name}, self.spoiled & {name}

    @rule()
    def prune(self) -> None:
        self.filled.store.prune(0)
        self.held, self.spoiled = set(), set()

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def spoil(self, data: st.DataObject) -> None:
        """Flip a bit, as a disk does: nothing but its bytes shows it."""
        name = data.draw(st.sampled_from(sorted(self.held)))
        content = self.filled.entry(self.filled.file(name)).content
        before = content.stat()
        content.chmod(0o640)
        content.write_bytes(b"?" * 100)
        os.utime(content, ns=(before.st_atime_ns, before.st_mtime_ns))
        self.spoiled.add(name)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def lose_the_record(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.held)))
        entry = self.filled.entry(self.filled.file(name))
        with Tally(self.filled.root).changing(entry):
            entry.withdraw()
        assert self.filled.holds(name) == []
        self.filled.use(self.filled.file(name))

    @rule()
    def verify(self) -> None:
        found = self.filled.store.verify()
        assert {bad.file for bad in found.bad} == {f"{name} version 1" for name in self.spoiled}
        self.held -= self.spoiled
        self.spoiled = set()

    @invariant()
    def it_holds_what_it_must(self) -> None:
        assert set(self.filled.holds(*"abcde")) == self.held
        assert told(self.filled.root) == counted(self.filled.root) == Count(len(self.held), 100 * len(self.held))


TestHistory = History.TestCase
TestHistory.settings = settings(max_examples=25, stateful_step_count=15, deadline=None)

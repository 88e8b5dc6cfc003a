"""Who seems dead and is not: another goes on in a copy, and whoever wakes up loses and harms nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ngas_archive import MIB, Archive, some_bytes
from store_examples import FETCH

from deployments.local.ngas_faults import first, stall
from tasks import kin, lease
from tasks.errors import Transient
from tasks.lease import Holder
from tasks.ngas import Patience, Store, StoredFile, Transfer
from tasks.ngas.partial import partial_of
from tasks.ngas.store.entry import Entry
from tasks.progress import Event, Item, following

DATA = some_bytes(2 * MIB + 3)
ELSEWHERE = Holder(token="t", host="elsewhere", machine="another", pid=1, born=1, subject="fetching f version 1")


@pytest.fixture(autouse=True)
def _soon_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "_SILENT_BEATS", 0.1)


@pytest.fixture
def file(archive_there: Archive) -> StoredFile:
    archive_there.put("f", DATA)
    return archive_there.client().describe("f")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


def take(root: Path, file: StoredFile, holder: Holder = ELSEWHERE, generation: int = 1) -> Path:
    path = root / ".leases" / Entry.of(root, file).key / str(generation)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(holder.text)
    return path


def left_by(entry: Entry, holder: Holder, file: StoredFile, there: Archive) -> Path:
    """Leave half of a file as somebody left it who may still write on."""
    there.faults["RETRIEVE", "f"] = first(1, stall(MIB, 0))
    with pytest.raises(Transient):
        there.client(patience=Patience(rounds=1)).retrieve(file, entry.content)
    (entry.folder / f"writer-{holder.token}").write_text(holder.model_dump_json())
    (partial,) = entry.folder.glob(".ngas-*.part")
    return partial


def test_who_lives_elsewhere_is_waited_for_and_that_is_told(
    archive_there: Archive, file: StoredFile, root: Path
) -> None:
    path, steps = take(root, file), list[Event]()
    until = time.monotonic() + 1.5
    beating = threading.Thread(target=lambda: [beat(path) for _ in iter(lambda: time.monotonic() < until, False)])
    beating.start()
    with (
        following(steps.append),
        Item("gather", "f") as item,
        Store(root).using(archive_there.client(), file, item),
    ):
        assert time.monotonic() > until
    beating.join()
    assert "waiting: process 1 on elsewhere is fetching it" in [event.step for event in steps]
    assert steps[-2].step == ""


def beat(path: Path) -> None:
    os.utime(path, follow_symlinks=False)
    time.sleep(0.05)


def test_what_somebody_may_still_write_is_gone_on_with_in_a_copy(
    archive_there: Archive, file: StoredFile, root: Path
) -> None:
    entry = Entry.of(root, file)
    partial = left_by(entry, ELSEWHERE, file, archive_there)
    take(root, file)
    with partial.open("r+b") as old:
        with Store(root).using(archive_there.client(), file) as held:
            assert held.transfer
            assert held.transfer.resumed_from == MIB
            os.truncate(old.fileno(), 0)
            old.write(b"wrong")
            old.flush()
            assert held.path.read_bytes() == DATA
        assert not os.path.samestat(os.fstat(old.fileno()), held.path.stat())
    assert sorted(path.name for path in entry.folder.iterdir()) == ["content", "record.json"]


def test_what_the_dead_have_left_is_gone_on_with_as_it_is(
    archive_there: Archive, file: StoredFile, root: Path
) -> None:
    entry = Entry.of(root, file)
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        holder = lease._ourselves("x").model_copy(update={"pid": process.pid, "born": kin.born(process.pid)})
    partial = left_by(entry, holder, file, archive_there)
    before = partial.stat().st_ino
    with Store(root).using(archive_there.client(), file) as held:
        assert held.path.stat().st_ino == before


def test_a_process_that_stood_still_loses_and_harms_nothing(
    archive_there: Archive, file: StoredFile, root: Path
) -> None:
    archive_there.faults["RETRIEVE", "f"] = first(1, stall(MIB, 3))
    command = [sys.executable, "-c", FETCH, archive_there.address, str(root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]) as slow:
        assert slow.stdout
        while slow.stdout.readline() != f"{MIB}\n":
            assert slow.poll() is None
        slow.send_signal(signal.SIGSTOP)
        try:
            with Store(root).using(archive_there.client(), file) as held:
                assert held.transfer
                assert held.transfer.resumed_from == MIB
            record = held.path.with_name("record.json").read_bytes()
        finally:
            slow.send_signal(signal.SIGCONT)
        assert slow.stdout.read().splitlines()[-1] == "resumed there"
    assert slow.returncode == 0
    assert held.path.read_bytes() == DATA
    assert held.path.with_name("record.json").read_bytes() == record
    assert sorted(path.name for path in held.path.parent.iterdir()) == ["content", "record.json"]
    assert Store(root).status().entries == 1
    assert [path for name in (".leases", ".holds") for path in (root / name).glob("*")] == []


class Meddling:
    """A client under whose hands something happens."""

    def __init__(self, there: Archive, meddle: Callable[[], object]) -> None:
        self._client, self._meddle, self.asked = there.client(), meddle, 0

    def retrieve(self, *args: Any, **options: Any) -> Transfer:
        self.asked += 1
        transfer = self._client.retrieve(*args, **options)
        self._meddle()
        return transfer


def test_who_has_lost_it_writes_no_record_and_looks_again(
    archive_there: Archive, file: StoredFile, root: Path
) -> None:
    client = Meddling(archive_there, lambda: take(root, file, generation=5))
    with Store(root).using(client, file) as held:  # type: ignore[arg-type]
        assert held.transfer is None  # its bytes were proven again
        assert held.path.read_bytes() == DATA
    assert client.asked == 1


def test_who_loses_it_again_and_again_gives_up(archive_there: Archive, root: Path) -> None:
    archive_there.put("f", DATA, plugin="None")
    file = archive_there.client().describe("f")
    generations = iter(range(5, 500, 5))
    client = Meddling(archive_there, lambda: take(root, file, generation=next(generations)))
    with pytest.raises(Transient, match="again and again"), Store(root).using(client, file):  # type: ignore[arg-type]
        pass
    assert client.asked == 5
    assert Store(root).held(file) is None


def test_what_belongs_to_another_account_is_copied_and_proven(
    archive_there: Archive, file: StoredFile, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry, written = Entry.of(root, file), list[os.stat_result]()
    client = Meddling(archive_there, lambda: written.append(entry.content.stat()))
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    with Store(root).using(client, file) as held:  # type: ignore[arg-type]
        assert held.path.read_bytes() == DATA
        assert not os.path.samestat(held.path.stat(), written[0])
    assert list(entry.folder.glob(".*")) == []


def test_what_another_account_changes_before_it_is_copied_is_not_served(
    archive_there: Archive, file: StoredFile, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = Entry.of(root, file).content

    def change() -> None:
        content.chmod(0o600)
        content.write_bytes(bytes(len(DATA)))

    client = Meddling(archive_there, change)
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    with pytest.raises(Exception, match="changed before it was proven"), Store(root).using(client, file):  # type: ignore[arg-type]
        pass
    assert Store(root).held(file) is None


def test_who_wakes_up_does_not_place_what_another_is_still_writing(file: StoredFile, tmp_path: Path) -> None:
    destination = tmp_path / "content"
    with partial_of(file, destination, lambda count: None) as partial:
        partial.append(DATA)
        partial.prove()
        (path,) = tmp_path.glob(".ngas-*.part")
        (tmp_path / "copy").write_bytes(DATA[:MIB])
        (tmp_path / "copy").replace(path)
        with pytest.raises(Transient, match="another process has gone on with it"):
            partial.place(destination)
        partial.discard()
    assert path.read_bytes() == DATA[:MIB]
    assert not destination.exists()

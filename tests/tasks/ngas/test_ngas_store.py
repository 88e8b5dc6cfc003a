"""The store: one file crosses the wire once, and nothing is served that is not right."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ngas_archive import MIB, Archive, some_bytes
from store_examples import FETCH

from deployments.local.ngas_faults import cut, first, stall
from tasks.errors import Failed, Transient
from tasks.ngas import Checksum, Held, Patience, Store, StoredFile

DATA = some_bytes(2 * MIB + 3)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def fetched(
    store: Store, client: Any, file: StoredFile, on_bytes: Callable[[int], None] = lambda count: None
) -> Held:
    with store.using(client, file, on_bytes) as held:
        return held


def described(there: Archive, data: bytes = DATA, **options: Any) -> StoredFile:
    there.put("f", data, **options)
    return there.client().describe("f")


def test_a_file_is_fetched_once(archive_there: Archive, store: Store) -> None:
    file, client = described(archive_there), archive_there.client()
    counts: list[int] = []
    assert store.held(file) is None
    came, there = (fetched(store, client, file, counts.append) for _ in range(2))
    assert came.transfer is not None
    assert there.transfer is None
    assert came.path.read_bytes() == DATA
    assert sum(counts) == 2 * len(DATA)
    assert store.held(file) == there
    assert len(archive_there.asked("RETRIEVE", 1)) == 1
    assert Held.model_validate_json(came.model_dump_json()) == came


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_only_the_owner_and_the_group_may_read_what_is_kept(
    archive_there: Archive, tmp_path: Path, umask: int
) -> None:
    before = os.umask(umask)
    try:
        held = fetched(Store(tmp_path / "store"), archive_there.client(), described(archive_there))
    finally:
        os.umask(before)
    folders = [path for path in (tmp_path / "store").rglob("*") if path.is_dir()] + [tmp_path / "store"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o2770}
    assert stat.S_IMODE(held.path.stat().st_mode) == 0o440
    assert stat.S_IMODE(held.path.with_name("record.json").stat().st_mode) == 0o660


def test_a_store_that_exists_is_left_as_the_operator_made_it(archive_there: Archive, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir(mode=0o750)
    fetched(Store(tmp_path / "store"), archive_there.client(), described(archive_there))
    assert stat.S_IMODE((tmp_path / "store").stat().st_mode) == 0o750


def test_versions_and_checksums_are_apart(archive_there: Archive, store: Store) -> None:
    one, two = described(archive_there, b"one"), described(archive_there, b"two")
    client = archive_there.client()
    assert [fetched(store, client, file).path.read_bytes() for file in (one, two)] == [b"one", b"two"]


def overwrite(path: Path, data: bytes, mtime_ns: int) -> None:
    path.chmod(0o644)
    path.write_bytes(data)
    os.utime(path, ns=(mtime_ns, mtime_ns))


SPOILED: dict[str, Callable[[Path, Path], object]] = {
    "changed": lambda content, record: overwrite(content, bytes(len(DATA)), 1),
    "truncated with its old time": lambda content, record: overwrite(
        content, DATA[:-1], content.stat().st_mtime_ns
    ),
    "gone": lambda content, record: content.unlink(),
    "empty, of an old time": lambda content, record: overwrite(content, b"", 1),
}


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED)
def test_what_is_spoiled_is_fetched_anew(
    archive_there: Archive, store: Store, spoil: Callable[[Path, Path], object]
) -> None:
    file, client = described(archive_there), archive_there.client()
    path = fetched(store, client, file).path
    spoil(path, path.with_name("record.json"))
    assert store.held(file) is None
    held = fetched(store, client, file)
    assert held.transfer is not None
    assert held.path.read_bytes() == DATA
    assert store.held(file) is not None


UNVOUCHED: dict[str, Callable[[Path, Path], object]] = {
    "no record": lambda content, record: record.unlink(),
    "half a record": lambda content, record: record.write_text(record.read_text()[:20]),
    "another time": lambda content, record: os.utime(content, ns=(1, 1)),
    "a record of another file": lambda content, record: record.write_text(
        record.read_text().replace('"version":1', '"version":2')
    ),
}


@pytest.mark.parametrize("spoil", UNVOUCHED.values(), ids=UNVOUCHED)
def test_what_no_record_vouches_for_is_read_again(
    archive_there: Archive, store: Store, spoil: Callable[[Path, Path], object]
) -> None:
    file, client = described(archive_there), archive_there.client()
    path = fetched(store, client, file).path
    spoil(path, path.with_name("record.json"))
    assert store.held(file) is None
    assert fetched(store, client, file).transfer is None
    assert store.held(file) is not None
    assert len(archive_there.asked("RETRIEVE", 1)) == 1


def test_without_a_checksum_what_no_record_vouches_for_is_fetched_anew(
    archive_there: Archive, store: Store
) -> None:
    file, client = described(archive_there, plugin="None"), archive_there.client()
    held = fetched(store, client, file)
    assert held.transfer is not None
    assert held.transfer.checksum is None
    assert fetched(store, client, file).transfer is None
    os.utime(held.path, ns=(1, 1))
    assert fetched(store, client, file).transfer is not None


def test_another_size_than_the_record_is_not_served(archive_there: Archive, store: Store) -> None:
    file = described(archive_there, plugin="None")
    fetched(store, archive_there.client(), file)
    assert store.held(file.model_copy(update={"size": file.size + 1})) is None


def test_a_failed_fetch_leaves_nothing_that_is_served(archive_there: Archive, store: Store) -> None:
    file = described(archive_there)
    archive_there.faults["RETRIEVE", "f"] = cut(MIB)
    with pytest.raises(Transient):
        fetched(store, archive_there.client(patience=Patience(rounds=1)), file)
    assert store.held(file) is None
    archive_there.faults.clear()
    held = fetched(store, archive_there.client(), file)
    assert held.transfer is not None
    assert held.transfer.resumed_from == MIB


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(
    file_id=st.text(min_size=1, max_size=300)
    | st.sampled_from(["../../etc/passwd", "/etc/passwd", "..", ".", "a/b"])
)
def test_no_name_leads_out_of_the_store(tmp_path: Path, file_id: str) -> None:
    root = tmp_path / "root" / "store"
    file = StoredFile(file_id=file_id, version=1, size=3, checksum=None, server="h:1")
    held = fetched(Store(root), _Writer(), file)
    assert held.path.resolve().is_relative_to(root.resolve())
    assert [path.name for path in tmp_path.iterdir()] == ["root"]
    assert [path.name for path in (tmp_path / "root").iterdir()] == ["store"]


class _Writer:
    """A client of an archive that has every file."""

    def retrieve(
        self, file: StoredFile, destination: Path, on_bytes: Callable[[int], None], *, direct: bool
    ) -> None:
        destination.unlink(missing_ok=True)
        destination.write_bytes(b"abc")


def test_placing_links(archive_there: Archive, store: Store, tmp_path: Path) -> None:
    held = fetched(store, archive_there.client(), described(archive_there))
    for _ in range(2):  # the second replaces the first
        store.place(held, tmp_path / "work" / "f.tar")
    assert (tmp_path / "work" / "f.tar").samefile(held.path)
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["f.tar"]


def test_placing_copies_where_no_link_can_be_made(
    archive_there: Archive, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = fetched(store, archive_there.client(), described(archive_there))

    def across(source: object, destination: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr("os.link", across)
    store.place(held, tmp_path / "f.tar")
    assert not (tmp_path / "f.tar").samefile(held.path)
    assert (tmp_path / "f.tar").read_bytes() == DATA


def test_placing_where_nothing_can_be_written(archive_there: Archive, store: Store, tmp_path: Path) -> None:
    held = fetched(store, archive_there.client(), described(archive_there))
    (tmp_path / "blocked").write_bytes(b"")
    with pytest.raises(Failed, match="f version 1 cannot be placed"):
        store.place(held, tmp_path / "blocked" / "f")


def test_a_store_that_cannot_be_written(archive_there: Archive, tmp_path: Path) -> None:
    (tmp_path / "store").write_bytes(b"")
    with pytest.raises(Failed, match="cannot be kept"):
        fetched(Store(tmp_path / "store"), archive_there.client(), described(archive_there))


def test_threads_that_ask_for_one_file_fetch_it_once(archive_there: Archive, store: Store) -> None:
    file = described(archive_there)
    archive_there.faults["RETRIEVE", "f"] = first(1, stall(MIB, 0.3))
    with ThreadPoolExecutor(8) as pool:
        held = list(pool.map(lambda _: fetched(store, archive_there.client(), file), range(8)))
    assert sum(each.transfer is not None for each in held) == 1
    assert sum(line["bytes"] for line in archive_there.asked("RETRIEVE", 2)) == len(DATA)


def fetching(address: str, store: Path) -> subprocess.Popen[str]:
    """Fetch in a process of its own."""
    command = [sys.executable, "-c", FETCH, address, str(store)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3])


def finished(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return output.splitlines()[-1]


def test_processes_that_ask_for_one_file_fetch_it_once(archive_there: Archive, tmp_path: Path) -> None:
    described(archive_there)
    archive_there.faults["RETRIEVE", "f"] = first(1, stall(MIB, 2))
    processes = [fetching(archive_there.address, tmp_path / "store") for _ in range(2)]
    assert sorted(map(finished, processes)) == ["resumed 0", "resumed there"]
    assert sum(line["bytes"] for line in archive_there.asked("RETRIEVE", 2)) == len(DATA)


def test_a_holder_that_is_killed_is_followed_by_one_that_resumes(archive_there: Archive, tmp_path: Path) -> None:
    file = described(archive_there)
    archive_there.faults["RETRIEVE", "f"] = first(1, stall(MIB, 60))
    holder = fetching(archive_there.address, tmp_path / "store")
    assert holder.stdout is not None
    while holder.stdout.readline() != f"{MIB}\n":
        assert holder.poll() is None
    waiter = fetching(archive_there.address, tmp_path / "store")
    time.sleep(0.5)
    holder.kill()
    holder.communicate(timeout=60)
    assert finished(waiter) == f"resumed {MIB}"
    held = Store(tmp_path / "store").held(file)
    assert held is not None
    assert held.path.read_bytes() == DATA
    assert sorted(path.name for path in held.path.parent.iterdir()) == ["content", "record.json"]


def test_a_checksum_in_the_record_is_the_archives(archive_there: Archive, store: Store) -> None:
    file = described(archive_there)
    record = fetched(store, archive_there.client(), file).path.with_name("record.json").read_text()
    assert isinstance(file.checksum, Checksum)
    assert str(file.checksum.value) in record

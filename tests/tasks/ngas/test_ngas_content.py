"""A tree as a tar that is made while it is sent: always the same bytes, whole, and what tar readers understand."""

from __future__ import annotations

import os
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ngas_archive import Archive, some_bytes

from deployments.local.ngas_faults import busy, first
from deployments.local.ngas_handler import Handler
from deployments.local.ngas_index import Index
from tasks.errors import Failed, Missing, Refused
from tasks.ngas import checksum_of, unpack
from tasks.ngas.content import Content, Packed, Source, content_checksum

VIS = "uid___A002_X1_X2.ms"
NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=60)
TREES = st.dictionaries(
    st.lists(NAMES.filter(lambda name: name not in (".", "..", "table.lock")), min_size=1, max_size=3).map(tuple),
    st.sampled_from([0, 1, 511, 512, 513, 5000]),
    min_size=1,
    max_size=6,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A measurement set and its flag versions."""
    for name, size in {
        "table.dat": 700,
        "ANTENNA/table.f0": 512,
        "ANTENNA/table.lock": 30,
        "table.lock": 9,
    }.items():
        path = tmp_path / "calibrated" / VIS / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(some_bytes(size))
    (tmp_path / "calibrated" / f"{VIS}.flagversions").mkdir()
    (tmp_path / "calibrated" / f"{VIS}.flagversions" / "FLAG_VERSION_LIST").write_text("Pipeline_Final : x")
    return tmp_path / "calibrated"


def packed(folder: Path) -> Packed:
    return Packed.of(folder, (VIS, f"{VIS}.flagversions"))


def bytes_of(content: Content) -> bytes:
    return b"".join(stream.read(size) for stream, size in content.parts())


def test_a_tar_holds_all_but_locks_and_says_nothing_of_this_place(folder: Path) -> None:
    with tarfile.open(fileobj=BytesIO(bytes_of(packed(folder)))) as tar:
        assert tar.getnames() == [
            VIS,
            f"{VIS}/ANTENNA",
            f"{VIS}/ANTENNA/table.f0",
            f"{VIS}/table.dat",
            f"{VIS}.flagversions",
            f"{VIS}.flagversions/FLAG_VERSION_LIST",
        ]
        assert {(member.mtime, member.uid, member.gid, member.uname) for member in tar} == {(0, 0, 0, "")}
        assert {member.mode for member in tar} == {0o644, 0o755}
        assert tar.extractfile(f"{VIS}/table.dat").read() == some_bytes(700)  # type: ignore[union-attr]


def test_a_tree_gives_the_same_bytes_whenever_and_by_whomever_it_was_written(folder: Path) -> None:
    before = bytes_of(packed(folder))
    os.utime(folder / VIS / "table.dat", (1, 1))
    (folder / VIS / "ANTENNA").chmod(0o700)
    (folder / VIS / "table.lock").write_text("somebody has it open")
    assert bytes_of(packed(folder)) == before
    (folder / VIS / "table.dat").write_bytes(some_bytes(700, seed=2))
    assert bytes_of(packed(folder)) != before


@settings(max_examples=40, deadline=None)
@given(tree=TREES)
def test_any_tree_comes_back_as_it_was(tree: dict[tuple[str, ...], int]) -> None:
    with tempfile.TemporaryDirectory() as place:
        root = Path(place, "root")
        root.mkdir()
        for parts, size in tree.items():
            path = root.joinpath(*parts)
            if not any(parent.is_file() for parent in path.parents) and not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(some_bytes(size))
        tops = sorted(path.name for path in root.iterdir())
        content = Packed.of(root, tops)
        data = bytes_of(content)
        assert len(data) == content.size
        assert len(data) % tarfile.RECORDSIZE == 0
        with tarfile.open(fileobj=BytesIO(data)) as tar:
            files = {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}  # type: ignore[union-attr]
        assert files == {
            path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()
        }


def test_a_file_larger_than_eight_gigabytes_has_its_size(tmp_path: Path) -> None:
    size = (9 << 30) + 1
    (tmp_path / "table.f0_TSM0").touch()
    os.truncate(tmp_path / "table.f0_TSM0", size)
    content = Packed.of(tmp_path, ["table.f0_TSM0"])
    parts = content.parts()
    header, length = next(parts)
    with tarfile.open(fileobj=BytesIO(header.read(length))) as tar:
        assert tar.next().size == size  # type: ignore[union-attr]
    assert size < content.size < size + 3 * tarfile.RECORDSIZE


def test_what_cannot_be_packed_is_named(folder: Path) -> None:
    with pytest.raises(Missing, match="no such thing"):
        Packed.of(folder, ["another.ms"])
    (folder / VIS / "link").symlink_to("table.dat")
    with pytest.raises(Refused, match="neither a file nor a folder"):
        packed(folder)


def test_a_tree_that_changes_is_noticed(folder: Path) -> None:
    content = packed(folder)
    content.require_unchanged()
    (folder / VIS / "more").touch()
    with pytest.raises(Failed, match="changes meanwhile"):
        content.require_unchanged()


def test_a_tree_is_archived_once_and_unpacked_again(archive_there: Archive, folder: Path, tmp_path: Path) -> None:
    client, content, told = archive_there.client(), packed(folder), list[int]()
    stored = client.archive_content(content, f"{VIS}.tar", on_bytes=told.append)
    assert (stored.version, stored.size, sum(told)) == (1, content.size, content.size)
    assert stored.checksum == content_checksum(content, "crc32")
    client.retrieve(stored, tmp_path / "back.tar")
    assert checksum_of(tmp_path / "back.tar", "crc32") == stored.checksum
    assert unpack(tmp_path / "back.tar", tmp_path / "back") == (VIS, f"{VIS}.flagversions")
    told.clear()
    assert client.archive_content(packed(folder), f"{VIS}.tar", on_bytes=told.append) == stored
    assert sum(told) == 0
    assert len(archive_there.asked("ARCHIVE", 1)) == 1


def test_bytes_that_are_sent_again_count_once(archive_there: Archive, folder: Path) -> None:
    told = list[int]()
    archive_there.faults["ARCHIVE", "a.tar"] = first(2, busy())
    archive_there.client().archive_content(content := packed(folder), "a.tar", on_bytes=told.append)
    assert sum(told) == content.size


def test_a_tree_that_changes_while_it_is_sent_is_not_taken_for_right(archive_there: Archive, folder: Path) -> None:
    def change(_: Handler) -> bool:
        with (folder / VIS / "ANTENNA" / "table.f0").open("r+b") as file:
            file.write(some_bytes(512, seed=3))
        return False

    archive_there.faults["ARCHIVE", "a.tar"] = change
    with pytest.raises(Failed, match="changes meanwhile"):
        archive_there.client().archive_content(packed(folder), "a.tar")


def test_a_tree_of_which_a_file_becomes_shorter_is_not_sent_to_its_end(
    archive_there: Archive, folder: Path
) -> None:
    content = packed(folder)
    (folder / VIS / "table.dat").write_bytes(b"short")
    with pytest.raises(Failed, match="changes meanwhile"):
        archive_there.client().archive_content(content, "a.tar")
    assert Index(archive_there.root).like("a.tar") == []


def test_a_file_is_its_own_content(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(some_bytes(3 << 20))
    source = Source.of(tmp_path / "one")
    assert bytes_of(source) == some_bytes(3 << 20)
    assert content_checksum(source, "crc32c") == checksum_of(tmp_path / "one", "crc32c")

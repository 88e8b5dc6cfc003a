"""Tars: what is good comes out whole, what is hostile or incomplete leaves nothing behind."""

from __future__ import annotations

import gzip
import io
import stat
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ngas_archive import some_bytes

from tasks.errors import Failed, Missing, Refused
from tasks.ngas import unpack

TOP: Final = "uid___A002_X1_X2"
DATA: Final = some_bytes(40_000)


def member(
    name: str, kind: bytes = tarfile.REGTYPE, link: str = "", data: bytes = b""
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, len(data)
    info.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
    return info, data


def write_tar(path: Path, members: Sequence[tuple[tarfile.TarInfo, bytes]], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    return path


ASDM = [
    member(TOP, tarfile.DIRTYPE),
    member(f"{TOP}/ASDM.xml", data=b"<ASDM/>"),
    member(f"{TOP}/ASDMBinary", tarfile.DIRTYPE),
    member(f"{TOP}/ASDMBinary/uid___X1", data=DATA),
    member("README", data=b"simulated"),
]


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_tar_comes_out_whole(tmp_path: Path, mode: str) -> None:
    tar = write_tar(tmp_path / "x.asdm.sdm.tar", ASDM, mode)
    assert unpack(tar, tmp_path / "deep" / "raw") == ("README", TOP)
    assert (tmp_path / "deep" / "raw" / TOP / "ASDMBinary" / "uid___X1").read_bytes() == DATA
    assert (tmp_path / "deep" / "raw" / TOP / "ASDM.xml").read_bytes() == b"<ASDM/>"
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["raw"]


def test_only_what_is_selected(tmp_path: Path) -> None:
    tar = write_tar(tmp_path / "x.tar", ASDM)
    assert unpack(tar, tmp_path / "raw", lambda name: name.endswith(".xml")) == (TOP,)
    assert [path.name for path in (tmp_path / "raw" / TOP).iterdir()] == ["ASDM.xml"]


def test_a_leading_dot_is_no_part_of_a_name(tmp_path: Path) -> None:
    dotted = [member(f"./{info.name}", info.type, data=data) for info, data in ASDM]
    tar = write_tar(tmp_path / "x.tar", [member(".", tarfile.DIRTYPE), *dotted])
    assert unpack(tar, tmp_path / "raw", lambda name: name.startswith(f"{TOP}/ASDM.")) == (TOP,)
    assert [path.name for path in (tmp_path / "raw" / TOP).iterdir()] == ["ASDM.xml"]


def test_links_within_are_kept(tmp_path: Path) -> None:
    members = [
        *ASDM,
        member(f"{TOP}/again", tarfile.LNKTYPE, f"{TOP}/ASDM.xml"),
        member(f"{TOP}/ASDMBinary/up", tarfile.SYMTYPE, "../ASDM.xml"),
        member(f"{TOP}/beside", tarfile.SYMTYPE, "ASDMBinary/uid___X1"),
    ]
    unpack(write_tar(tmp_path / "x.tar", members), tmp_path / "raw")
    assert (tmp_path / "raw" / TOP / "again").read_bytes() == b"<ASDM/>"
    assert (tmp_path / "raw" / TOP / "ASDMBinary" / "up").read_bytes() == b"<ASDM/>"
    assert (tmp_path / "raw" / TOP / "beside").read_bytes() == DATA


def test_dangerous_modes_are_dropped(tmp_path: Path) -> None:
    info, data = member("f", data=b"x")
    info.mode, info.uid, info.gid = 0o6777, 12345, 12345
    unpack(write_tar(tmp_path / "x.tar", [(info, data)]), tmp_path / "out")
    found = (tmp_path / "out" / "f").stat()
    assert stat.S_IMODE(found.st_mode) & 0o7022 == 0
    assert found.st_uid != 12345


HOSTILE = {
    "absolute": [member("/nosuch/evil", data=b"x")],
    "climbing": [member("../evil", data=b"x")],
    "climbing inside": [member("a/../../evil", data=b"x")],
    "climbing that stays": [member("a/../b", data=b"x")],
    "absolute link": [member("a", tarfile.SYMTYPE, "/etc/passwd")],
    "climbing link": [member("a", tarfile.SYMTYPE, "../evil")],
    "climbing link from below": [member("d/a", tarfile.SYMTYPE, "../../evil")],
    "link that comes back up": [member("d/a", tarfile.SYMTYPE, "x/../../../evil")],
    "through a link": [member("a", tarfile.SYMTYPE, "b"), member("a/f", data=b"x")],
    "over a link": [member("a", tarfile.SYMTYPE, "b"), member("./a", data=b"x")],
    "link through a deeper link": [
        member("p/q/r", tarfile.SYMTYPE, "../.."),
        member("a", tarfile.SYMTYPE, "p/q/r/../../evil"),
    ],
    "hard link to outside": [member("a", tarfile.LNKTYPE, "/etc/passwd")],
    "hard link that climbs": [member("a", tarfile.LNKTYPE, "../evil")],
    "hard link to nothing": [member("a", tarfile.LNKTYPE, "nosuch")],
    "hard link to a link": [member("s", tarfile.SYMTYPE, "b"), member("a", tarfile.LNKTYPE, "s")],
    "device": [member("a", tarfile.CHRTYPE)],
    "pipe": [member("a", tarfile.FIFOTYPE)],
}


@pytest.mark.parametrize("members", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("select", [lambda name: True, lambda name: name == "good"], ids=["all", "one"])
def test_what_is_hostile_is_refused_by_name(
    tmp_path: Path, members: list[tuple[tarfile.TarInfo, bytes]], select: Callable[[str], bool]
) -> None:
    tar = write_tar(tmp_path / "x.tar", [member("good", data=b"x"), *members])
    with pytest.raises(Refused, match="member '") as caught:
        unpack(tar, tmp_path / "deep" / "out", select)
    assert repr(members[-1][0].name) in str(caught.value)
    assert not list((tmp_path / "deep").iterdir())
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_tar_that_is_cut_anywhere_fails(tmp_path: Path, mode: str) -> None:
    whole = write_tar(tmp_path / "x.tar", ASDM, mode).read_bytes()
    needed = len(whole) if mode != "w" else len(whole.rstrip(b"\0")) // 512 * 512 + 2 * 512

    @settings(max_examples=30, deadline=None)
    @given(st.integers(0, needed - 1))
    @example(needed - 1)
    @example(0)
    @example(512 * 5)
    def check(cut: int) -> None:
        (tmp_path / "cut.tar").write_bytes(whole[:cut])
        with pytest.raises(Failed, match="damaged"):
            unpack(tmp_path / "cut.tar", tmp_path / "out")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["cut.tar", "x.tar"]

    check()


def test_a_tar_that_is_cut_between_members_fails(tmp_path: Path) -> None:
    whole = write_tar(tmp_path / "x.tar", ASDM).read_bytes()
    (tmp_path / "cut.tar").write_bytes(whole[: 512 * 3])  # two headers and a small file, and nothing after them
    with pytest.raises(Failed, match="without its end mark"):
        unpack(tmp_path / "cut.tar", tmp_path / "out")


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz"])
def test_a_compressed_tar_with_a_flipped_byte_fails(tmp_path: Path, mode: str) -> None:
    content = bytearray(write_tar(tmp_path / "x.tar", ASDM, mode).read_bytes())
    content[len(content) // 2] ^= 0xFF
    (tmp_path / "x.tar").write_bytes(content)
    with pytest.raises(Failed, match="damaged"):
        unpack(tmp_path / "x.tar", tmp_path / "out")


@pytest.mark.parametrize("content", [b"", b"<html>" * 500, gzip.compress(b"no tar", mtime=0)])
def test_what_is_no_tar_fails(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.tar").write_bytes(content)
    with pytest.raises(Failed, match=r"x\.tar"):
        unpack(tmp_path / "x.tar", tmp_path / "out")


def test_an_empty_tar_is_an_empty_folder(tmp_path: Path) -> None:
    assert unpack(write_tar(tmp_path / "x.tar", []), tmp_path / "out") == ()
    assert not list((tmp_path / "out").iterdir())


def test_a_tar_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(Missing, match=r"nosuch\.tar"):
        unpack(tmp_path / "nosuch.tar", tmp_path / "out")


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    tar = write_tar(tmp_path / "x.tar", ASDM)
    unpack(tar, tmp_path / "out")
    with pytest.raises(Refused, match="in use"):
        unpack(tar, tmp_path / "out")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Refused, match="in use"):
        unpack(tar, tmp_path / "file")
    assert (tmp_path / "file").is_file()

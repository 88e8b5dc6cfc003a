"""Checksums: every way in which the archive writes them becomes the one value that is computed here."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import Refused
from tasks.ngas.checksum import Checksum, Kind, Running, checksum_of


@pytest.mark.parametrize(("kind", "value"), [("crc32", 0xCBF43926), ("crc32c", 0xE3069283)])
def test_known_values(kind: Kind, value: int, tmp_path: Path) -> None:
    path = tmp_path / "digits"
    path.write_bytes(b"123456789")
    assert checksum_of(path, kind) == Checksum(kind=kind, value=value)


@given(st.lists(st.binary(max_size=200)), st.sampled_from(["crc32", "crc32c"]))
def test_pieces_make_the_same_checksum_as_the_whole(pieces: list[bytes], kind: Kind) -> None:
    in_pieces, at_once = Running(kind), Running(kind)
    for piece in pieces:
        in_pieces.update(piece)
    at_once.update(b"".join(pieces))
    assert in_pieces.checksum == at_once.checksum
    if kind == "crc32":
        assert at_once.checksum.value == zlib.crc32(b"".join(pieces))


@given(
    st.integers(0, 2**32 - 1), st.sampled_from(["crc32", "crc32z", "ngamsGenCrc32", "ngamsPlugIns.ngamsGenCrc32"])
)
def test_signed_and_unsigned_are_the_same(value: int, plugin: str) -> None:
    signed = value - 2**32 if value >= 2**31 else value
    wanted = Checksum(kind="crc32", value=value)
    assert Checksum.parse(plugin, str(signed)) == Checksum.parse(plugin, f" {value}\n") == wanted
    assert str(wanted) == f"crc32:{value}"


def test_a_signed_value_of_an_old_archive() -> None:
    assert str(Checksum.parse("ngamsGenCrc32", "-1848259250")) == "crc32:2446708046"


@given(st.binary(min_size=1), st.data())
def test_a_flipped_bit_is_seen(data: bytes, draw: st.DataObject) -> None:
    place = draw.draw(st.integers(0, len(data) * 8 - 1))
    flipped = bytearray(data)
    flipped[place // 8] ^= 1 << place % 8
    for kind in ("crc32", "crc32c"):
        right, wrong = Running(kind), Running(kind)
        right.update(data)
        wrong.update(bytes(flipped))
        assert right.checksum != wrong.checksum


@pytest.mark.parametrize(("plugin", "value"), [(None, None), ("None", "None"), ("", ""), ("crc32", "None")])
def test_no_checksum_is_none(plugin: str | None, value: str | None) -> None:
    assert Checksum.parse(plugin, value) is None


def test_an_unknown_plugin_is_refused_by_name() -> None:
    with pytest.raises(Refused, match="ngamsGenMd5"):
        Checksum.parse("ngamsGenMd5", "17")


@pytest.mark.parametrize("value", ["4294967296", "-2147483649", "0x12", "1_0", "12.5", "\u0661"])
def test_what_is_no_32_bit_number_is_refused(value: str) -> None:
    with pytest.raises(Refused, match="32-bit"):
        Checksum.parse("crc32", value)

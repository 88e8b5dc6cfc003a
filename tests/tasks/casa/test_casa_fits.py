"""A FITS file is whole, or it is said why not: wherever it was cut off."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.casa.fits import fault

RECORD = 2880


def hdu(axes: tuple[int, ...], bits: int = -32, opening: str = "SIMPLE", **more: int | str) -> bytes:
    first = {opening: "T" if opening == "SIMPLE" else "'BINTABLE'"}
    shape = {f"NAXIS{number}": length for number, length in enumerate(axes, 1)}
    data = abs(bits) // 8 * prod(axes) if axes else 0
    return header({**first, "BITPIX": bits, "NAXIS": len(axes), **shape, **more}) + filled(b"\x01" * data)


def header(cards: Mapping[str, int | str]) -> bytes:
    lines = [f"{name:8}= {value:>20} / what it is".ljust(80) for name, value in cards.items()]
    lines += ["COMMENT   END of nothing".ljust(80), "END".ljust(80)]
    return "".join(lines).encode().ljust(-(-len(lines) * 80 // RECORD) * RECORD)


def filled(data: bytes) -> bytes:
    return data.ljust(-(-len(data) // RECORD) * RECORD, b"\0")


SHAPES = st.lists(st.integers(0, 12), max_size=3).map(tuple)
BITS = st.sampled_from([8, 16, 32, -32, -64])
PARTS = st.tuples(
    st.builds(hdu, SHAPES, BITS),
    st.lists(st.builds(hdu, SHAPES, BITS, opening=st.just("XTENSION"), NOTE=st.integers(0, 9)), max_size=2),
).map(lambda parts: [parts[0], *parts[1]])


@given(PARTS)
def test_a_whole_file_has_no_fault(tmp_path_factory: pytest.TempPathFactory, parts: list[bytes]) -> None:
    assert said_of(b"".join(parts), tmp_path_factory) is None


@given(PARTS, st.data())
def test_a_file_that_was_cut_off_has_one(
    tmp_path_factory: pytest.TempPathFactory, parts: list[bytes], data: st.DataObject
) -> None:
    content = b"".join(parts)
    boundaries = set(accumulate(map(len, parts)))
    end = data.draw(st.integers(0, len(content) - 1).filter(lambda end: end not in boundaries))
    assert said_of(content[:end], tmp_path_factory)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no FITS file"),
        (b"x" * RECORD, "no FITS file"),
        (b"SIMPLE  = ".ljust(10 * RECORD), "header at byte 0 is cut off"),
        (header({"SIMPLE": "T", "BITPIX": 8}), "no FITS file"),
        (header({"SIMPLE": "T", "BITPIX": "'wide'", "NAXIS": 1, "NAXIS1": 3}), "no FITS file"),
        (hdu((3,)) + b"\0" * RECORD, "header at byte 5760 is cut off"),
        (hdu((3000,), 8)[:-RECORD], "it has 5760 bytes, and its headers promise 8640"),
        (hdu((4,)) + hdu((3, 2), 8, "XTENSION", PCOUNT=5000), "it has 11520 bytes, and its headers promise 14400"),
    ],
)
def test_a_fault_is_said_in_words(tmp_path_factory: pytest.TempPathFactory, content: bytes, said: str) -> None:
    assert said in (said_of(content, tmp_path_factory) or "")


def said_of(content: bytes, factory: pytest.TempPathFactory) -> str | None:
    path = factory.getbasetemp() / "image.fits"
    path.write_bytes(content)
    return fault(path)

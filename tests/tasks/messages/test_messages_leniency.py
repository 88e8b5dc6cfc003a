"""Properties of messages: read as ever where that can be done, and no reason to hang up where not."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from tasks.messages.leniency import UNREADABLE, bear_any_properties

_TIMESTAMP, _MESSAGE_ID, _HEADERS = 1 << 6, 1 << 7, 1 << 13


@pytest.fixture(autouse=True, scope="module")
def lenient() -> Iterator[None]:
    before = ContentHeader.unmarshal
    bear_any_properties()
    yield
    ContentHeader.unmarshal = before  # type: ignore[method-assign]


def read(properties: bytes) -> ContentHeader:
    header = ContentHeader()
    header.unmarshal(struct.pack(">HHQ", 60, 0, 7) + properties)
    return header


def test_what_can_be_read_is_read() -> None:
    time = datetime(2026, 1, 2, tzinfo=UTC)
    given = Basic.Properties(message_id="m", timestamp=time, headers={"a": 1, "b": [True, {"c": "d"}]})
    found = read(ContentHeader(0, 7, given).marshal()[12:]).properties
    assert (found.message_id, found.timestamp, found.headers) == ("m", time, given.headers)


@pytest.mark.parametrize(
    "properties",
    [
        struct.pack(">HQ", _TIMESTAMP, 2**63),
        struct.pack(">HB", _MESSAGE_ID, 2) + b"\xff\xfe",
        struct.pack(">HI", _HEADERS, 5) + b"\x01ay??",
        b"",
    ],
    ids=["a time that is none", "a name that is no text", "a header of no type", "nothing at all"],
)
def test_what_cannot_be_read_is_told_in_a_header(properties: bytes) -> None:
    found = read(properties)
    assert found.body_size == 7
    assert found.properties.headers
    assert found.properties.headers[UNREADABLE]


@given(st.binary(max_size=200))
def test_nothing_that_somebody_sends_breaks_it(properties: bytes) -> None:
    assert read(properties).body_size == 7

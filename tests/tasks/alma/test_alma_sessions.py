"""Sessions keep the numbers that the pipeline gave them."""

from __future__ import annotations

from xml.sax.saxutils import escape

import pytest
from alma_observatory import BLOCKS, MOUS, STATUS_XML
from hypothesis import given
from hypothesis import strategies as st

from tasks.alma import EntityId
from tasks.alma.sessions import read_sessions
from tasks.errors import Refused

_BLOCK = st.from_regex(r"uid://A002/X[0-9a-f]{1,6}/X[0-9a-f]{1,4}", fullmatch=True).map(EntityId)
_END = st.sampled_from(
    [None, "", "NULL", "End time not known yet.", "2017-07-21T07:00:00", "2017-07-21 07:00:00.123"]
)
_SESSIONS = st.lists(st.tuples(st.lists(_BLOCK, max_size=4, unique=True), _END), max_size=12)
_KNOWN = {"2017-07-21T07:00:00", "2017-07-21 07:00:00.123"}


def _document(sessions: list[tuple[list[EntityId], str | None]], prefix: str, namespace: str) -> str:
    p = f"{prefix}:" if prefix else ""
    declared = f' xmlns{":" + prefix if prefix else ""}="{namespace}"' if namespace else ""
    body = ""
    for blocks, end in sessions:
        refs = "".join(f"<{p}ExecBlockRef><{p}ExecBlockId>{b}</{p}ExecBlockId></{p}ExecBlockRef>" for b in blocks)
        stop = "" if end is None else f"<{p}EndTime>{escape(end)}</{p}EndTime>"
        body += f"<{p}Session>{stop}{refs}</{p}Session>"
    return f"<{p}OUSStatus{declared}>{body}</{p}OUSStatus>"


@given(_SESSIONS, st.sampled_from([("", ""), ("", "Alma/Scheduling/OUSStatus"), ("oss", "urn:any")]))
def test_order_emptiness_and_unknown_stops_are_kept(
    sessions: list[tuple[list[EntityId], str | None]], names: tuple[str, str]
) -> None:
    found = read_sessions(_document(sessions, *names), MOUS)

    assert [session.number for session in found] == list(range(1, len(sessions) + 1))
    assert [list(session.execution_blocks) for session in found] == [blocks for blocks, _ in sessions]
    assert [session.end for session in found] == [end if end in _KNOWN else None for _, end in sessions]


def test_the_seed_observation_has_four_sessions_of_which_one_is_empty() -> None:
    found = read_sessions(STATUS_XML, MOUS)

    assert [session.execution_blocks for session in found] == [BLOCKS[:2], (), BLOCKS[2:3], BLOCKS[3:]]
    assert [session.end for session in found] == ["2017-07-21T07:00:00", None, None, None]
    assert found[2].start == "2017-07-23 05:00:00.000"


@pytest.mark.parametrize("document", [None, "", "  \n", b""])
def test_no_document_has_no_sessions(document: str | bytes | None) -> None:
    assert read_sessions(document, MOUS) == ()


def test_bytes_with_an_encoding_and_a_comment_in_a_leaf_are_read() -> None:
    text = (
        f"<?xml version='1.0' encoding='ISO-8859-1'?><S><Session><ExecBlockId><!-- é -->{BLOCKS[0]}</ExecBlockId>"
    )
    document = f"\n{text}</Session></S>".encode("latin-1")

    assert read_sessions(document, MOUS)[0].execution_blocks == BLOCKS[:1]


def test_a_block_named_twice_in_a_session_counts_once() -> None:
    found = read_sessions(_document([([BLOCKS[0], BLOCKS[0]], None)], "", ""), MOUS)

    assert found[0].execution_blocks == BLOCKS[:1]


@pytest.mark.parametrize(
    "document",
    [
        "<OUSStatus>",
        "not xml",
        "<S><Session><ExecBlockId>junk</ExecBlockId></Session></S>",
        '<!DOCTYPE S [<!ENTITY e SYSTEM "file:///etc/hostname">]><S><Session>&e;</Session></S>',
        '<!DOCTYPE S [<!ENTITY a "x"><!ENTITY b "&a;&a;&a;">]><S><Session>&b;</Session></S>',
    ],
)
def test_a_document_that_cannot_be_trusted_is_refused(document: str) -> None:
    with pytest.raises(Refused):
        read_sessions(document, MOUS)


def test_the_refusal_names_whose_document_it_is() -> None:
    with pytest.raises(Refused, match=MOUS):
        read_sessions("<OUSStatus>", MOUS)

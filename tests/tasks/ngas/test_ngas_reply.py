"""What NGAS answers, read into values: status documents and listings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.local.ngas_documents import listing
from tasks.errors import Refused
from tasks.ngas.checksum import Checksum
from tasks.ngas.reply import FileEntry, excerpt, read_listing, read_reply

FAILURE = b"""<?xml version="1.0" ?>
<!DOCTYPE NgamsStatus SYSTEM "http://127.0.0.1:9/RETRIEVE?internal=ngamsStatus.dtd">
<NgamsStatus><Status Date="2024-01-01T00:00:00" Version="12.0/x" HostId="vm:17777"
 Message="NGAMS_ER_UNAVAIL_FILE:4019:ERROR: File with ID: nosuch appears not to be available."
 Status="FAILURE" State="ONLINE" SubState="IDLE"/></NgamsStatus>"""

COLUMNS = ("disk_id", "file_id", "file_version", "file_size", "checksum", "checksum_plugin", "file_status")


def test_the_code_sits_inside_the_message() -> None:
    reply = read_reply(FAILURE, "it")
    assert (reply.succeeded, reply.code, reply.error) == (False, 4019, "NGAMS_ER_UNAVAIL_FILE")
    assert not reply.files


def test_a_message_without_a_code_has_none() -> None:
    reply = read_reply(b'<NgamsStatus><Status Status="FAILURE" Message="at 12:30: no"/></NgamsStatus>', "it")
    assert (reply.code, reply.error, reply.message) == (None, "", "at 12:30: no")


def test_a_bad_file_is_reported_with_success_and_a_code() -> None:
    document = FAILURE.replace(b"FAILURE", b"SUCCESS").replace(
        b"NGAMS_ER_UNAVAIL_FILE:4019", b"NGAMS_ER_FILE_NOK:4057"
    )
    reply = read_reply(document, "it")
    assert (reply.succeeded, reply.code) == (True, 4057)


@pytest.mark.parametrize(
    "document",
    [
        b"<html><body>busy</body></html>",
        b"not xml",
        b"",
        b'<!DOCTYPE NgamsStatus [<!ENTITY x "y">]><NgamsStatus><Status Message="&x;"/></NgamsStatus>',
    ],
)
def test_what_is_no_status_document_is_refused(document: bytes) -> None:
    with pytest.raises(Refused, match="the answer"):
        read_reply(document, "the answer")


def test_a_document_without_a_status_is_no_success() -> None:
    assert not read_reply(b"<NgamsStatus/>", "it").succeeded


@pytest.mark.parametrize("size", ["", "-1", "1e3", "\u0661", "9" * 6000])
def test_a_size_that_is_none_is_refused(size: str) -> None:
    entry = f'<FileStatus FileId="a" FileVersion="1" FileSize="{size}"/>'
    with pytest.raises(Refused, match="file_size"):
        read_reply(f"<NgamsStatus><DiskStatus>{entry}</DiskStatus></NgamsStatus>".encode(), "it")


@pytest.mark.parametrize("version", ["0", "-1", "9" * 6000])
def test_a_version_that_is_none_is_refused(version: str) -> None:
    body = f'[{{"file_id": "a", "file_version": "{version}", "file_size": 1}}]'
    with pytest.raises(Refused, match="file_version"):
        read_listing(body.encode(), "a", "it")


IDS = st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=1) | st.just("a name with blanks")
ENTRIES = st.builds(
    FileEntry,
    IDS,
    st.integers(1, 99),
    st.integers(0, 2**50),
    st.none() | st.builds(Checksum, kind=st.sampled_from(["crc32", "crc32c"]), value=st.integers(0, 2**32 - 1)),
)


@given(st.lists(ENTRIES, min_size=1, max_size=5), st.sampled_from(["json", "list", "text"]))
def test_listings_are_read_back(entries: list[FileEntry], form: str) -> None:
    rows = [
        ("d", each.file_id, each.version, each.size, *_checksum_columns(each.checksum), "00") for each in entries
    ]
    wanted = tuple(each for each in entries if each.file_id == entries[0].file_id)
    assert read_listing(listing(COLUMNS, rows, form).body, entries[0].file_id, "it") == wanted


def _checksum_columns(checksum: Checksum | None) -> tuple[str, str]:
    return (str(checksum.value), checksum.kind) if checksum else ("None", "None")


def test_a_database_with_decimals() -> None:
    body = b'[{"file_id": "a", "file_version": 2.0, "file_size": 30000000000.0, "checksum": null}]'
    assert read_listing(body, "a", "it") == (FileEntry("a", 2, 30_000_000_000, None),)


def test_other_files_that_the_pattern_fits_are_not_read() -> None:
    body = b'[{"file_id": "aXb", "file_version": "?", "checksum_plugin": "unheard of"}]'
    assert read_listing(body, "a_b", "it") == ()


@pytest.mark.parametrize(
    "body", [b"[('disk', 'a', 1)]", b"", b"<html/>", b"[1]", b"[" * 100_000, b"----\nfile_id\n", b"{}"]
)
def test_what_is_no_listing_is_refused(body: bytes) -> None:
    with pytest.raises(Refused, match="QUERY"):
        read_listing(body, "a", "QUERY")


def test_an_excerpt_is_one_short_printable_line() -> None:
    assert excerpt(b"a\n\n b\x1b[31m\xff") == "a b?[31m\ufffd"
    assert len(excerpt(b"x" * 1000)) == 203

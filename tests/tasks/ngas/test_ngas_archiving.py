"""Putting files into the archive: once, whole, under the right name, whatever becomes of a request."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest
from ngas_archive import MIB, Archive, some_bytes
from ngas_raw import Raw, answering

from deployments.local.ngas_commands import carry_out
from deployments.local.ngas_faults import answer, busy, first
from deployments.local.ngas_handler import Handler
from deployments.local.ngas_index import Index
from deployments.local.ngas_server import serving
from tasks.errors import Failed, Missing, Refused, Transient
from tasks.ngas import NgasClient, Patience, checksum_of

DATA = some_bytes(3 * MIB + 17)
FAILURE = b'<NgamsStatus><Status Status="FAILURE" Message="%s"/></NgamsStatus>'


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "product.fits"
    path.write_bytes(DATA)
    return path


def versions(there: Archive, file_id: str) -> list[int]:
    return sorted(entry.file_version for entry in Index(there.root).like(file_id))


def lost(handler: Handler) -> bool:
    """Archive the file, and close the connection without an answer."""
    handler.answer = lambda *_: None  # type: ignore[method-assign]
    carry_out(handler)
    return True


def test_a_file_is_archived_and_comes_back_right(archive_there: Archive, source: Path, tmp_path: Path) -> None:
    client = archive_there.client()
    stored = client.archive(source)
    assert (stored.file_id, stored.version, stored.size) == ("product.fits", 1, len(DATA))
    assert stored.checksum == checksum_of(source, "crc32")
    assert stored == client.describe("product.fits")
    client.retrieve(stored, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == DATA


@pytest.mark.parametrize(("quick", "command"), [(False, "ARCHIVE"), (True, "QARCHIVE")])
def test_what_is_sent(archive_there: Archive, source: Path, quick: bool, command: str) -> None:
    seen: dict[str, Any] = {}

    def look(handler: Handler) -> bool:
        seen.update(handler.parameters, **handler.headers)
        return False

    archive_there.faults[command, "other.xml"] = look
    stored = archive_there.client().archive(source, file_id="other.xml", media_type="text/xml", quick=quick)
    assert stored.file_id == "other.xml"
    assert (seen["filename"], seen["mime_type"], seen["Content-Type"]) == ("other.xml", "text/xml", "text/xml")
    assert (seen["Content-Length"], seen["NGAS-File-CRC"]) == (
        str(len(DATA)),
        str(checksum_of(source, "crc32").value),
    )


def test_what_is_there_already_is_not_sent_again(archive_there: Archive, source: Path) -> None:
    client = archive_there.client()
    assert [client.archive(source).version for _ in range(2)] == [1, 1]
    assert len(archive_there.asked("ARCHIVE", 1)) == 1
    source.write_bytes(DATA[::-1])
    assert client.archive(source).version == 2


@pytest.mark.parametrize("plugin", ["crc32", "crc32z", "ngamsGenCrc32", "crc32c"])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("content", [b"3", b"1"], ids=["small numbers", "negative numbers"])
def test_an_archive_with_checksums_of_its_own_kind(
    tmp_path: Path, source: Path, plugin: Any, signed: bool, content: bytes
) -> None:
    there = Archive(tmp_path / "archive")
    source.write_bytes(content)
    with serving(there.root, plugin=plugin, signed=signed) as there.address:
        client = there.client()
        assert [client.archive(source).version for _ in range(2)] == [1, 1]
        assert client.describe(source.name).checksum == checksum_of(
            source, "crc32c" if plugin == "crc32c" else "crc32"
        )


def test_an_archive_without_checksums_is_told_of(
    tmp_path: Path, source: Path, caplog: pytest.LogCaptureFixture
) -> None:
    there = Archive(tmp_path / "archive")
    with serving(there.root, plugin="None") as there.address:
        assert there.client().archive(source).checksum is None
    assert "only its size could be compared" in caplog.text


@pytest.mark.parametrize("plugin", ["crc32", "None"])
def test_an_answer_that_is_lost_does_not_archive_it_twice(tmp_path: Path, source: Path, plugin: Any) -> None:
    there = Archive(tmp_path / "archive")
    with serving(there.root, plugin=plugin, faults=there.faults) as there.address:
        there.put(source.name, b"an older version", plugin=plugin)
        there.faults["ARCHIVE", source.name] = first(1, lost)
        assert there.client().archive(source).version == 2
        assert versions(there, source.name) == [1, 2]
        assert len(there.asked("ARCHIVE", 1)) == 1


def test_a_server_that_broke_off_is_asked_before_another_is_sent_it(tmp_path: Path, source: Path) -> None:
    there = Archive(tmp_path / "archive")
    with serving(there.root) as other, serving(there.root, faults=there.faults) as there.address:
        first_one, second = sorted((there.address, other), key=lambda server: server != there.address)
        there.faults["ARCHIVE", source.name] = first(1, lost)
        for _ in range(2):
            there.client(first_one, second).archive(source)
        assert versions(there, source.name) == [1]


@pytest.mark.parametrize("fault", [busy(), answer(500, b"no")], ids=["busy", "broken"])
def test_a_busy_server_is_tried_again(archive_there: Archive, source: Path, fault: Any) -> None:
    archive_there.faults["ARCHIVE", source.name] = first(2, fault)
    assert archive_there.client().archive(source).version == 1
    assert len(archive_there.pauses) == 2


def test_a_server_that_does_not_know_the_type_gets_just_bytes(archive_there: Archive, source: Path) -> None:
    path = source.rename(source.with_name("product.tar"))

    def choose(handler: Handler) -> bool:
        if handler.parameters["mime_type"] == "application/octet-stream":
            return False
        return answer(400, FAILURE % b"NGAMS_ER_UNKNOWN_MIME_TYPE1:4018:ERROR: x")(handler)

    archive_there.faults["ARCHIVE", "product.tar"] = choose
    assert archive_there.client().archive(path).version == 1
    with pytest.raises(Refused, match="UNKNOWN_MIME_TYPE"):
        archive_there.client().archive(source_of(path, b"other"), media_type="application/x-tar")


def source_of(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_a_refusal_is_final(archive_there: Archive, source: Path) -> None:
    archive_there.faults["ARCHIVE", source.name] = answer(403, b"not you")
    with pytest.raises(Refused, match="not you"):
        archive_there.client().archive(source)
    assert len(archive_there.asked("ARCHIVE", 1)) == 1


def test_a_file_that_is_kept_for_later_is_waited_for_and_not_sent_again(
    archive_there: Archive, source: Path
) -> None:
    kept = FAILURE % b"NGAMS_WA_BUF_DATA:4022:WARNING: back-log buffered"
    archive_there.faults["ARCHIVE", source.name] = answer(400, kept)
    with pytest.raises(Transient, match="will archive it later"):
        archive_there.client().archive(source)
    assert len(archive_there.asked("ARCHIVE", 1)) == 1

    def archived_meanwhile(seconds: float) -> None:
        archive_there.put(source.name, DATA)

    patience = Patience(rounds=3, sleep=archived_meanwhile)
    assert archive_there.client(patience=patience).archive(source).version == 1


def test_what_the_archive_has_in_the_end_is_compared(archive_there: Archive, source: Path) -> None:
    def takes_another(handler: Handler) -> bool:
        archive_there.put(source.name, DATA[:-1])
        handler.rfile.read(len(DATA))
        return answer(200, b'<NgamsStatus><Status Status="SUCCESS" Message="ok"/></NgamsStatus>')(handler)

    archive_there.faults["ARCHIVE", source.name] = takes_another
    with pytest.raises(Failed, match=f"{len(DATA) - 1} bytes.*sent were {len(DATA)}"):
        archive_there.client().archive(source)


def test_a_success_that_is_none(archive_there: Archive, source: Path) -> None:
    archive_there.faults["ARCHIVE", source.name] = answer(200, b"<html>thank you</html>")
    with pytest.raises(Failed, match="thank you"):
        archive_there.client().archive(source)


def test_a_file_that_changes_meanwhile(archive_there: Archive, source: Path) -> None:
    def change(handler: Handler) -> bool:
        os.utime(source, ns=(1, 1))
        return False

    archive_there.faults["ARCHIVE", source.name] = change
    with pytest.raises(Failed, match="it changes meanwhile"):
        archive_there.client().archive(source)


def test_damage_on_the_way_is_seen(archive_there: Archive, source: Path) -> None:
    def damaged(handler: Handler) -> bool:
        return answer(400, FAILURE % b"Checksum error for file, local crc = 1, but remote crc = 2")(handler)

    archive_there.faults["ARCHIVE", source.name] = first(2, damaged)
    assert archive_there.client().archive(source).version == 1
    archive_there.faults["ARCHIVE", "other"] = damaged
    with pytest.raises(Failed, match="came there damaged"):
        archive_there.client().archive(source, file_id="other")


@pytest.mark.parametrize(
    "file_id", ["", ".", "..", "a/b", "uid://A002/X1", "/", "a\nb", "a\0b", " a", "a\u2028b", "\udc80"]
)
def test_a_name_that_would_not_stay_what_it_is(source: Path, dead_server: str, file_id: str) -> None:
    with pytest.raises(Refused, match="a name in the archive"):
        NgasClient([dead_server]).archive(source, file_id=file_id)


@pytest.mark.parametrize("file_id", ["a b", "a&b=c", "100%", "\u00e4.fits", "a+b?c#d", "'; --"])
def test_a_name_that_stays_what_it_is(archive_there: Archive, source: Path, file_id: str) -> None:
    client = archive_there.client()
    assert client.archive(source, file_id=file_id).file_id == file_id
    assert client.describe(file_id).size == len(DATA)


@pytest.mark.parametrize("media_type", ["fits", "image/fits\r\nX: y", "image/\u2603", "a" * 300 + "/b"])
def test_a_media_type_that_is_none(source: Path, dead_server: str, media_type: str) -> None:
    with pytest.raises(Refused, match="is no media type"):
        NgasClient([dead_server]).archive(source, media_type=media_type)


def test_what_cannot_be_archived(tmp_path: Path, dead_server: str) -> None:
    client, empty = NgasClient([dead_server]), tmp_path / "empty"
    empty.touch()
    for path, kind in ((empty, Refused), (tmp_path, Refused), (tmp_path / "none", Missing)):
        with pytest.raises(kind, match="cannot be archived"):
            client.archive(path)


@pytest.mark.parametrize("status", [303, 307, 308])
def test_a_redirect_is_followed_with_all_of_the_file(tmp_path: Path, source: Path, status: int) -> None:
    there = Archive(tmp_path / "archive")
    with serving(there.root) as other, serving(there.root, faults=there.faults) as there.address:

        def onward(handler: Handler) -> bool:
            handler.rfile.read(len(DATA))
            location = f"http://{other}{handler.path}"
            return answer(status, headers={"Location": location})(handler)

        there.faults["ARCHIVE", source.name] = onward
        assert there.client().archive(source).checksum == checksum_of(source, "crc32")
        assert versions(there, source.name) == [1]


def test_a_refusal_before_the_whole_file_is_sent_is_read(tmp_path: Path) -> None:
    big = tmp_path / "big"
    with big.open("wb") as stream:
        stream.truncate(32 * MIB)
    with answering(refuse_early) as raw, pytest.raises(Refused, match="no room"):
        Archive(tmp_path, raw.address).client().archive(big)


def refuse_early(raw: Raw, connection: socket.socket) -> None:
    if raw.heads[-1].startswith("POST"):
        body = FAILURE % b"no room"
        connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n" + body)
        raw.over.wait(0.2)
        connection.close()
    else:
        unknown = FAILURE % b"NGAMS_ER_UNAVAIL_FILE:4019:ERROR: x"
        connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n" + unknown)


def test_a_server_that_reads_a_large_file_again_before_it_answers_is_waited_for(tmp_path: Path) -> None:
    big = tmp_path / "big"
    with big.open("wb") as stream:
        stream.truncate(100 * MIB)
    with answering(think_first) as raw:
        Archive(tmp_path, raw.address).client(timeout=0.3, patience=Patience(rounds=1)).archive(big)
        assert sum(head.startswith("POST") for head in raw.heads) == 1


def think_first(raw: Raw, connection: socket.socket) -> None:
    if not raw.heads[-1].startswith("POST"):
        return refuse_early(raw, connection)
    left = 100 * MIB - len(raw.heads[-1].partition("\r\n\r\n")[2])
    while left and (data := connection.recv(MIB)):
        left -= len(data)
    raw.over.wait(1)
    status = b'<Status Status="SUCCESS" Message="it is done"/>'
    file = f'<FileStatus FileId="big" FileVersion="1" FileSize="{100 * MIB}"/>'.encode()
    connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n<NgamsStatus>%s%s</NgamsStatus>" % (status, file))
    return None


def test_a_server_that_takes_nothing_is_left_in_time(tmp_path: Path) -> None:
    big = tmp_path / "big"
    with big.open("wb") as stream:
        stream.truncate(32 * MIB)
    with answering(take_nothing) as raw, pytest.raises(Transient, match="time-out"):
        Archive(tmp_path, raw.address).client(timeout=0.3, patience=Patience(rounds=1)).archive(big)


def take_nothing(raw: Raw, connection: socket.socket) -> None:
    if raw.heads[-1].startswith("POST"):
        raw.over.wait()
    else:
        refuse_early(raw, connection)

"""Describing and retrieving from an archive that is well: sizes, versions, checksums, resuming, logins."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from ngas_archive import MIB, Archive, some_bytes

from deployments.local.ngas_faults import answer, cut, unavailable
from deployments.local.ngas_index import Plugin
from deployments.local.ngas_server import serving
from tasks.errors import Failed, Missing, Refused, Transient
from tasks.ngas import NgasClient, Patience, StoredFile
from tasks.ngas.partial import partial_of

DATA = some_bytes(3 * MIB + 17)


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith(".ngas"))


def test_a_file_is_described_and_comes_right(archive_there: Archive, tmp_path: Path) -> None:
    archive_there.put("uid___A002_X1_X2.asdm.sdm.tar", DATA)
    client, counts = archive_there.client(), list[int]()
    file = client.describe("uid___A002_X1_X2.asdm.sdm.tar", expected_size=len(DATA))
    transfer = client.retrieve(file, tmp_path / "deep" / "x.tar", counts.append)
    assert (file.version, file.size, file.server) == (1, len(DATA), archive_there.address)
    assert (tmp_path / "deep" / "x.tar").read_bytes() == DATA
    assert sum(counts) == len(DATA)
    assert (transfer.checksum, transfer.attempts, transfer.resumed_from) == (str(file.checksum), 1, 0)
    assert transfer.server == archive_there.address
    assert not leftovers(tmp_path / "deep")
    assert not [line for line in archive_there.asked("RETRIEVE", 1) if not line["file_id"]]  # the DOCTYPE's URL


@pytest.mark.parametrize(
    ("plugin", "signed", "kind"),
    [
        ("crc32", False, "crc32"),
        ("ngamsGenCrc32", True, "crc32"),
        ("crc32z", True, "crc32"),
        ("crc32c", False, "crc32c"),
    ],
)
def test_every_kind_of_checksum(
    archive_there: Archive, tmp_path: Path, plugin: Plugin, signed: bool, kind: str
) -> None:
    entries = [archive_there.put(f"f{i}", some_bytes(1000, i), plugin=plugin, signed=signed) for i in range(8)]
    assert not signed or any(entry.checksum.startswith("-") for entry in entries)
    client = archive_there.client()
    for i in range(8):
        transfer = client.retrieve(client.describe(f"f{i}"), tmp_path / "f")
        assert str(transfer.checksum).startswith(f"{kind}:")
        assert (tmp_path / "f").read_bytes() == some_bytes(1000, i)


def test_without_a_checksum_only_the_size_is_checked_and_it_says_so(
    archive_there: Archive, tmp_path: Path
) -> None:
    archive_there.put("plain", b"abc", plugin="None")
    client = archive_there.client()
    file = client.describe("plain")
    assert file.checksum is None
    assert client.retrieve(file, tmp_path / "plain").checksum is None


def test_an_empty_file(archive_there: Archive, tmp_path: Path) -> None:
    archive_there.put("empty", b"")
    client = archive_there.client()
    assert client.retrieve(client.describe("empty"), tmp_path / "empty").attempts == 1
    assert (tmp_path / "empty").read_bytes() == b""


def test_versions(archive_there: Archive, tmp_path: Path) -> None:
    archive_there.put("f", b"one")
    archive_there.put("f", b"second")
    client = archive_there.client()
    assert [client.describe("f", version).version for version in (None, 1, 2)] == [2, 1, 2]
    client.retrieve(client.describe("f", 1), tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == b"one"
    with pytest.raises(Missing, match="f version 3"):
        client.describe("f", 3)


def test_an_unknown_file_is_missing_at_once(archive_there: Archive) -> None:
    with pytest.raises(Missing, match="nosuch") as caught:
        archive_there.client().describe("nosuch")
    assert archive_there.address in str(caught.value)
    assert not archive_there.pauses


def test_a_file_is_described_by_query_when_status_does_not(archive_there: Archive) -> None:
    archive_there.put("a_b", DATA, plugin="crc32c")
    archive_there.put("aXb", b"the pattern of a_b fits this too")
    archive_there.faults["STATUS", "a_b"] = unavailable()
    file = archive_there.client().describe("a_b")
    assert (file.size, file.checksum and file.checksum.kind) == (len(DATA), "crc32c")


def test_an_archive_that_answers_queries_in_tables_only(archive_there: Archive) -> None:
    archive_there.put("f", DATA)
    archive_there.faults["STATUS", "f"] = unavailable()
    refuse = answer(400, b"no such format")
    archive_there.faults["QUERY", "f"] = lambda handler: handler.parameters["format"] == "json" and refuse(handler)
    assert archive_there.client().describe("f").size == len(DATA)


def test_an_older_server_that_says_that_its_disk_is_gone(archive_there: Archive, tmp_path: Path) -> None:
    archive_there.put("f", DATA)
    file = archive_there.client().describe("f")
    said = b'<NgamsStatus><Status Status="FAILURE" Message="[Errno 2] No such file: /volume1/f"/></NgamsStatus>'
    archive_there.faults["RETRIEVE", "f"] = answer(400, said)
    with pytest.raises(Transient, match="cannot read or write its disk"):
        archive_there.client().retrieve(file, tmp_path / "f")


def test_where_queries_are_not_answered_what_status_said_stands(archive_there: Archive) -> None:
    archive_there.faults["QUERY", "nosuch"] = answer(404)
    with pytest.raises(Missing, match="4019"):
        archive_there.client().describe("nosuch")


def test_the_size_that_the_database_expects(archive_there: Archive, tmp_path: Path) -> None:
    archive_there.put("f", b"abc")
    client = archive_there.client()
    file = client.describe("f")
    with pytest.raises(Failed, match=r"3 bytes .* 4 were expected"):
        client.describe("f", expected_size=4)
    with pytest.raises(Failed, match=r"3 bytes .* 4 were expected"):
        client.retrieve(file, tmp_path / "f", expected_size=4)
    assert not archive_there.asked("RETRIEVE", 0)


def interrupted(there: Archive, destination: Path, after: int = 2 * MIB) -> StoredFile:
    """Put a file in and begin to fetch it, until the server breaks off."""
    there.put("f", DATA)
    file = there.client().describe("f")
    there.faults["RETRIEVE", "f"] = cut(after)
    with pytest.raises(Transient, match="broke off"):
        there.client(patience=Patience(rounds=1)).retrieve(file, destination)
    there.faults.clear()
    return file


def test_a_later_run_resumes_what_an_earlier_one_left(archive_there: Archive, tmp_path: Path) -> None:
    file = interrupted(archive_there, tmp_path / "f")
    assert not (tmp_path / "f").exists()
    counts: list[int] = []
    transfer = archive_there.client().retrieve(file, tmp_path / "f", counts.append)
    assert (tmp_path / "f").read_bytes() == DATA
    assert (transfer.resumed_from, transfer.attempts) == (2 * MIB, 1)
    assert sum(counts) == len(DATA)
    assert archive_there.asked("RETRIEVE", 2)[-1]["range"] == f"bytes={2 * MIB}-"
    assert not leftovers(tmp_path)


def test_a_resume_that_is_answered_as_http_means_it(archive_there: Archive, tmp_path: Path) -> None:
    file = interrupted(archive_there, tmp_path / "f")
    rest = {"Content-Range": f"bytes {2 * MIB}-{len(DATA) - 1}/{len(DATA)}"}
    archive_there.faults["RETRIEVE", "f"] = answer(206, DATA[2 * MIB :], rest)
    assert archive_there.client().retrieve(file, tmp_path / "f").resumed_from == 2 * MIB
    assert (tmp_path / "f").read_bytes() == DATA


@pytest.mark.parametrize("start", ["1", "9" * 6000])
def test_a_part_that_was_not_asked_for(archive_there: Archive, tmp_path: Path, start: str) -> None:
    archive_there.put("f", DATA)
    file = archive_there.client().describe("f")
    other = {"Content-Range": f"bytes {start}-{len(DATA) - 1}/{len(DATA)}"}
    archive_there.faults["RETRIEVE", "f"] = answer(206, DATA[1:], other)
    with pytest.raises(Failed, match="it sent others"):
        archive_there.client().retrieve(file, tmp_path / "f")


def test_what_was_left_is_hashed_again(archive_there: Archive, tmp_path: Path) -> None:
    file = interrupted(archive_there, tmp_path / "f")
    (left,) = tmp_path.glob(".ngas-*.part")
    left.write_bytes(bytes(left.stat().st_size))
    counts: list[int] = []
    transfer = archive_there.client().retrieve(file, tmp_path / "f", counts.append)
    assert (tmp_path / "f").read_bytes() == DATA
    assert (transfer.resumed_from, transfer.attempts) == (0, 2)
    assert sum(counts) == len(DATA)


def test_what_was_left_whole_is_not_fetched_again(archive_there: Archive, tmp_path: Path) -> None:
    file = interrupted(archive_there, tmp_path / "f")
    (left,) = tmp_path.glob(".ngas-*.part")
    left.write_bytes(DATA)
    transfer = archive_there.client("127.0.0.1:1").retrieve(file, tmp_path / "f")
    assert (transfer.attempts, transfer.resumed_from) == (0, len(DATA))
    assert (tmp_path / "f").read_bytes() == DATA


@pytest.mark.parametrize("left_bytes", [bytes(len(DATA)), bytes(len(DATA) + 1)])
def test_what_was_left_whole_and_wrong_is_fetched_again(
    archive_there: Archive, tmp_path: Path, left_bytes: bytes
) -> None:
    file = interrupted(archive_there, tmp_path / "f")
    (left,) = tmp_path.glob(".ngas-*.part")
    left.write_bytes(left_bytes)
    assert archive_there.client().retrieve(file, tmp_path / "f").resumed_from == 0
    assert (tmp_path / "f").read_bytes() == DATA


def test_what_was_left_without_a_checksum_is_not_trusted(archive_there: Archive, tmp_path: Path) -> None:
    archive_there.put("plain", DATA, plugin="None")
    file = archive_there.client().describe("plain")
    archive_there.faults["RETRIEVE", "plain"] = cut(MIB)
    with pytest.raises(Transient):
        archive_there.client(patience=Patience(rounds=1)).retrieve(file, tmp_path / "f")
    archive_there.faults.clear()
    assert archive_there.client().retrieve(file, tmp_path / "f").resumed_from == 0
    assert archive_there.asked("RETRIEVE", 2)[-1]["bytes"] == len(DATA)


def test_two_into_one_folder_do_not_mix(archive_there: Archive, tmp_path: Path) -> None:
    file = interrupted(archive_there, tmp_path / "f")
    with partial_of(file, tmp_path / "f", lambda count: None), pytest.raises(Transient, match="somebody else"):
        archive_there.client().retrieve(file, tmp_path / "f")


def test_a_login(tmp_path: Path) -> None:
    there = Archive(tmp_path / "archive")
    there.put("f", b"abc")
    with serving(there.root, login=("alma", "s3cret")) as there.address:
        client = there.client(username="alma", password="s3cret")
        client.retrieve(client.describe("f"), tmp_path / "f")
        for login in ({}, {"username": "alma", "password": "wr0ng"}):
            with pytest.raises(Refused, match="HTTP 401") as caught:
                there.client(**login).describe("f")
            assert "wr0ng" not in str(caught.value)
    assert not there.pauses


def test_the_login_follows_a_redirect_within_the_archive_only(tmp_path: Path) -> None:
    there = Archive(tmp_path / "archive")
    there.put("f", b"abc")
    login = ("alma", "s3cret")
    with (
        serving(there.root, login=login) as other,
        serving(there.root, login=login, faults=there.faults) as first_,
    ):
        location = {"Location": f"http://{other}/RETRIEVE?file_id=f"}
        there.faults["RETRIEVE", "f"] = answer(303, headers=location)
        within = there.client(first_, other, username="alma", password="s3cret")
        within.retrieve(within.describe("f"), tmp_path / "f")
        alone = there.client(first_, username="alma", password="s3cret")
        with pytest.raises(Refused, match="HTTP 401"):
            alone.retrieve(alone.describe("f"), tmp_path / "g")


def test_the_environments_proxy_is_not_asked(
    archive_there: Archive, dead_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive_there.put("f", b"abc")
    monkeypatch.setenv("http_proxy", f"http://{dead_server}")
    monkeypatch.setenv("HTTP_PROXY", f"http://{dead_server}")
    assert archive_there.client().describe("f").size == 3


@pytest.mark.parametrize(
    "server", ["", "host", "http://host:7777", "user:pw@host:7777", "host:7777/x", "host:port"]
)
def test_an_address_that_is_none(server: str) -> None:
    with pytest.raises(Refused, match="host:port") as caught:
        NgasClient([server])
    assert "pw" not in str(caught.value)


def test_no_server_at_all() -> None:
    with pytest.raises(Refused, match="no NGAS server"):
        NgasClient([])


def test_a_folder_that_cannot_be_written(archive_there: Archive, tmp_path: Path) -> None:
    archive_there.put("f", b"abc")
    client = archive_there.client()
    (tmp_path / "blocked").write_bytes(b"")
    with pytest.raises(Failed, match="f version 1 cannot be written"):
        client.retrieve(client.describe("f"), tmp_path / "blocked" / "f")


def test_a_full_disk(archive_there: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive_there.put("f", DATA)
    client = archive_there.client()
    file = client.describe("f")

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.write", full)
    with pytest.raises(Failed, match=r"No space left.*free some space"):
        client.retrieve(file, tmp_path / "f")
    monkeypatch.undo()
    assert len(archive_there.asked("RETRIEVE", 1)) == 1
    assert not leftovers(tmp_path)

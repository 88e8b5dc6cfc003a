"""The embedded archive, as any client meets it: protocol, ranges, errors, versions, archiving, its log."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deployments.local.ngas_server import archive, requests_of, serving

DATA = bytes(range(256)) * 40


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def message(self) -> str:
        status = ElementTree.fromstring(self.body).find("Status")  # noqa: S314 - our own server's
        assert status is not None
        assert status.get("Status") == ("SUCCESS" if self.status == 200 else "FAILURE")
        return status.get("Message", "")

    def file(self) -> dict[str, str]:
        found = ElementTree.fromstring(self.body).find("DiskStatus/FileStatus")  # noqa: S314
        assert found is not None
        return found.attrib


@dataclass
class Client:
    root: Path
    address: str = ""

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
        connection = http.client.HTTPConnection(self.address, timeout=10)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body or None, named)
            response = connection.getresponse()
            assert response.version == 10
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, b"", **headers)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    (tmp_path / "source").write_bytes(DATA)
    archive(tmp_path / "archive", tmp_path / "source", "uid___A002_X1.bdf")
    with serving(tmp_path / "archive") as address:
        yield Client(tmp_path / "archive", address)


FILE = "/RETRIEVE?file_id=uid___A002_X1.bdf"


def test_a_file_comes_without_a_checksum(client: Client) -> None:
    answer = client.get(FILE)
    assert (answer.status, answer.body) == (200, DATA)
    assert answer.headers["Content-Length"] == str(len(DATA))
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="uid___A002_X1.bdf.bin"'
    assert answer.headers["Server"].startswith("NGAMS/12.0-embedded")
    assert not {"etag", "content-range", "accept-ranges", "ngas-file-crc"} & {
        name.lower() for name in answer.headers
    }


def test_a_range_to_the_end_comes_with_200(client: Client) -> None:
    answer = client.get(FILE, Range="bytes=1000-")
    assert (answer.status, answer.body) == (200, DATA[1000:])
    assert answer.headers["Content-Range"] == f"bytes 1000-{len(DATA) - 1}/{len(DATA)}"


def test_a_range_from_zero_is_the_whole(client: Client) -> None:
    answer = client.get(FILE, Range="bytes=0-")
    assert (answer.status, answer.body, answer.headers["Content-Range"]) == (200, DATA, None)


@pytest.mark.parametrize("given", ["bytes=1-5", "bytes=-5", "bytes=1-2,4-5", "lines=1-"])
def test_other_ranges_are_refused(client: Client, given: str) -> None:
    assert client.get(FILE, Range=given).status == 400


def test_a_range_at_and_beyond_the_end(client: Client) -> None:
    answer = client.get(FILE, Range=f"bytes={len(DATA)}-")
    assert (answer.status, answer.headers["Content-Length"], answer.body) == (200, "0", b"")
    answer = client.get(FILE, Range=f"bytes={len(DATA) + 3}-")
    assert (answer.status, answer.headers["Content-Length"], answer.body) == (200, "-3", b"")


@pytest.mark.parametrize(
    "version", ["", "&file_version=", "&file_version=0", "&file_version=-1", "&file_version=2"]
)
def test_the_latest_version(client: Client, tmp_path: Path, version: str) -> None:
    (tmp_path / "newer").write_bytes(b"newer")
    assert archive(client.root, tmp_path / "newer", "uid___A002_X1.bdf").file_version == 2
    assert client.get(FILE + version).body == b"newer"
    assert client.get(FILE + "&file_version=1").body == DATA


def test_parameters_that_change_nothing(client: Client) -> None:
    where = f"&host_id={client.address}&disk_id=embedded-volume-1&quick_location=1"
    assert client.get(FILE + where).body == DATA


@pytest.mark.parametrize("where", ["host_id=elsewhere:7777", "disk_id=no-such-disk"])
def test_a_copy_that_is_not_where_it_is_asked_for_is_4019(client: Client, where: str) -> None:
    assert ":4019:" in client.get(f"{FILE}&{where}").message


@pytest.mark.parametrize(
    "what", ["RETRIEVE?file_id=nosuch", "STATUS?file_id=nosuch", "STATUS?file_id=a&file_version=9"]
)
def test_an_unknown_file_is_4019(client: Client, what: str) -> None:
    answer = client.get(f"/{what}")
    assert answer.status == 400
    assert answer.message.startswith("NGAMS_ER_UNAVAIL_FILE:4019:ERROR: File with ID: ")
    assert f'"http://{client.address}/RETRIEVE?internal=ngamsStatus.dtd"'.encode() in answer.body


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/RETRIEVE", 400),
        ("/RETRIEVE?file_id=a&file_version=x", 400),
        ("/NOSUCH", 404),
        ("/retrieve?file_id=a", 404),
    ],
)
def test_other_failures(client: Client, path: str, status: int) -> None:
    answer = client.get(path)
    assert answer.status == status
    assert answer.message


@pytest.mark.parametrize("method", ["HEAD", "DELETE"])
def test_other_methods_are_answered_with_nothing(client: Client, method: str) -> None:
    with pytest.raises(http.client.RemoteDisconnected):
        client.ask(method, FILE)


def test_a_file_that_is_gone_from_the_disk_closes_the_connection(client: Client) -> None:
    next((client.root / "volume1").rglob("*.bin")).unlink()
    with pytest.raises(http.client.RemoteDisconnected):
        client.get(FILE)


def test_a_file_that_is_cut_on_the_disk_has_a_length_of_its_own(client: Client) -> None:
    path = next((client.root / "volume1").rglob("*.bin"))
    path.unlink()
    path.write_bytes(DATA[:7])
    assert client.get(FILE).headers["Content-Length"] == "7"


def test_status(client: Client) -> None:
    assert client.get("/STATUS").message == "Successfully handled command STATUS"
    file = client.get("/STATUS?file_id=uid___A002_X1.bdf").file()
    assert (file["FileVersion"], file["FileSize"], file["ChecksumPlugIn"]) == ("1", str(len(DATA)), "crc32")
    assert file["Checksum"] == str(zlib.crc32(DATA))


@pytest.mark.parametrize("plugin", ["ngamsGenCrc32", "crc32c", "None"])
def test_older_and_other_checksums(client: Client, tmp_path: Path, plugin: str) -> None:
    archive(client.root, tmp_path / "source", "old", plugin=plugin, signed=True)  # type: ignore[arg-type]
    checksum = client.get("/STATUS?file_id=old").file()["Checksum"]
    value = zlib.crc32(DATA)
    expected = {"ngamsGenCrc32": str(value - 2**32 if value >= 2**31 else value), "None": "None"}
    assert checksum == expected.get(plugin, checksum)
    assert checksum == "None" or -(2**31) <= int(checksum) < 2**31


def test_query_lists_in_three_forms(client: Client) -> None:
    (row,) = json.loads(client.get("/QUERY?query=files_like&like=uid___A002%25&format=json").body)
    assert (row["file_id"], row["file_version"], row["file_size"]) == ("uid___A002_X1.bdf", 1, len(DATA))
    table = client.get("/QUERY?query=files_like&like=uid%25&format=list").body.decode().splitlines()
    assert table[0] == table[2]
    assert set(table[0]) == {"-", " "}
    assert table[1].split()[:4] == ["disk_id", "file_name", "file_id", "file_version"]
    assert len(table) == 4
    assert client.get("/QUERY?query=files_like&like=uid%25").body.startswith(b"[(")
    assert client.get("/QUERY?query=files_like&like=none&format=json").body == b"[]"


@pytest.mark.parametrize("query", ["files_list", "disks_list", "hosts_list"])
def test_the_other_queries(client: Client, query: str) -> None:
    assert len(json.loads(client.get(f"/QUERY?query={query}&format=json").body)) == 1


def test_an_unknown_query(client: Client) -> None:
    assert client.get("/QUERY?query=drop_table").status == 400


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("command", ["ARCHIVE", "QARCHIVE"])
def test_archiving(client: Client, command: str, method: str) -> None:
    path = f"/{command}?filename=uid://A002/X/X1&mime_type=a/b"
    versions = [client.ask(method, path, data).file()["FileVersion"] for data in (b"one", b"two")]
    assert versions == ["1", "2"]
    answer = client.get("/RETRIEVE?file_id=X1")
    assert (answer.body, answer.headers["Content-Type"]) == (b"two", "a/b")


def test_archiving_by_content_disposition(client: Client) -> None:
    answer = client.ask("POST", "/ARCHIVE", b"x", Content_Disposition='attachment; filename="dir/a name.tar"')
    assert answer.file()["FileId"] == "a name.tar"


def test_an_announced_checksum_is_enforced_as_text(client: Client) -> None:
    value = zlib.crc32(b"data")
    assert client.ask("POST", "/ARCHIVE?filename=f", b"data", NGAS_File_CRC=str(value)).status == 200
    for body, given in ((b"dat4", value), (b"data", value - 2**32)):
        refused = client.ask("POST", "/ARCHIVE?filename=f", body, NGAS_File_CRC=str(given))
        assert refused.status == 400
        assert "Checksum" in refused.message
    assert client.get("/STATUS?file_id=f").file()["FileVersion"] == "1"
    assert not list((client.root / "staging").iterdir())


def test_archiving_needs_a_name_and_a_body(client: Client) -> None:
    assert client.ask("POST", "/ARCHIVE", b"x").status == 400
    assert client.ask("POST", "/ARCHIVE?filename=f", b"").status == 411
    assert client.ask("POST", "/ARCHIVE?filename=f", Transfer_Encoding="chunked").status == 411


def test_a_body_that_ends_early_is_not_archived(client: Client) -> None:
    host, port = client.address.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"POST /ARCHIVE?filename=f HTTP/1.0\r\nContent-Length: 100\r\n\r\nshort")
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""
    assert client.get("/STATUS?file_id=f").status == 400
    assert not list((client.root / "staging").iterdir())


def test_names_do_not_lead_out(client: Client, tmp_path: Path) -> None:
    for name in ("../../evil", "/etc/evil", ".."):
        (tmp_path / "x").write_bytes(b"x")
        archive(client.root, tmp_path / "x", name)
        assert client.get(f"/RETRIEVE?file_id={name}").body == b"x"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive", "source", "x"]


def test_content_outlives_the_server(client: Client) -> None:
    client.ask("POST", "/ARCHIVE?filename=f", b"x")
    with serving(client.root) as address:
        assert Client(client.root, address).get("/RETRIEVE?file_id=f").body == b"x"


def test_the_log_counts(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(DATA)
    archive(tmp_path / "archive", tmp_path / "source", "f")
    with serving(tmp_path / "archive") as address:
        client = Client(tmp_path / "archive", address)
        client.get("/RETRIEVE?file_id=f")
        client.get("/RETRIEVE?file_id=f", Range="bytes=100-")
        client.get("/STATUS?file_id=f")
    lines = requests_of(tmp_path / "archive", "RETRIEVE")
    assert [(line["file_id"], line["bytes"], line["range"]) for line in lines] == [
        ("f", len(DATA), ""),
        ("f", len(DATA) - 100, "bytes=100-"),
    ]
    assert {"time", "client", "status", "seconds"} <= lines[0].keys()
    assert {line["server"] for line in lines} == {address}
    assert len(requests_of(tmp_path / "archive")) == 3


def test_as_a_program(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(DATA)
    archive(tmp_path / "archive", tmp_path / "source", "f")
    command = [
        sys.executable,
        "-m",
        "deployments.local.ngas_server",
        "--root",
        str(tmp_path / "archive"),
        "--port",
        "0",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
    assert process.stdout is not None
    try:
        address = process.stdout.readline().strip()
        assert Client(tmp_path, address).get("/RETRIEVE?file_id=f").body == DATA
    finally:
        os.kill(process.pid, signal.SIGTERM)
        process.communicate(timeout=30)
    assert process.returncode == 0

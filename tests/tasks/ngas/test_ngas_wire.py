"""The wire itself: redirects and whom they lead to, deadlines for every byte, sizes, and being cut off."""

from __future__ import annotations

import gzip
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from ngas_archive import MIB, Archive, some_bytes
from ngas_raw import Raw, answering

from deployments.local.ngas_faults import answer, busy, cut, first, stall
from deployments.local.ngas_server import serving
from tasks.abandon import Abandoned, ending
from tasks.errors import Failed, Missing, Refused, Transient
from tasks.ngas import Checksum, Patience, StoredFile
from tasks.ngas import connection as connections
from tasks.ngas.health import HEALTH
from tasks.ngas.streams import Streams
from tasks.ngas.wire import Wire

DATA = some_bytes(3 * MIB + 17)
ONCE = Patience(rounds=1)
LOGIN = {"username": "alma", "password": "s3cret"}


def well(handler: object) -> bool:
    return False


def redirect(address: str, path: str = "/RETRIEVE?file_id=f", status: int = 303) -> Any:
    return answer(status, headers={"Location": f"http://{address}{path}"})


@contextmanager
def archive_of_two(root: Path, login: tuple[str, str] | None = None) -> Iterator[tuple[Archive, str]]:
    """Serve one archive by two servers; faults are the first one's."""
    there = Archive(root)
    there.put("f", DATA)
    with (
        serving(there.root, login=login) as other,
        serving(there.root, login=login, faults=there.faults) as there.address,
    ):
        yield there, other


class Places(Streams):
    """Which servers a place was taken for, and whether it was still held when the next was."""

    def __init__(self) -> None:
        super().__init__(None, 1)
        self.taken: list[str] = []
        self.held = 0

    @contextmanager
    def slot(self, server: str) -> Iterator[None]:
        assert not self.held
        self.held += 1
        self.taken.append(server)
        try:
            yield
        finally:
            self.held -= 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed_and_the_place_is_that_of_the_server_that_sends(
    tmp_path: Path, status: int
) -> None:
    with archive_of_two(tmp_path / "archive") as (there, other):
        there.faults["RETRIEVE", "f"] = redirect(other, status=status)
        places = Places()
        client = there.client(streams=places)
        client.retrieve(client.describe("f"), tmp_path / "f")
        assert (tmp_path / "f").read_bytes() == DATA
        assert places.taken == [there.address, other]


def test_a_question_may_be_redirected_too_and_takes_no_place(tmp_path: Path) -> None:
    with archive_of_two(tmp_path / "archive") as (there, other):
        there.faults["STATUS", "f"] = redirect(other, "/STATUS?file_id=f")
        places = Places()
        assert there.client(streams=places).describe("f").size == len(DATA)
        assert not places.taken


def test_a_resumed_transfer_is_redirected_with_its_range(tmp_path: Path) -> None:
    with archive_of_two(tmp_path / "archive") as (there, other):
        faults = iter([cut(2 * MIB), redirect(other)])
        there.faults["RETRIEVE", "f"] = lambda handler: next(faults)(handler)
        client = there.client()
        client.retrieve(client.describe("f"), tmp_path / "f")
        assert (tmp_path / "f").read_bytes() == DATA
        assert there.asked("RETRIEVE", 3)[-1]["range"] == f"bytes={2 * MIB}-"


def test_a_loop_over_servers_names_the_way(tmp_path: Path) -> None:
    with (
        archive_of_two(tmp_path / "archive") as (there, _),
        answering(lambda raw, connection: send(connection, f"Location: http://{there.address}/RETRIEVE")) as raw,
    ):
        there.faults["RETRIEVE", "f"] = redirect(raw.address, "/RETRIEVE")
        there.faults["RETRIEVE", ""] = redirect(raw.address, "/RETRIEVE")
        client = there.client(patience=ONCE)
        way = f"{there.address} -> {raw.address} -> {there.address} -> {raw.address}"
        with pytest.raises(Transient, match=rf"loop: {way}\. Next"):
            client.retrieve(client.describe("f"), tmp_path / "f")


def send(connection: socket.socket, *headers: str, status: str = "303 See Other", body: bytes = b"") -> None:
    connection.sendall("\r\n".join((f"HTTP/1.0 {status}", *headers, "", "")).encode() + body)


def test_ever_new_addresses_are_a_loop_as_well() -> None:
    def onward(raw: Raw, connection: socket.socket) -> None:
        send(connection, f"Location: /STATUS?{len(raw.heads)}")

    with answering(onward) as raw, pytest.raises(Transient, match="loop"):
        Wire(frozenset(), None, 5).document(raw.address, "STATUS", {})
        assert len(raw.heads) == 6


def test_a_redirect_to_a_dead_node_names_it(tmp_path: Path, dead_server: str) -> None:
    with archive_of_two(tmp_path / "archive") as (there, _):
        there.faults["RETRIEVE", "f"] = redirect(dead_server)
        client = there.client(patience=ONCE)
        why = f"server {dead_server}, to which {there.address} redirects: it refused the connection"
        with pytest.raises(Transient, match=re.escape(why)) as caught:
            client.retrieve(client.describe("f"), tmp_path / "f")
        assert f"from server {there.address}" in str(caught.value)


@pytest.mark.parametrize(
    "location",
    [
        "https://127.0.0.1:1/RETRIEVE",
        "ftp://127.0.0.1/f",
        "file:///etc/passwd",
        "http://user:secret@127.0.0.1:1/f",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:port/",
        "http://[::1/",
        "http://a b:1/",
    ],
)
def test_a_redirect_to_what_is_no_server_is_refused(tmp_path: Path, location: str) -> None:
    with archive_of_two(tmp_path / "archive") as (there, _):
        there.faults["RETRIEVE", "f"] = answer(303, headers={"Location": location})
        client = there.client()
        with pytest.raises(Refused, match="not an address") as caught:
            client.retrieve(client.describe("f"), tmp_path / "f")
        assert "secret" not in str(caught.value)


def test_a_redirect_that_does_not_say_where_is_none(tmp_path: Path) -> None:
    with archive_of_two(tmp_path / "archive") as (there, _):
        there.faults["RETRIEVE", "f"] = answer(303)
        client = there.client()
        with pytest.raises(Failed, match="something else came"):
            client.retrieve(client.describe("f"), tmp_path / "f")


def test_a_redirect_cannot_smuggle_headers(tmp_path: Path) -> None:
    with answering(saying(OK + b"x")) as target:
        location = f"Location: http://{target.address}/STATUS?a b\u00e9%0d%0aX-Evil: 1"
        with answering(
            lambda raw, connection: connection.sendall(
                f"HTTP/1.0 303 See Other\r\n{location}\r\n\r\n".encode("latin-1")
            )
        ) as raw:
            assert Wire(frozenset(), None, 5).document(raw.address, "STATUS", {}) == b"x"
        assert target.heads[0].startswith("GET /STATUS?a%20b%C3%A9%0d%0aX-Evil:%201 HTTP/1.1\r\n")


def test_the_login_goes_to_configured_servers_only(tmp_path: Path) -> None:
    def greet(raw: Raw, connection: socket.socket) -> None:
        send(connection, status="401 Unauthorized")

    with archive_of_two(tmp_path / "archive", ("alma", "s3cret")) as (there, _), answering(greet) as stranger:
        there.faults["RETRIEVE", "f"] = redirect(stranger.address)
        client = there.client(**LOGIN)
        file = client.describe("f")
        with pytest.raises(Refused, match=r"was not shown the login.*add it to ppi\.ngas\.servers"):
            client.retrieve(file, tmp_path / "f")
        with pytest.raises(Refused):  # a report may name any server
            there.client(**LOGIN).retrieve(file.model_copy(update={"server": stranger.address}), tmp_path / "f")
        assert stranger.heads
        assert not [head for head in stranger.heads if "authorization" in head.lower()]


def test_the_address_of_a_configured_name_is_configured(tmp_path: Path) -> None:
    with archive_of_two(tmp_path / "archive", ("alma", "s3cret")) as (there, other):
        named = other.replace("127.0.0.1", "localhost")
        there.faults["RETRIEVE", "f"] = redirect(other)
        places = Places()
        client = there.client(there.address, named, "no-such-host.invalid:1", streams=places, **LOGIN)
        file = client.describe("f").model_copy(update={"server": there.address})
        HEALTH.well(there.address)
        client.retrieve(file, tmp_path / "f")
        assert (tmp_path / "f").read_bytes() == DATA
        assert places.taken == [there.address, named]


def in_time(seconds: float) -> None:
    assert seconds < 3, "it took much longer than its time-out"


HEAD = b"HTTP/1.0 200 OK\r\nContent-Type: a/b\r\nX-Filler: " + b"x" * 10_000 + b"\r\n\r\n"


OK = b"HTTP/1.0 200 OK\r\n\r\n"


def saying(said: bytes) -> Callable[[Raw, socket.socket], None]:
    return lambda raw, connection: connection.sendall(said)


def silence(raw: Raw, connection: socket.socket) -> None:
    raw.over.wait()


def head_that_trickles(raw: Raw, connection: socket.socket) -> None:
    raw.trickle(connection, HEAD, 0.05)


def document_that_trickles(raw: Raw, connection: socket.socket) -> None:
    send(connection, status="200 OK")
    raw.trickle(connection, bytes(10_000), 0.05)


def error_that_trickles(raw: Raw, connection: socket.socket) -> None:
    send(connection, status="400 Bad Request")
    raw.trickle(connection, bytes(10_000), 0.05)


def no_body(raw: Raw, connection: socket.socket) -> None:
    send(connection, "Content-Length: 9", status="200 OK")
    raw.over.wait()


@pytest.mark.parametrize(
    "talk", [silence, head_that_trickles, document_that_trickles, error_that_trickles, no_body]
)
def test_a_document_is_there_within_the_time_out(talk: Callable[[Raw, socket.socket], None]) -> None:
    began = time.monotonic()
    with answering(talk) as raw, pytest.raises(Transient, match="time-out"):
        Wire(frozenset(), None, 0.3).document(raw.address, "STATUS", {})
        in_time(time.monotonic() - began)


def known(server: str, data: bytes = DATA) -> StoredFile:
    return StoredFile(file_id="f", version=1, size=len(data), checksum=None, server=server)


def test_a_file_that_trickles_has_stalled(tmp_path: Path) -> None:
    def talk(raw: Raw, connection: socket.socket) -> None:
        send(connection, f"Content-Length: {len(DATA)}", status="200 OK", body=DATA[:MIB])
        raw.trickle(connection, DATA[MIB:], 0.02)

    began = time.monotonic()
    with answering(talk) as raw:
        client = Archive(tmp_path, raw.address).client(timeout=0.3, patience=ONCE)
        with pytest.raises(Transient, match=r"it stalled: only \d+ bytes"):
            client.retrieve(known(raw.address), tmp_path / "f")
    in_time(time.monotonic() - began)


def test_a_file_that_flows_slowly_has_not(tmp_path: Path) -> None:
    def talk(raw: Raw, connection: socket.socket) -> None:
        send(connection, f"Content-Length: {8 * 2000}", status="200 OK")
        for _ in range(8):
            raw.over.wait(0.15)
            connection.sendall(bytes(2000))

    with answering(talk) as raw:
        client = Archive(tmp_path, raw.address).client(timeout=0.4, patience=ONCE)
        client.retrieve(known(raw.address, bytes(16000)), tmp_path / "f")


def test_what_comes_with_the_head_is_not_withheld(tmp_path: Path) -> None:
    def talk(raw: Raw, connection: socket.socket) -> None:
        send(connection, "Content-Length: 9", status="200 OK", body=b"123")
        raw.over.wait()

    counts: list[int] = []
    with answering(talk) as raw, pytest.raises(Transient, match="stalled"):
        client = Archive(tmp_path, raw.address).client(timeout=0.3, patience=ONCE)
        client.retrieve(known(raw.address, bytes(9)), tmp_path / "f", counts.append)
    assert counts == [3]


def test_a_host_that_takes_no_connection_is_left_in_time(tmp_path: Path) -> None:
    began = time.monotonic()
    with full() as address, pytest.raises(Transient, match="no connection within the time-out"):
        Wire(frozenset(), None, 0.3).document(address, "STATUS", {})
    in_time(time.monotonic() - began)


@contextmanager
def full() -> Iterator[str]:
    """Listen where the kernel takes no more connections: it lets the next wait without a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(listener.getsockname())
        time.sleep(0.05)
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            for each in waiting:
                each.close()


def test_a_name_that_no_host_has() -> None:
    for name in ("no-such-host.invalid:1", f"{'a' * 64}.invalid:1"):
        with pytest.raises(Transient, match="no host has this name"):
            Wire(frozenset(), None, 5).document(name, "STATUS", {})


@pytest.mark.parametrize(
    "said", [b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.0 2OO OK\r\n\r\n", b"HTTP/1.0 200 OK\r\n" + b"x: y\r\n" * 999]
)
def test_what_is_not_http(said: bytes) -> None:
    with (
        answering(lambda raw, connection: connection.sendall(said)) as raw,
        pytest.raises(Transient, match="not HTTP"),
    ):
        Wire(frozenset(), None, 5).document(raw.address, "STATUS", {})


def test_a_document_longer_than_any(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "LARGEST", 100_000)
    with (
        answering(saying(OK + bytes(300_000))) as raw,
        pytest.raises(Refused, match="more than 100000 bytes"),
    ):
        Wire(frozenset(), None, 5).document(raw.address, "STATUS", {})


def test_chunks_of_a_proxy_are_put_together() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    with answering(saying(chunked)) as raw:
        assert Wire(frozenset(), None, 5).document(raw.address, "STATUS", {}) == b"abcde"


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.0 200 OK\r\n\r\n" + DATA,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(DATA), DATA),
    ],
    ids=["until the end", "in chunks"],
)
def test_a_proxy_that_does_not_say_how_long_it_is(tmp_path: Path, said: bytes) -> None:
    checksum = Checksum(kind="crc32", value=crc32(DATA))
    with answering(saying(said)) as raw:
        file = StoredFile(file_id="f", version=1, size=len(DATA), checksum=checksum, server=raw.address)
        Archive(tmp_path, raw.address).client().retrieve(file, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == DATA


@pytest.mark.parametrize(("data", "error"), [(DATA[:-1], "bytes came"), (DATA + b"x", "more than its")])
def test_what_does_not_say_how_long_it_is_and_is_not_as_long_as_it_should(
    tmp_path: Path, data: bytes, error: str
) -> None:
    with answering(saying(b"HTTP/1.0 200 OK\r\n\r\n" + data)) as raw:
        file = StoredFile(file_id="f", version=1, size=len(DATA), checksum=None, server=raw.address)
        with pytest.raises((Transient, Failed), match=error):
            Archive(tmp_path, raw.address).client(patience=ONCE).retrieve(file, tmp_path / "f")
    assert not (tmp_path / "f").exists()


def test_what_is_stored_compressed_comes_as_it_is_stored(archive_there: Archive, tmp_path: Path) -> None:
    data = gzip.compress(DATA)
    archive_there.put("f.gz", data)
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/x-gzip"}
    archive_there.faults["RETRIEVE", "f.gz"] = answer(200, data, headers)
    client = archive_there.client()
    client.retrieve(client.describe("f.gz"), tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == data


def test_a_server_that_refuses_ranges_is_asked_for_all_of_it(archive_there: Archive, tmp_path: Path) -> None:
    archive_there.put("f", DATA)
    broken, refusal = first(1, cut(2 * MIB)), answer(400, b"what is a range?")
    archive_there.faults["RETRIEVE", "f"] = lambda handler: (
        refusal(handler) if "Range" in handler.headers else broken(handler)
    )
    client = archive_there.client()
    assert client.retrieve(client.describe("f"), tmp_path / "f").attempts == 2
    assert (tmp_path / "f").read_bytes() == DATA
    assert [line["range"] for line in archive_there.asked("RETRIEVE", 3)] == ["", f"bytes={2 * MIB}-", ""]


def test_a_server_that_refuses_ranges_and_all_else_is_not_asked_for_ever(
    archive_there: Archive, tmp_path: Path
) -> None:
    archive_there.put("f", DATA)
    faults = iter([cut(2 * MIB)])
    archive_there.faults["RETRIEVE", "f"] = lambda handler: next(faults, answer(400, b"no"))(handler)
    client = archive_there.client()
    with pytest.raises(Refused, match="HTTP 400, no"):
        client.retrieve(client.describe("f"), tmp_path / "f")
    assert len(archive_there.asked("RETRIEVE", 3)) == 3


def test_a_server_that_starts_anew_in_mid_transfer_is_survived(archive_there: Archive, tmp_path: Path) -> None:
    archive_there.put("f", DATA)
    faults = iter([cut(MIB), busy()] * 3)
    archive_there.faults["RETRIEVE", "f"] = lambda handler: next(faults, well)(handler)
    client = archive_there.client()
    assert client.retrieve(client.describe("f"), tmp_path / "f").attempts == 7
    assert (tmp_path / "f").read_bytes() == DATA


def test_a_few_bytes_each_time_are_no_progress(archive_there: Archive, tmp_path: Path) -> None:
    archive_there.put("f", DATA)
    archive_there.faults["RETRIEVE", "f"] = cut(7)
    client = archive_there.client()
    with pytest.raises(Transient, match="attempt 3 of 3"):
        client.retrieve(client.describe("f"), tmp_path / "f")


def test_a_server_that_mixes_its_bytes_into_anothers_does_not_spoil_that_ones_name(tmp_path: Path) -> None:
    with archive_of_two(tmp_path / "archive") as (there, other):
        there.faults["RETRIEVE", "f"] = lambda handler: spoil(handler)
        patience = Patience(rounds=3, sleep=lambda seconds: HEALTH.well(there.address))
        client = there.client(there.address, other, patience=patience)
        file = client.describe("f").model_copy(update={"server": there.address})
        transfer = client.retrieve(file, tmp_path / "f")
        assert (transfer.server, transfer.attempts) == (other, 3)
        assert (tmp_path / "f").read_bytes() == DATA


def spoil(handler: Any) -> bool:
    """Send half of something else, as long as the file."""
    start = int(handler.headers.get("Range", "bytes=0-")[6:-1])
    headers = {"Content-Length": str(len(DATA) - start)}
    if start:
        headers["Content-Range"] = f"bytes {start}-{len(DATA) - 1}/{len(DATA)}"
    handler.head(200, headers)
    handler.wfile.write(bytes(MIB))
    return True


def test_a_sick_server_is_asked_last_by_the_next_client_too(tmp_path: Path, silent_server: str) -> None:
    with archive_of_two(tmp_path / "archive") as (there, _):
        client = there.client(silent_server, there.address, timeout=0.3)
        file = client.describe("f").model_copy(update={"server": silent_server})
        client.retrieve(file, tmp_path / "f")
        again = there.client(silent_server, there.address, timeout=0.3)
        began = time.monotonic()
        assert again.retrieve(file, tmp_path / "g").attempts == 1
        assert time.monotonic() - began < 0.3


@pytest.mark.parametrize("where", ["connecting", "head", "body", "pause"])
def test_a_transfer_is_given_up_at_once(archive_there: Archive, tmp_path: Path, where: str) -> None:
    archive_there.put("f", DATA)
    file = archive_there.client().describe("f")
    patience = Patience(first_pause=60, longest_pause=60)
    came = threading.Event()
    with full() as unconnected, answering(silence) as silent:
        archive_there.faults["RETRIEVE", "f"] = stall(MIB, 60) if where == "body" else busy()
        server = {"connecting": unconnected, "head": silent.address}.get(where, archive_there.address)
        client = archive_there.client(server, timeout=60, patience=patience)
        with ThreadPoolExecutor() as pool:
            with pytest.raises(KeyboardInterrupt), ending():
                future = pool.submit(
                    client.retrieve,
                    file.model_copy(update={"server": server}),
                    tmp_path / "f",
                    lambda count: came.set(),
                )
                came.wait(10 if where == "body" else 0.5)
                raise KeyboardInterrupt
            began = time.monotonic()
            with pytest.raises(Abandoned, match="the run is ending"):
                future.result(10)
            assert time.monotonic() - began < 1
    assert list(tmp_path.glob(".ngas-*.part")) == [] or where == "body"


def test_the_state_of_a_server(archive_there: Archive, dead_server: str) -> None:
    client = archive_there.client(archive_there.address, dead_server)
    reply = client.state(archive_there.address)
    assert (reply.succeeded, reply.state) == (True, "ONLINE")
    with pytest.raises(Transient, match="refused the connection"):
        client.state(dead_server)
    with (
        answering(saying(OK + b"<html/>")) as raw,
        pytest.raises(Refused, match="names an NGAS"),
    ):
        client.state(raw.address)


def test_a_file_that_nobody_has_now(archive_there: Archive) -> None:
    with pytest.raises(Missing):
        archive_there.client().describe("a name with blanks & \u00fc\udc80/?#")

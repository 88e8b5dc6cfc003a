"""The embedded archive as several servers over one index: redirects, proxies, states, replicas, load."""

from __future__ import annotations

import http.client
import json
import socket
import struct
import threading
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import pytest

from deployments.local.ngas_faults import first, stall
from deployments.local.ngas_index import nth_disk
from deployments.local.ngas_refusal import BUSY
from deployments.local.ngas_server import (
    NgasServer,
    archive,
    most_at_once,
    requests_of,
    serving,
    serving_cluster,
)

DATA = bytes(range(256)) * 400
RETRIEVE = "/RETRIEVE?file_id=f"


def ask(server: NgasServer | str, path: str, **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
    address = server if isinstance(server, str) else server.address
    with closing(http.client.HTTPConnection(address, timeout=10)) as connection:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response, response.read()


def message(server: NgasServer | str, path: str) -> tuple[int, str]:
    response, body = ask(server, path)
    status = ElementTree.fromstring(body).find("Status")  # noqa: S314 - our own server's
    assert status is not None
    return response.status, status.get("Message", "")


@contextmanager
def cluster(tmp_path: Path, nodes: int = 2, **options: bool) -> Iterator[tuple[NgasServer, ...]]:
    """Servers of which the first has the file `f`."""
    (tmp_path / "source").write_bytes(DATA)
    archive(tmp_path / "archive", tmp_path / "source", "f")
    with serving_cluster(tmp_path / "archive", nodes, **options) as servers:
        yield servers


def replicate(servers: tuple[NgasServer, ...]) -> None:
    index = servers[0].index
    (entry,) = index.copies("f")
    index.replicate(entry, servers[1].disk_id)


def test_another_servers_file_is_redirected_to(tmp_path: Path) -> None:
    with cluster(tmp_path) as (holder, other):
        response, body = ask(other, f"{RETRIEVE}&file_version=1", Range="bytes=100-")
        assert (response.status, body) == (303, b"")
        assert response.headers["Location"] == f"http://{holder.address}{RETRIEVE}&file_version=1"
        assert ask(holder, RETRIEVE)[1] == DATA


def test_a_proxy_passes_on_bytes_and_ranges(tmp_path: Path) -> None:
    with cluster(tmp_path, proxy=True) as (_, other):
        response, body = ask(other, RETRIEVE)
        assert (response.status, body, response.headers["Content-Length"]) == (200, DATA, str(len(DATA)))
        assert response.headers["Content-Disposition"] == 'attachment; filename="f.bin"'
        response, body = ask(other, RETRIEVE, Range="bytes=100-")
        assert (response.status, body) == (200, DATA[100:])
        assert response.headers["Content-Range"] == f"bytes 100-{len(DATA) - 1}/{len(DATA)}"


def test_of_a_dead_server_nobody_has_told_the_others(tmp_path: Path) -> None:
    with cluster(tmp_path) as (holder, other):
        holder.die()
        assert ask(other, RETRIEVE)[0].headers["Location"].startswith(f"http://{holder.address}/")
        with pytest.raises(ConnectionRefusedError):
            ask(holder, RETRIEVE)
        other.cluster.proxy = True
        with pytest.raises(http.client.RemoteDisconnected):
            ask(other, RETRIEVE)


def test_a_server_prefers_its_own_replica(tmp_path: Path) -> None:
    with cluster(tmp_path) as servers:
        replicate(servers)
        for server in servers:
            assert ask(server, RETRIEVE)[1] == DATA
        answer = ask(servers[0], f"{RETRIEVE}&disk_id={nth_disk(2)}")[0]
        assert answer.headers["Location"].startswith(f"http://{servers[1].address}/")
        rows = json.loads(ask(servers[1], "/QUERY?query=files_like&like=f&format=json")[1])
        assert [(row["file_version"], row["disk_id"]) for row in rows] == [(1, nth_disk(1)), (1, nth_disk(2))]


def test_replicas_share_nothing(tmp_path: Path) -> None:
    with cluster(tmp_path) as servers:
        replicate(servers)
        index = servers[0].index
        first_copy, second_copy = index.copies("f")
        index.path_of(first_copy).unlink()
        assert index.path_of(second_copy).read_bytes() == DATA
        with pytest.raises(http.client.RemoteDisconnected):
            ask(servers[0], RETRIEVE)


def test_an_offline_server_says_4015_and_the_others_4019(tmp_path: Path) -> None:
    with cluster(tmp_path) as (holder, other):
        assert message(holder, "/OFFLINE") == (200, "Successfully handled command OFFLINE")
        for command in ("RETRIEVE?file_id=f", "CHECKFILE?file_id=f", "ARCHIVE?filename=g"):
            status, said = message(holder, f"/{command}")
            assert (status, said.startswith("NGAMS_ER_IMPROPER_STATE:4015:ERROR:")) == (400, True)
        for server in (holder, other):
            assert ":4019:" in message(server, "/STATUS?file_id=f")[1]
            (row,) = json.loads(ask(server, "/QUERY?query=files_like&like=f&format=json")[1])
            assert row["file_size"] == len(DATA)
        assert ":4019:" in message(other, RETRIEVE)[1]
        assert b'State="OFFLINE"' in ask(holder, "/STATUS")[1]
        hosts = json.loads(ask(other, "/QUERY?query=hosts_list&format=json")[1])
        assert [host["srv_state"] for host in hosts] == ["OFFLINE", "ONLINE"]
        assert ":4015:" in message(holder, "/OFFLINE")[1]
        assert message(holder, "/ONLINE")[0] == 200
        assert ask(other, RETRIEVE)[0].status == 303
        assert ":4015:" in message(holder, "/ONLINE")[1]


def test_an_unmounted_volume_is_4019_while_query_lists_it(tmp_path: Path) -> None:
    with cluster(tmp_path) as (holder, other):
        holder.mounted = False
        for server in (holder, other):
            for command in ("RETRIEVE", "STATUS"):
                assert message(server, f"/{command}?file_id=f")[1].startswith("NGAMS_ER_UNAVAIL_FILE:4019:")
            assert len(json.loads(ask(server, "/QUERY?query=files_like&like=f&format=json")[1])) == 1
        disks = json.loads(ask(other, "/QUERY?query=disks_list&format=json")[1])
        assert [(disk["host_id"], disk["mounted"]) for disk in disks] == [(holder.address, 0), (other.address, 1)]


def test_status_names_the_server_that_has_the_file(tmp_path: Path) -> None:
    with cluster(tmp_path) as (holder, other):
        disk = ElementTree.fromstring(ask(other, "/STATUS?file_id=f")[1]).find("DiskStatus")  # noqa: S314
        assert disk is not None
        assert (disk.get("HostId"), disk.get("DiskId")) == (holder.address, nth_disk(1))


def test_what_comes_in_lies_on_the_servers_own_volume(tmp_path: Path) -> None:
    with cluster(tmp_path) as (_, other):
        with closing(http.client.HTTPConnection(other.address, timeout=10)) as connection:
            connection.request("POST", "/ARCHIVE?filename=f", b"newer")
            assert connection.getresponse().status == 200
        (entry,) = other.index.copies("f")
        assert (entry.file_version, entry.disk_id) == (2, nth_disk(2))
        assert other.index.path_of(entry).read_bytes() == b"newer"


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: b"x" + data[1:], None])
def test_a_bad_file_is_told_by_checkfile_with_success_and_served(tmp_path: Path, change: object) -> None:
    with cluster(tmp_path, 1) as (server,):
        assert message(server, "/CHECKFILE?file_id=f")[1].startswith("NGAMS_INFO_FILE_OK:4056:")
        path = server.index.path_of(server.index.copies("f")[0])
        path.unlink()
        if callable(change):
            path.write_bytes(change(DATA))
        status, said = message(server, "/CHECKFILE?file_id=f")
        assert (status, said.startswith("NGAMS_ER_FILE_NOK:4057:ERROR:")) == (200, True)
        assert b'Status="SUCCESS"' in ask(server, "/CHECKFILE?file_id=f")[1]
        if callable(change):
            assert ask(server, RETRIEVE)[1] == change(DATA)


def test_the_server_writes_a_copy_itself(tmp_path: Path) -> None:
    outfile = tmp_path / "copy"
    path = f"{RETRIEVE}&processing=ngamsDirectCopyDppi&processingPars={quote(f'outfile={outfile}')}"
    with cluster(tmp_path) as (holder, other):
        response, body = ask(holder, path)
        assert (response.status, outfile.read_bytes()) == (200, DATA)
        assert len(body) < len(DATA)
        assert ask(other, path)[0].headers["Location"] == f"http://{holder.address}{path}"


@pytest.mark.parametrize(
    ("processing", "reason"),
    [
        ("noSuchDppi", "NGAMS_ER_ILL_DPPI"),
        ("ngamsDirectCopyDppi&processingPars=outfile=relative", "outfile"),
        ("ngamsDirectCopyDppi", "outfile"),
        ("ngamsDirectCopyDppi&processingPars=outfile={}/no/such/folder/f", "No such file or directory"),
    ],
)
def test_a_copy_that_cannot_be_is_a_failure(tmp_path: Path, processing: str, reason: str) -> None:
    with cluster(tmp_path, 1) as (server,):
        status, said = message(server, f"{RETRIEVE}&processing={processing.format(tmp_path)}")
    assert status == 400
    assert reason in said


def test_who_comes_when_all_are_served_gets_a_bare_line_or_a_reset(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(DATA)
    archive(tmp_path / "archive", tmp_path / "source", "f")
    with serving(
        tmp_path / "archive", max_requests=1, faults={("RETRIEVE", "f"): first(1, stall(10, 60))}
    ) as address:
        host, port = address.split(":")
        with socket.create_connection((host, int(port)), timeout=10) as stalled:
            stalled.sendall(b"GET /RETRIEVE?file_id=f HTTP/1.0\r\n\r\n")
            assert stalled.recv(1)
            with socket.create_connection((host, int(port)), timeout=10) as turned_away:
                assert _said(turned_away) in (BUSY, b"")
        assert _once_free(address) == DATA
    assert 503 in [line["status"] for line in requests_of(tmp_path / "archive")]


def _once_free(address: str) -> bytes:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with suppress(http.client.HTTPException, ConnectionError):
            response, body = ask(address, RETRIEVE)
            if response.status == 200:
                return body
    raise TimeoutError


def _said(connection: socket.socket) -> bytes:
    said = b""
    try:
        while piece := connection.recv(100):
            said += piece
    except ConnectionResetError:
        pass
    return said


def test_a_stall_ends_with_its_client(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(DATA)
    archive(tmp_path / "archive", tmp_path / "source", "f")
    began = time.monotonic()
    with serving(tmp_path / "archive", faults={("RETRIEVE", "f"): stall(10, 60)}) as address:
        host, port = address.split(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(b"GET /RETRIEVE?file_id=f HTTP/1.0\r\n\r\n")
            connection.recv(10)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("clients", [1, 3])
def test_how_many_bodies_came_at_once(tmp_path: Path, clients: int) -> None:
    """Each client fetches one file after the other: a body never counts with the next of its client."""
    with cluster(tmp_path) as servers:
        replicate(servers)
        together = threading.Barrier(clients)

        def fetch(_: int) -> None:
            together.wait(10)
            for number in range(20):
                assert ask(servers[number % 2], RETRIEVE)[1] == DATA

        with ThreadPoolExecutor(clients) as pool:
            list(pool.map(fetch, range(clients)))
    root = tmp_path / "archive"
    assert 1 <= most_at_once(root) <= clients
    assert 1 <= most_at_once(root, server=servers[0].address) <= clients
    assert most_at_once(root, "STATUS") == 0


def test_bodies_that_last_count_together(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(DATA)
    archive(tmp_path / "archive", tmp_path / "source", "f")
    root = tmp_path / "archive"
    with serving(root, faults={("RETRIEVE", "f"): stall(10, 0.5)}) as address, ThreadPoolExecutor(4) as pool:
        for outcome in [pool.submit(ask, address, RETRIEVE) for _ in range(4)]:
            assert isinstance(outcome.exception(), http.client.IncompleteRead)
    assert most_at_once(root) == 4

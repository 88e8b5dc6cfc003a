"""COPY: the archive writes the file itself, and nothing that it writes is believed before it was read."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ngas_archive import MIB, Archive, some_bytes

from deployments.local.ngas_faults import answer, copy, cut, failure, first, unavailable
from deployments.local.ngas_handler import Fault, Handler
from deployments.local.ngas_refusal import Refusal, unknown_plugin
from tasks.errors import Failed, Missing, Transient
from tasks.ngas import NgasClient, Patience, StoredFile, Transfer
from tasks.ngas.streams import Streams

DATA = some_bytes(2 * MIB + 17)


def outfile_of(handler: Handler) -> Path:
    return Path(handler.parameters["processingPars"].removeprefix("outfile="))


def writes(write: Callable[[Path], object]) -> Fault:
    """Have something else written than the file; streams are as ever."""

    def fault(handler: Handler) -> bool:
        if "processing" not in handler.parameters:
            return False
        write(outfile_of(handler))
        handler.document("Successfully handled command RETRIEVE")
        return True

    return fault


def of_copies(fault: Fault) -> Fault:
    return lambda handler: "processing" in handler.parameters and fault(handler)


def brought(there: Archive, destination: Path, **options: Any) -> tuple[Transfer, list[int]]:
    there.put("f", DATA)
    client, counts = there.client(**options), list[int]()
    transfer = client.retrieve(client.describe("f"), destination, counts.append, direct=True)
    assert destination.read_bytes() == DATA
    assert not destination.is_symlink()
    assert sum(counts) == len(DATA)
    assert [path.name for path in destination.parent.iterdir() if path.name.startswith(".ngas")] == []
    return transfer, counts


def test_a_file_is_written_by_the_archive(archive_there: Archive, tmp_path: Path) -> None:
    asked: list[dict[str, str]] = []
    archive_there.faults["RETRIEVE", "f"] = lambda handler: bool(asked.append(dict(handler.parameters)))
    transfer, _ = brought(archive_there, tmp_path / "deep" / "f")
    assert (transfer.method, transfer.attempts, transfer.server) == ("copy", 1, archive_there.address)
    assert transfer.checksum
    ((parameters),) = asked
    outfile = parameters.pop("processingPars")
    assert parameters == {"file_id": "f", "file_version": "1", "processing": "ngamsDirectCopyDppi"}
    assert outfile.startswith(f"outfile={tmp_path}/deep/.ngas-")


def test_nothing_is_copied_that_is_not_asked_for_so(archive_there: Archive, tmp_path: Path) -> None:
    archive_there.put("f", DATA)
    client = archive_there.client()
    assert client.retrieve(client.describe("f"), tmp_path / "f").method == "stream"


def test_an_empty_file_and_one_without_a_checksum(archive_there: Archive, tmp_path: Path) -> None:
    archive_there.put("empty", b"")
    archive_there.put("plain", b"abc", plugin="None")
    client = archive_there.client()
    for name in ("empty", "plain"):
        assert client.retrieve(client.describe(name), tmp_path / name, direct=True).method == "copy"
    assert (tmp_path / "plain").read_bytes() == b"abc"


def test_a_destination_that_is_relative(
    archive_there: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    archive_there.put("f", DATA)
    client = archive_there.client()
    assert client.retrieve(client.describe("f"), Path("f"), direct=True).method == "copy"
    assert (tmp_path / "f").read_bytes() == DATA


def other(tmp_path: Path) -> Path:
    path = tmp_path / "other"
    path.write_bytes(DATA)
    return path


WRONG: dict[str, Fault] = {
    "missing": copy(0),
    "half": copy(0.5),
    "flipped": writes(lambda path: path.write_bytes(DATA[:-1] + b"!")),
    "grown": writes(lambda path: path.write_bytes(DATA + b"!")),
    "a link": writes(lambda path: path.symlink_to(other(path.parent))),
    "a hard link": writes(lambda path: path.hardlink_to(other(path.parent))),
    "a pipe": writes(os.mkfifo),
    "unknown plug-in": lambda handler: (_ for _ in ()).throw(unknown_plugin("ngamsDirectCopyDppi")),
    "not allowed": lambda handler: (_ for _ in ()).throw(Refusal("processing is not allowed", status=403)),
    "a failure that says 200": failure(),
    "a page": answer(200, b"<html>hello</html>", {"Content-Type": "text/html"}),
    "busy": answer(503),
    "broken off": cut(10),
    "not reached now": unavailable(),
}


@pytest.mark.parametrize("fault", WRONG.values(), ids=WRONG)
def test_what_goes_wrong_is_streamed_and_the_log_says_why(
    archive_there: Archive, tmp_path: Path, fault: Fault, caplog: pytest.LogCaptureFixture
) -> None:
    archive_there.faults["RETRIEVE", "f"] = of_copies(fault)
    transfer, _ = brought(archive_there, tmp_path / "f")
    assert transfer.method == "stream"
    (told,) = [record.message for record in caplog.records if record.name == "tasks.ngas.copying"]
    assert told.startswith("f version 1 is streamed, since it cannot be copied: ")
    assert archive_there.address in told


def test_a_failure_that_says_200_is_one_where_only_the_size_could_be_compared(
    archive_there: Archive, tmp_path: Path
) -> None:
    def writes_and_fails(handler: Handler) -> bool:
        outfile_of(handler).write_bytes(b"xyz")
        return failure()(handler)

    archive_there.put("plain", b"abc", plugin="None")
    archive_there.faults["RETRIEVE", "plain"] = of_copies(writes_and_fails)
    client = archive_there.client()
    assert client.retrieve(client.describe("plain"), tmp_path / "plain", direct=True).method == "stream"
    assert (tmp_path / "plain").read_bytes() == b"abc"


@pytest.mark.parametrize("fault", [copy(0), copy(0.5), answer(503)])
def test_what_goes_wrong_once_is_tried_again(archive_there: Archive, tmp_path: Path, fault: Fault) -> None:
    archive_there.faults["RETRIEVE", "f"] = of_copies(first(1, fault))
    transfer, _ = brought(archive_there, tmp_path / "f")
    assert (transfer.method, transfer.attempts) == ("copy", 2)


def test_an_archive_that_streams_instead_of_copying(archive_there: Archive, tmp_path: Path) -> None:
    def ignores(handler: Handler) -> bool:
        delivery = handler.delivery()
        handler.head(200, delivery.headers)
        handler.send_bytes(delivery, 0, delivery.size)
        return True

    archive_there.faults["RETRIEVE", "f"] = of_copies(ignores)
    assert brought(archive_there, tmp_path / "f")[0].method == "stream"


def test_progress_is_what_is_seen_to_grow(archive_there: Archive, tmp_path: Path) -> None:
    """It takes longer than the time-out: what grows is not given up."""

    def slowly(path: Path) -> None:
        with path.open("wb", buffering=0) as stream:
            for at in range(0, len(DATA), MIB):
                time.sleep(0.7)
                stream.write(DATA[at : at + MIB])
                time.sleep(0.6)

    archive_there.faults["RETRIEVE", "f"] = writes(slowly)
    transfer, counts = brought(archive_there, tmp_path / "f", timeout=2)
    assert transfer.method == "copy"
    assert transfer.seconds > 3.5
    assert len(counts) >= 3
    assert min(counts) > 0


def test_a_copy_that_stalls_is_cut(
    archive_there: Archive, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def hangs(handler: Handler) -> bool:
        outfile_of(handler).write_bytes(DATA[:MIB])
        handler.linger(30)
        return True

    archive_there.faults["RETRIEVE", "f"] = of_copies(hangs)
    began = time.monotonic()
    transfer, counts = brought(archive_there, tmp_path / "f", timeout=1)
    assert transfer.method == "stream"
    assert time.monotonic() - began < 10
    assert MIB in counts
    assert -MIB in counts
    assert any(f"has {MIB} of {len(DATA)} bytes and does not grow" in record.message for record in caplog.records)


def test_what_is_written_after_it_was_given_up_is_in_nobodys_way(archive_there: Archive, tmp_path: Path) -> None:
    late: list[Path] = []
    archive_there.faults["RETRIEVE", "f"] = writes(late.append)
    transfer, _ = brought(archive_there, tmp_path / "f")
    assert transfer.method == "stream"
    assert len(set(late)) == 2
    late[0].write_bytes(b"late")
    assert (tmp_path / "f").read_bytes() == DATA


@pytest.mark.parametrize("name", ["a,b", "a=b", "a b", "a&b", "a;b", "a'b", "ä", "a%2Cb", "$(x)"])
def test_a_path_that_could_be_misread_is_not_told_to_ngas(
    archive_there: Archive, tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert brought(archive_there, tmp_path / name / "f")[0].method == "stream"
    assert "could misread" in caplog.text
    assert len(archive_there.asked("RETRIEVE", 1)) == 1


def test_what_a_stream_began_a_stream_ends(archive_there: Archive, tmp_path: Path) -> None:
    archive_there.put("f", DATA)
    file = archive_there.client().describe("f")
    archive_there.faults["RETRIEVE", "f"] = cut(MIB)
    with pytest.raises(Transient):
        archive_there.client(patience=Patience(rounds=1)).retrieve(file, tmp_path / "f")
    archive_there.faults.clear()
    transfer = archive_there.client().retrieve(file, tmp_path / "f", direct=True)
    assert (transfer.method, transfer.resumed_from) == ("stream", MIB)


def test_a_file_that_is_nowhere_is_missing(archive_there: Archive, tmp_path: Path) -> None:
    archive_there.put("f", DATA)
    client = archive_there.client()
    file = client.describe("f").model_copy(update={"file_id": "nosuch"})
    with pytest.raises(Missing, match="nosuch"):
        client.retrieve(file, tmp_path / "f", direct=True)


def test_a_damaged_copy_in_the_archive_is_never_placed(archive_there: Archive, tmp_path: Path) -> None:
    entry = archive_there.put("f", DATA)
    file = archive_there.client().describe("f")
    archive_there.path_of(entry).write_bytes(DATA[:-1] + b"!")
    with pytest.raises(Failed, match="checksum"):
        archive_there.client().retrieve(file, tmp_path / "f", direct=True)
    assert not list(tmp_path.glob("f"))
    assert not list(tmp_path.glob(".ngas*"))


def test_a_server_that_is_gone(dead_server: str, archive_there: Archive, tmp_path: Path) -> None:
    archive_there.put("f", DATA)
    file: StoredFile = archive_there.client().describe("f").model_copy(update={"server": dead_server})
    client: NgasClient = archive_there.client()
    assert client.retrieve(file, tmp_path / "f", direct=True).method == "stream"


def test_a_copy_takes_a_stream(archive_there: Archive, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A server that copies is as busy as one that streams."""
    streams, busy = Streams(tmp_path / "streams", 1), list[int]()
    archive_there.faults["RETRIEVE", "f"] = lambda handler: bool(busy.append(streams.busy(archive_there.address)))
    transfer, _ = brought(archive_there, tmp_path / "f", streams=streams)
    assert (transfer.method, busy) == ("copy", [1])

"""Every fault of the table, by name and singly: the right bytes or the right error, in time, and nothing half."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ngas_archive import MIB, Archive, some_bytes

from deployments.local.illness import SITE, Ill, InTurn
from deployments.local.named_faults import FAULTS, NamedFault
from deployments.local.ngas_faults import (
    answer,
    busy,
    cut,
    failure,
    first,
    flip,
    hang_up,
    in_turn,
    internal_error,
    negative_length,
    offline,
    page,
    redirect,
    reset,
    stall,
    trickle,
    trickle_head,
    unavailable,
    whole_again,
    wrong_start,
)
from deployments.local.ngas_handler import Fault, Handler
from deployments.local.ngas_server import archive, requests_of, serving_cluster
from tasks.errors import Failed, Missing, PpiError, Refused, Transient
from tasks.ngas import NgasClient, Patience, Store, StoredFile
from tasks.ngas.fetching import fetch_all
from tasks.ngas.locations import read_report

DATA = some_bytes(300_001)
LONG = some_bytes(3 * MIB + 17)
TIMEOUT = 0.3
IN_TIME = 15.0
"""Seconds: far more than all time-outs of a client's whole patience here, far less than any fault lasts."""
ROWS = set(range(1, 18))
STREAMED = {name: fault for name, fault in FAULTS.items() if fault.report is None}
REPORTED = {name: fault for name, fault in FAULTS.items() if fault.report is not None}


@contextmanager
def ailing(fault: NamedFault, tmp_path: Path) -> Iterator[tuple[NgasClient, Ill]]:
    """An archive with a fault, and a client of little patience that knows of the servers that it may know of."""
    root = tmp_path / "archive"
    for name in ("f", "other"):
        source = tmp_path / name
        source.write_bytes(DATA)
        archive(root, source, name)
    with serving_cluster(root, fault.nodes) as nodes:
        ill = Ill(nodes, "f")
        fault.put(ill)
        servers = [nodes[number].address for number in fault.known]
        yield NgasClient(servers, timeout=TIMEOUT, patience=Patience(rounds=3, sleep=lambda _: None)), ill


def leftovers(folder: Path) -> list[str]:
    """Return what lies there but parts to be resumed."""
    return [path.name for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".part")]


def test_every_row_of_the_table_is_there() -> None:
    assert {fault.row for fault in FAULTS.values()} == ROWS
    assert all(name == fault.name and re.fullmatch("[a-z0-9-]+", name) for name, fault in FAULTS.items())
    assert [fault.row for fault in FAULTS.values()] == sorted(fault.row for fault in FAULTS.values())


@pytest.mark.parametrize("fault", STREAMED.values(), ids=STREAMED)
def test_a_fault_by_name(tmp_path: Path, fault: NamedFault) -> None:
    there = tmp_path / "there"
    there.mkdir()
    counts: list[int] = []
    with ailing(fault, tmp_path) as (client, _):
        with ending(fault):
            client.retrieve(client.describe("f"), there / "f", counts.append)
        if fault.ends:
            assert leftovers(there) == []
        else:
            assert (there / "f").read_bytes() == DATA
            assert sum(counts) == len(DATA)
            assert [path.name for path in there.iterdir()] == ["f"]
    if isinstance(fault.put, InTurn):
        asked = [line for line in requests_of(tmp_path / "archive", "RETRIEVE") if line["file_id"] == "f"]
        assert len(asked) >= len(fault.put.faults), "it was met"


@contextmanager
def ending(fault: NamedFault) -> Iterator[None]:
    """Require that it ends as a right client ends, and in time."""
    began = time.monotonic()
    if fault.ends:
        with pytest.raises(fault.ends) as caught:
            yield
        assert caught.value.why
        assert caught.value.todo
    else:
        yield
    assert time.monotonic() - began < IN_TIME


@pytest.mark.parametrize("fault", STREAMED.values(), ids=STREAMED)
def test_a_fault_by_name_behind_the_store(tmp_path: Path, fault: NamedFault) -> None:
    store = Store(tmp_path / "store")
    with (
        ailing(fault, tmp_path) as (client, _),
        ending(fault),
        store.using(client, client.describe("f")) as held,
    ):
        assert held.path.read_bytes() == DATA
    kept = [path for path in (tmp_path / "store").rglob("*") if path.name in ("content", "record.json")]
    assert len(kept) == (0 if fault.ends else 2)


@pytest.mark.parametrize("fault", REPORTED.values(), ids=REPORTED)
def test_a_fault_by_name_of_a_report_or_a_copy(tmp_path: Path, fault: NamedFault) -> None:
    there = tmp_path / "there" / "deep"
    with ailing(fault, tmp_path) as (client, ill), ending(fault):
        locations = read_report(ill.report(fault.report or {}), "the report", SITE)
        assert locations.files[0].direct
        (outcome,) = fetch_all(locations, Store(tmp_path / "store"), client, there, 1)
        assert outcome.error is None
        assert outcome.path.read_bytes() == DATA
    assert [path.name for path in there.parent.rglob("*") if path.is_file()] == ([] if fault.ends else ["f"])
    assert bool(requests_of(tmp_path / "archive", "RETRIEVE")) == (fault.ends is None)
    assert {path.name for path in tmp_path.iterdir()} <= {"archive", "f", "other", "store", "there"}


def say_nothing(handler: Handler) -> bool:
    return True


STAYING: dict[str, tuple[Fault, type[PpiError], str]] = {
    "cut": (cut(0), Transient, "broke off"),
    "a byte each time": (cut(1), Transient, "broke off"),
    "reset": (reset(), Transient, "reset"),
    "flipped byte": (flip(5), Failed, "have checksum crc32:"),
    "busy": (busy(), Transient, "HTTP 503"),
    "internal error": (internal_error(), Transient, "HTTP 500, .*database is locked"),
    "unmounted": (unavailable(), Transient, "4019.*the archive lists it"),
    "offline": (offline(), Transient, "4015"),
    "empty reply": (say_nothing, Transient, "without an answer"),
    "silence": (hang_up(60), Transient, "time-out"),
    "stall": (stall(0), Transient, "time-out"),
    "trickle": (trickle(0.05), Transient, "time-out"),
    "header trickle": (trickle_head(0.05), Transient, "time-out"),
    "short file": (answer(200, LONG[:-1]), Failed, f"{len(LONG) - 1} bytes where .* {len(LONG)}"),
    "long file": (answer(200, LONG + b"x"), Failed, f"{len(LONG) + 1} bytes where .* {len(LONG)}"),
    "wrong start": (wrong_start(), Failed, "it sent others"),
    "negative length": (negative_length(), Failed, "it sent others"),
    "failure with 200": (failure("NGAMS_ER_ILL:1:ERROR: x"), Failed, "NGAMS_ER_ILL"),
    "forbidden": (answer(403, b"keep out"), Refused, "HTTP 403, keep out"),
    "unknown command": (answer(404, b""), Refused, "HTTP 404"),
    "bad request": (answer(400, b"no such thing"), Refused, "no such thing"),
    "page with 200": (page(), Failed, "please wait"),
    "bad gateway": (page(502), Transient, "HTTP 502"),
    "redirect loop": (redirect(), Transient, "loop"),
    "redirect elsewhere": (answer(303, headers={"Location": "file:///etc/passwd"}), Refused, "not an address"),
}


@pytest.mark.parametrize(("fault", "kind", "reason"), STAYING.values(), ids=STAYING)
def test_a_fault_that_stays(
    archive_there: Archive, tmp_path: Path, fault: Fault, kind: type[PpiError], reason: str
) -> None:
    file = described(archive_there)
    archive_there.faults["RETRIEVE", "f"] = fault
    began = time.monotonic()
    with pytest.raises(kind, match=reason) as caught:
        archive_there.client(timeout=TIMEOUT).retrieve(file, tmp_path / "f")
    assert time.monotonic() - began < IN_TIME
    message = str(caught.value)
    for part in ("f version 1", archive_there.address, "attempt", " of 3", "Next: "):
        assert part in message
    assert not (tmp_path / "f").exists()
    assert len(archive_there.pauses) == {Transient: 2, Failed: 1, Refused: 0}[kind]


def described(there: Archive) -> StoredFile:
    there.put("f", LONG)
    return there.client().describe("f")


def test_4019_of_a_file_that_is_gone(archive_there: Archive, tmp_path: Path) -> None:
    file = described(archive_there).model_copy(update={"version": 7})
    with pytest.raises(Missing, match="does not list it either"):
        archive_there.client().retrieve(file, tmp_path / "f")
    assert not archive_there.pauses


def test_4019_where_nobody_can_be_asked_stays_open(archive_there: Archive, tmp_path: Path) -> None:
    file = described(archive_there)
    archive_there.faults["RETRIEVE", "f"] = unavailable()
    archive_there.faults["QUERY", "f"] = answer(404)
    with pytest.raises(Transient, match="4019"):
        archive_there.client().retrieve(file, tmp_path / "f")


def test_the_archives_damaged_copy_is_not_asked_for_again_and_again(
    archive_there: Archive, tmp_path: Path
) -> None:
    file = described(archive_there)
    archive_there.faults["RETRIEVE", "f"] = flip(0)
    patience = Patience(rounds=9, sleep=archive_there.pauses.append)
    with pytest.raises(Failed, match="CHECKFILE"):
        archive_there.client(patience=patience).retrieve(file, tmp_path / "f")
    assert len(archive_there.pauses) == 1


def test_a_resume_that_is_answered_with_the_whole_file(archive_there: Archive, tmp_path: Path) -> None:
    file = described(archive_there)
    archive_there.faults["RETRIEVE", "f"] = in_turn(cut(MIB), whole_again(), cut(MIB), whole_again())
    counts: list[int] = []
    archive_there.client().retrieve(file, tmp_path / "f", counts.append)
    assert (tmp_path / "f").read_bytes() == LONG
    assert sum(counts) == len(LONG)


def test_a_page_does_not_cost_what_has_come(archive_there: Archive, tmp_path: Path) -> None:
    file = described(archive_there)
    archive_there.faults["RETRIEVE", "f"] = in_turn(cut(MIB), page())
    archive_there.client().retrieve(file, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == LONG
    assert archive_there.asked("RETRIEVE", 3)[-1]["range"] == f"bytes={MIB}-"


def test_a_page_as_long_as_a_file_without_a_checksum(archive_there: Archive, tmp_path: Path) -> None:
    archive_there.put("plain", b"123456", plugin="None")
    file = archive_there.client().describe("plain")
    archive_there.faults["RETRIEVE", "plain"] = answer(200, b"<html>", {"Content-Type": "text/html"})
    with pytest.raises(Failed, match="<html>"):
        archive_there.client().retrieve(file, tmp_path / "f")
    assert not (tmp_path / "f").exists()


def test_the_first_server_is_dead(archive_there: Archive, dead_server: str, tmp_path: Path) -> None:
    archive_there.put("f", LONG)
    client = archive_there.client(dead_server, archive_there.address)
    file = client.describe("f")
    assert client.retrieve(file, tmp_path / "f").server == archive_there.address
    assert not archive_there.pauses


def test_missing_where_a_dead_server_may_have_it_is_not_missing(archive_there: Archive, dead_server: str) -> None:
    with pytest.raises(Transient, match="refused the connection"):
        archive_there.client(archive_there.address, dead_server).describe("nosuch")


def test_servers_that_never_answer_end_in_time(archive_there: Archive, silent_server: str) -> None:
    began = time.monotonic()
    with pytest.raises(Transient, match="time-out"):
        archive_there.client(silent_server, timeout=0.2).describe("f")
    assert time.monotonic() - began < IN_TIME


def test_a_stall_is_resumed(archive_there: Archive, tmp_path: Path) -> None:
    file = described(archive_there)
    archive_there.faults["RETRIEVE", "f"] = first(1, stall(2 * MIB))
    archive_there.client(timeout=1).retrieve(file, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == LONG
    assert archive_there.asked("RETRIEVE", 2)[-1]["range"] == f"bytes={2 * MIB}-"

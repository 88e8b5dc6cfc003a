"""An archive that is not well: what a retry can help ends with the right bytes, all else with the right error."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ngas_archive import MIB, Archive, some_bytes

from deployments.local.ngas_faults import (
    answer,
    busy,
    cut,
    first,
    flip,
    internal_error,
    stall,
    unavailable,
)
from deployments.local.ngas_handler import Fault, Handler
from deployments.local.ngas_refusal import offline
from tasks.errors import Failed, Missing, PpiError, Refused, Transient
from tasks.ngas import Patience, StoredFile
from tasks.ngas.patience import Attempt, persevere
from tasks.ngas.wire import Damaged

DATA = some_bytes(3 * MIB + 17)
FAILURE = b'<NgamsStatus><Status Status="FAILURE" Message="%s"/></NgamsStatus>'


def be_offline(handler: Handler) -> bool:
    raise offline(handler.ngas_command)


def say_nothing(handler: Handler) -> bool:
    return True


def page(status: int, body: bytes, media_type: str) -> Fault:
    return answer(status, body, {"Content-Type": media_type})


PASSING = {
    "cut": cut(MIB + 5),
    "cut at once": cut(0),
    "flipped byte": flip(2 * MIB),
    "busy": busy(),
    "internal error": internal_error(),
    "unmounted": unavailable(),
    "offline": be_offline,
    "empty reply": say_nothing,
    "bad gateway": page(502, b"<html>proxy to a dead node</html>", "text/html"),
    "page with 200": page(200, b"<html>please wait</html>", "text/html; charset=utf-8"),
    "failure with 200": page(200, FAILURE % b"NGAMS_ER_ILL:1:ERROR: x", "text/xml"),
    "short file with its own length": answer(200, DATA[:-1]),
    "long file with its own length": answer(200, DATA + b"x"),
    "empty file": answer(200, b""),
    "wrong start": answer(200, DATA[7:], {"Content-Range": f"bytes 7-{len(DATA) - 1}/{len(DATA)}"}),
    "partial without a range": answer(206, DATA),
    "negative length": answer(200, b"", {"Content-Length": "-7"}),
    "node that cannot be reached": page(400, FAILURE % b"NGAMS_ER_COM:4000:ERROR: node x", "text/xml"),
}
DAMAGING = PASSING.keys() - {
    *("cut", "cut at once", "busy", "internal error", "unmounted", "offline", "empty reply", "bad gateway"),
    "node that cannot be reached",
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_a_fault_that_passes(archive_there: Archive, tmp_path: Path, fault: Fault) -> None:
    file = described(archive_there)
    archive_there.faults["RETRIEVE", "f"] = first(1, fault)
    counts: list[int] = []
    transfer = archive_there.client().retrieve(file, tmp_path / "f", counts.append)
    assert (tmp_path / "f").read_bytes() == DATA
    assert (sum(counts), transfer.attempts, len(archive_there.pauses)) == (len(DATA), 2, 1)
    assert not list(tmp_path.glob(".ngas-*"))


ENDS: dict[str, tuple[Fault, type[PpiError], str]] = {
    "cut": (cut(0), Transient, "broke off"),
    "flipped byte": (flip(5), Failed, "have checksum crc32:"),
    "busy": (busy(), Transient, "HTTP 503"),
    "internal error": (internal_error(), Transient, "HTTP 500, .*database is locked"),
    "unmounted": (unavailable(), Transient, "4019.*the archive lists it"),
    "offline": (be_offline, Transient, "4015"),
    "empty reply": (say_nothing, Transient, "without an answer"),
    "short file": (answer(200, DATA[:-1]), Failed, f"{len(DATA) - 1} bytes where .* {len(DATA)}"),
    "forbidden": (answer(403, b"keep out"), Refused, "HTTP 403, keep out"),
    "unknown command": (answer(404, b""), Refused, "HTTP 404"),
    "bad request": (page(400, FAILURE % b"no such thing", "text/xml"), Refused, "no such thing"),
    "page with 200": (page(200, b"<html>wait</html>", "text/html"), Failed, "<html>wait"),
    "redirect loop": (answer(303, headers={"Location": "/RETRIEVE?file_id=f"}), Transient, "loop"),
    "redirect elsewhere": (answer(303, headers={"Location": "file:///etc/passwd"}), Refused, "not an address"),
}


@pytest.mark.parametrize(("fault", "kind", "reason"), ENDS.values(), ids=ENDS)
def test_a_fault_that_stays(
    archive_there: Archive, tmp_path: Path, fault: Fault, kind: type[PpiError], reason: str
) -> None:
    file = described(archive_there)
    archive_there.faults["RETRIEVE", "f"] = fault
    with pytest.raises(kind, match=reason) as caught:
        archive_there.client().retrieve(file, tmp_path / "f")
    message = str(caught.value)
    for part in ("f version 1", archive_there.address, "attempt", " of 3", "Next: "):
        assert part in message
    assert not (tmp_path / "f").exists()
    assert len(archive_there.pauses) == {Transient: 2, Failed: 1, Refused: 0}[kind]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(names=st.lists(st.sampled_from(sorted(PASSING)), max_size=5))
def test_faults_in_a_row(archive_there: Archive, tmp_path: Path, names: list[str]) -> None:
    if not archive_there.faults:
        described(archive_there)
    faults = iter([PASSING[name] for name in names])
    archive_there.faults["RETRIEVE", "f"] = lambda handler: next(faults, well)(handler)
    client, counts = (
        archive_there.client(patience=Patience(rounds=9, sleep=archive_there.pauses.append)),
        list[int](),
    )
    destination = Path(tempfile.mkdtemp(dir=tmp_path)) / "f"
    try:
        client.retrieve(client.describe("f"), destination, counts.append)
    except Failed as error:
        assert "attempt" in str(error)  # noqa: PT017 - twice damaged is an end that is allowed
        assert sum(name in DAMAGING for name in names) > 1
        assert not destination.exists()
    else:
        assert destination.read_bytes() == DATA
        assert sum(counts) == len(DATA)


def well(handler: Handler) -> bool:
    return False


def described(there: Archive) -> StoredFile:
    there.put("f", DATA)
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
    with pytest.raises(Failed, match="CHECKFILE"):
        archive_there.client(patience=Patience(rounds=9, sleep=archive_there.pauses.append)).retrieve(
            file, tmp_path / "f"
        )
    assert len(archive_there.pauses) == 1


def test_a_resume_that_is_answered_with_the_whole_file(archive_there: Archive, tmp_path: Path) -> None:
    file = described(archive_there)
    whole = first(2, answer(200, DATA))
    archive_there.faults["RETRIEVE", "f"] = lambda handler: (
        whole(handler) if "Range" in handler.headers else cut(MIB)(handler)
    )
    counts: list[int] = []
    archive_there.client().retrieve(file, tmp_path / "f", counts.append)
    assert (tmp_path / "f").read_bytes() == DATA
    assert sum(counts) == len(DATA)


def test_a_page_does_not_cost_what_has_come(archive_there: Archive, tmp_path: Path) -> None:
    file = described(archive_there)
    faults = iter([cut(MIB), page(200, b"<html>", "text/html")])
    archive_there.faults["RETRIEVE", "f"] = lambda handler: next(faults, well)(handler)
    archive_there.client().retrieve(file, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == DATA


def test_a_page_as_long_as_a_file_without_a_checksum(archive_there: Archive, tmp_path: Path) -> None:
    archive_there.put("plain", b"123456", plugin="None")
    file = archive_there.client().describe("plain")
    archive_there.faults["RETRIEVE", "plain"] = page(200, b"<html>", "text/html")
    with pytest.raises(Failed, match="<html>"):
        archive_there.client().retrieve(file, tmp_path / "f")
    assert not (tmp_path / "f").exists()


def test_the_first_server_is_dead(archive_there: Archive, dead_server: str, tmp_path: Path) -> None:
    archive_there.put("f", DATA)
    client = archive_there.client(dead_server, archive_there.address)
    file = client.describe("f")
    assert client.retrieve(file, tmp_path / "f").server == archive_there.address
    away = file.model_copy(update={"server": dead_server})
    assert client.retrieve(away, tmp_path / "f").attempts == 2
    assert not archive_there.pauses


def test_another_server_is_asked_after_a_refusal() -> None:
    assert persevere(("strict", "open"), Patience(), "f", _refusing("strict")) == "open"


@pytest.mark.parametrize(
    "other", [Missing("f"), Transient("f"), Damaged("f")], ids=lambda error: type(error).__name__
)
@pytest.mark.parametrize("servers", [("strict", "other"), ("other", "strict")])
def test_a_refusal_is_told_when_no_server_helps(servers: tuple[str, str], other: PpiError) -> None:
    asked: list[str] = []

    def attempt(at: Attempt) -> str:
        asked.append(at.server)
        if at.server == "other":
            raise other
        return _refusing("strict")(at)

    with pytest.raises(Refused, match="HTTP 403"):
        persevere(servers, Patience(), "f", attempt)
    assert asked == list(servers), "each once"


def test_what_is_our_own_failure_ends_at_once() -> None:
    def attempt(at: Attempt) -> str:
        asked.append(at.server)
        raise Failed("the disk", "it is full")

    asked: list[str] = []
    with pytest.raises(Failed, match="it is full"):
        persevere(("one", "two"), Patience(), "f", attempt)
    assert asked == ["one"]


def _refusing(server: str) -> Callable[[Attempt], str]:
    def attempt(at: Attempt) -> str:
        if at.server == server:
            raise Refused(f"server {server}", "HTTP 403")
        return at.server

    return attempt


def test_missing_where_a_dead_server_may_have_it_is_not_missing(archive_there: Archive, dead_server: str) -> None:
    with pytest.raises(Transient, match="refused the connection"):
        archive_there.client(archive_there.address, dead_server).describe("nosuch")


def test_servers_that_never_answer_end_in_time(archive_there: Archive, silent_server: str, tmp_path: Path) -> None:
    file = described(archive_there)
    began = time.monotonic()
    with pytest.raises(Transient, match="time-out"):
        archive_there.client(silent_server, timeout=0.2).describe("f")
    archive_there.faults["RETRIEVE", "f"] = stall(MIB, 60)
    with pytest.raises(Transient, match="time-out"):
        archive_there.client(timeout=0.2).retrieve(file, tmp_path / "f")
    assert time.monotonic() - began < 15


def test_a_stall_is_resumed(archive_there: Archive, tmp_path: Path) -> None:
    file = described(archive_there)
    archive_there.faults["RETRIEVE", "f"] = first(1, stall(2 * MIB, 60))
    archive_there.client(timeout=1).retrieve(file, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == DATA
    assert archive_there.asked("RETRIEVE", 1)[-1]["range"] != ""


def test_pauses_grow_and_differ() -> None:
    patience = Patience(rounds=8, first_pause=1, longest_pause=10)
    pauses = list(patience.pauses())
    assert len(pauses) == 7
    for number, pause in enumerate(pauses):
        most = min(10, 2**number)
        assert most / 2 <= pause <= most
    assert pauses != list(patience.pauses())

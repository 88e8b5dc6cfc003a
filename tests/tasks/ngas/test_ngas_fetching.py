"""Fetching many files: each to its place, several at once, one failure stopping none, and nothing lost."""

from __future__ import annotations

import threading
import time
from pathlib import Path, PurePosixPath

import pytest
from ngas_archive import MIB, Archive, some_bytes

from deployments.local.ngas_faults import answer, stall, unavailable
from deployments.local.ngas_handler import Fault, Handler
from deployments.local.ngas_server import serving
from tasks.errors import Failed, Missing, PpiError, Refused, Transient
from tasks.ngas import Patience, Store, StoredFile
from tasks.ngas.fetching import STAGE, Outcome, complete, fetch_all, find_all
from tasks.ngas.locations import Located, Locations
from tasks.progress import Event, following

NAMES = ("a", "b", "c", "d")


@pytest.fixture
def filled(archive_there: Archive) -> Archive:
    for number, name in enumerate(NAMES):
        archive_there.put(name, some_bytes(MIB + number, number))
    return archive_there


def located(there: Archive, *names: str, folder: str = "in", direct: bool = False) -> Locations:
    client = there.client()
    return Locations(
        tuple(Located(client.describe(name), PurePosixPath(folder, name), direct) for name in names or NAMES)
    )


def fetched(there: Archive, locations: Locations, folder: Path, streams: int = 2) -> tuple[Outcome, ...]:
    return fetch_all(locations, Store(folder / "store"), there.client(), folder / "to", streams)


def the_error(outcome: Outcome) -> PpiError:
    assert outcome.error
    return outcome.error


def test_files_come_to_their_places(filled: Archive, tmp_path: Path) -> None:
    events: list[Event] = []
    with following(events.append):
        outcomes = fetched(filled, located(filled), tmp_path)
    for number, (name, outcome) in enumerate(zip(NAMES, outcomes, strict=True)):
        assert (outcome.path, outcome.source, outcome.error) == (tmp_path / "to" / "in" / name, "archive", None)
        assert outcome.transfer
        assert outcome.path.read_bytes() == some_bytes(MIB + number, number)
    assert sum(event.done for event in events) == sum(MIB + number for number in range(4))
    assert {event.stage for event in events} == {STAGE}
    assert {event.item for event in events} == {f"in/{name}" for name in NAMES}


def test_asked_again_nothing_is_fetched(filled: Archive, tmp_path: Path) -> None:
    locations = located(filled)
    fetched(filled, locations, tmp_path)
    (tmp_path / "to" / "in" / "b").unlink()
    again = fetched(filled, locations, tmp_path)
    assert [outcome.source for outcome in again] == ["place", "store", "place", "place"]
    assert len(filled.asked("RETRIEVE", 4)) == 4
    assert (tmp_path / "to" / "in" / "b").read_bytes() == some_bytes(MIB + 1, 1)


def test_one_that_fails_stops_none_and_is_gone_on_with(filled: Archive, tmp_path: Path) -> None:
    locations = located(filled)
    filled.faults["RETRIEVE", "b"] = answer(403)
    filled.faults["RETRIEVE", "c"] = answer(503)
    outcomes = fetched(filled, locations, tmp_path, streams=1)
    assert [outcome.error is None for outcome in outcomes] == [True, False, False, True]
    assert isinstance(outcomes[1].error, Refused)
    assert isinstance(outcomes[2].error, Transient)
    assert "b version 1" in str(the_error(outcomes[1]))
    assert not outcomes[1].path.exists()
    filled.faults.clear()
    assert [each.source for each in fetched(filled, locations, tmp_path)] == [
        "place",
        "archive",
        "archive",
        "place",
    ]


def test_what_lies_there_already_is_never_lost(filled: Archive, tmp_path: Path) -> None:
    place = tmp_path / "to" / "in"
    place.mkdir(parents=True)
    (tmp_path / "outside").write_bytes(b"mine")
    (place / "a").write_bytes(b"mine")
    (place / "b").write_bytes(bytes(MIB + 1))  # of the right size
    (place / "c").symlink_to(tmp_path / "outside")
    (place / "d").mkdir()
    outcomes = fetched(filled, located(filled), tmp_path)
    assert all(isinstance(outcome.error, Refused) for outcome in outcomes)
    assert "something else lies at" in str(the_error(outcomes[0]))
    assert (place / "a").read_bytes() == (tmp_path / "outside").read_bytes() == b"mine"
    assert (place / "b").read_bytes() == bytes(MIB + 1)
    assert (place / "c").is_symlink()
    assert not filled.asked("RETRIEVE", 0)


def test_a_link_to_the_right_file_is_no_file(filled: Archive, tmp_path: Path) -> None:
    (tmp_path / "to" / "in").mkdir(parents=True)
    (tmp_path / "right").write_bytes(some_bytes(MIB, 0))
    (tmp_path / "to" / "in" / "a").symlink_to(tmp_path / "right")
    (outcome,) = fetched(filled, located(filled, "a"), tmp_path)
    assert isinstance(outcome.error, Refused)


def test_the_same_file_from_elsewhere_may_stay(filled: Archive, tmp_path: Path) -> None:
    (tmp_path / "to" / "in").mkdir(parents=True)
    (tmp_path / "to" / "in" / "a").write_bytes(some_bytes(MIB, 0))
    (outcome,) = fetched(filled, located(filled, "a"), tmp_path)
    assert (outcome.source, outcome.error) == ("place", None)
    assert not filled.asked("RETRIEVE", 0)


@pytest.mark.parametrize("same", [True, False])
def test_without_a_checksum_the_bytes_are_compared(archive_there: Archive, tmp_path: Path, same: bool) -> None:
    archive_there.put("plain", b"abc", plugin="None")
    (tmp_path / "to" / "in").mkdir(parents=True)
    (tmp_path / "to" / "in" / "plain").write_bytes(b"abc" if same else b"xyz")
    (outcome,) = fetched(archive_there, located(archive_there, "plain"), tmp_path)
    assert (outcome.error is None) is same
    assert (tmp_path / "to" / "in" / "plain").read_bytes() == (b"abc" if same else b"xyz")


def test_a_link_that_leaves_is_not_followed(filled: Archive, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "in").symlink_to(tmp_path / "outside")
    (outcome,) = fetched(filled, located(filled, "a"), tmp_path)
    assert isinstance(outcome.error, Refused)
    assert not list((tmp_path / "outside").iterdir())


def test_a_folder_that_cannot_be_made(filled: Archive, tmp_path: Path) -> None:
    (tmp_path / "to").write_bytes(b"")
    with pytest.raises(Failed, match="cannot take files"):
        fetched(filled, located(filled, "a"), tmp_path)


def test_direct_files_are_copied(filled: Archive, tmp_path: Path) -> None:
    outcomes = fetched(filled, located(filled, direct=True), tmp_path)
    assert [outcome.transfer and outcome.transfer.method for outcome in outcomes] == ["copy"] * 4
    assert outcomes[0].path.read_bytes() == some_bytes(MIB, 0)


def test_so_many_at_once_from_each_server(filled: Archive, tmp_path: Path) -> None:
    """A server that is slow does not keep the other idle."""
    now: list[str] = []
    most: dict[str, int] = {}
    guard = threading.Lock()

    def counted(name: str, handler: Handler) -> bool:
        with guard:
            now.append(name)
            most[name] = max(most.get(name, 0), now.count(name))
        time.sleep(0.3)
        with guard:
            now.remove(name)
        return False

    names = [f"f{number}" for number in range(10)]
    for name in names:
        filled.put(name, name.encode())
    first = {("RETRIEVE", name): lambda handler: counted("first", handler) for name in names}
    second = {("RETRIEVE", name): lambda handler: counted("second", handler) for name in names}
    with serving(filled.root, faults=first) as one, serving(filled.root, faults=second) as two:
        files = located(filled, *names).files
        halves = [(file, one if number < 5 else two) for number, file in enumerate(files)]
        locations = Locations(
            tuple(
                Located(file.stored.model_copy(update={"server": server}), file.path, direct=False)
                for file, server in halves
            )
        )
        outcomes = fetch_all(locations, Store(tmp_path / "store"), filled.client(one, two), tmp_path / "to", 2)
    assert not any(outcome.error for outcome in outcomes)
    assert {outcome.transfer.server for outcome in outcomes if outcome.transfer} == {one, two}
    assert max(most.values()) == 2


def copies_half(handler: Handler) -> bool:
    Path(handler.parameters["processingPars"].removeprefix("outfile=")).write_bytes(bytes(600_000))
    handler.linger(60)
    return True


@pytest.mark.parametrize(("fault", "direct"), [(stall(600_000, 60), False), (copies_half, True)])
def test_an_interruption_ends_all_of_them_soon(
    filled: Archive, tmp_path: Path, fault: Fault, direct: bool
) -> None:
    for name in NAMES:
        filled.faults["RETRIEVE", name] = fault
    locations, began = located(filled, direct=direct), time.monotonic()

    def interrupt(event: Event) -> None:
        if event.done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), following(interrupt):
        fetch_all(locations, Store(tmp_path / "store"), filled.client(timeout=60), tmp_path / "to", 2)
    assert time.monotonic() - began < 10
    filled.faults.clear()
    assert not any(outcome.error for outcome in fetched(filled, locations, tmp_path))


def test_files_are_found_by_their_ids(filled: Archive) -> None:
    filled.put("uid://A002/X1/X2", b"abc")
    filled.put("a", b"another version")
    locations = find_all(filled.client(), ["uid://A002/X1/X2", "a", "a"], None)
    assert [str(file.path) for file in locations.files] == ["uid___A002_X1_X2", "a"]
    assert [file.stored.version for file in locations.files] == [1, 2]
    assert find_all(filled.client(), ["a"], 1).files[0].stored.version == 1


def test_files_that_are_not_found(filled: Archive) -> None:
    with pytest.raises(Missing, match="nosuch"):
        find_all(filled.client(), ["a", "nosuch"], None)
    for odd in ("..", "", ".hidden", "a\nb"):
        with pytest.raises(Refused, match="no file can be called so"):
            find_all(filled.client(), ["a", odd], None)
    filled.put("x/y", b"1")
    filled.put("x_y", b"2")
    with pytest.raises(Refused, match="would both be 'x_y'"):
        find_all(filled.client(), ["x/y", "x_y"], None)


def without_checksum(there: Archive, name: str, **changes: object) -> Locations:
    told = there.client().describe(name).model_copy(update={"checksum": None, **changes})
    return Locations((Located(told, PurePosixPath(name), direct=True),))


def test_the_archive_says_the_checksums_that_a_report_leaves_out(filled: Archive) -> None:
    elsewhere = without_checksum(filled, "a", server="nmngas01:7777")
    (file,) = complete(elsewhere, filled.client()).files
    assert file.stored.checksum == filled.client().describe("a").checksum
    assert (file.stored.server, file.direct) == ("nmngas01:7777", True)


def test_what_has_no_checksum_is_the_archives_own_word_and_server(archive_there: Archive) -> None:
    archive_there.put("plain", b"abc", plugin="None")
    (file,) = complete(without_checksum(archive_there, "plain", server="evil:80"), archive_there.client()).files
    assert (file.stored.server, file.direct) == (archive_there.address, False)


def test_a_report_that_differs_from_the_archive(filled: Archive) -> None:
    with pytest.raises(Failed, match="were expected"):
        complete(without_checksum(filled, "a", size=5), filled.client())


def test_what_the_archive_does_not_know_is_as_the_report_says(filled: Archive) -> None:
    locations = without_checksum(filled, "a", file_id="nosuch")
    assert complete(locations, filled.client()) == locations


def test_an_archive_that_cannot_be_asked_leaves_nothing_uncertain(filled: Archive) -> None:
    locations = without_checksum(filled, "a")
    filled.faults["STATUS", "a"] = filled.faults["QUERY", "a"] = answer(503)
    with pytest.raises(Transient):
        complete(locations, filled.client(patience=Patience(rounds=1)))


def test_a_server_of_a_report_is_not_shown_the_login(tmp_path: Path) -> None:
    there = Archive(tmp_path / "archive")
    there.put("f", b"abc")
    shown: list[str | None] = []
    there.faults["RETRIEVE", "f"] = lambda handler: bool(shown.append(handler.headers.get("Authorization")))
    with serving(there.root, faults=there.faults) as stranger, serving(there.root) as own:
        file: StoredFile = there.client(own).describe("f").model_copy(update={"server": stranger})
        locations = Locations((Located(file, PurePosixPath("f"), direct=False),))
        client = there.client(own, username="alma", password="s3cret")
        (outcome,) = fetch_all(locations, Store(tmp_path / "store"), client, tmp_path / "to", 1)
    assert outcome.error is None
    assert shown == [None]


def test_a_file_out_of_reach_is_transient_and_another_comes(filled: Archive, tmp_path: Path) -> None:
    locations = located(filled)
    filled.faults["RETRIEVE", "a"] = unavailable()
    outcomes = fetched(filled, locations, tmp_path)
    assert isinstance(outcomes[0].error, Transient)
    assert not any(outcome.error for outcome in outcomes[1:])

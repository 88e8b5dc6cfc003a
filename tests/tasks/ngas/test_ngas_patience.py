"""How long, and whom, the client keeps asking."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tasks.errors import Failed, Missing, PpiError, Refused, Transient
from tasks.ngas.patience import Attempt, Mixed, Patience, persevere
from tasks.ngas.wire import Damaged

REFUSED, MISSING, BUSY = Refused("f", "HTTP 403"), Missing("f", "4019"), Transient("f", "HTTP 503")
DAMAGED = Damaged("f", "checksum")


class Servers:
    """Servers that answer one thing after the other; the last of it for ever. `None` is the file."""

    def __init__(self, answers: Mapping[str, list[PpiError | None]]) -> None:
        self.answers = {server: list(answers[server]) for server in answers}
        self.asked: list[str] = []
        self.pauses: list[float] = []

    def fetch(self, rounds: int = 4) -> str:
        return persevere(tuple(self.answers), Patience(rounds, sleep=self.pauses.append), "f", self.attempt)

    def attempt(self, at: Attempt) -> str:
        self.asked.append(at.server)
        answers = self.answers[at.server]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if answer is not None:
            raise answer
        return at.server


def test_another_server_is_asked_after_a_refusal() -> None:
    assert Servers({"strict": [REFUSED], "open": [None]}).fetch() == "open"


@pytest.mark.parametrize("said", [REFUSED, MISSING], ids=["refused", "missing"])
def test_a_busy_server_is_asked_again_and_one_that_has_answered_is_not(said: PpiError) -> None:
    servers = Servers({"settled": [said], "busy": [BUSY, BUSY, None]})
    assert servers.fetch() == "busy"
    assert servers.asked == ["settled", "busy", "busy", "busy"]


@pytest.mark.parametrize(
    ("answers", "kind", "asked"),
    [
        ({"a": [REFUSED], "b": [REFUSED]}, Refused, "ab"),
        ({"a": [REFUSED], "b": [MISSING]}, Refused, "ab"),
        ({"a": [MISSING], "b": [REFUSED]}, Refused, "ab"),
        ({"a": [MISSING], "b": [MISSING]}, Missing, "ab"),
        ({"a": [BUSY], "b": [REFUSED]}, Transient, "abaa"),
        ({"a": [MISSING], "b": [BUSY]}, Transient, "abbb"),
        ({"a": [DAMAGED], "b": [DAMAGED]}, Failed, "abab"),
        ({"a": [DAMAGED], "b": [MISSING]}, Failed, "aba"),
        ({"a": [BUSY, REFUSED], "b": [REFUSED]}, Refused, "aba"),
        ({"a": [DAMAGED, BUSY, DAMAGED]}, Failed, "aaa"),
        ({"a": [DAMAGED], "b": [BUSY]}, Transient, "ababb"),
    ],
)
def test_the_end(answers: Mapping[str, list[PpiError | None]], kind: type[PpiError], asked: str) -> None:
    servers = Servers(answers)
    with pytest.raises(kind, match="attempt"):
        servers.fetch(rounds=3)
    assert "".join(servers.asked) == asked


def test_a_good_copy_elsewhere_is_found_after_a_damaged_one() -> None:
    servers = Servers({"bad": [DAMAGED], "well": [BUSY, BUSY, BUSY, None]})
    assert servers.fetch() == "well"
    assert servers.asked.count("bad") == 2


def test_what_does_not_fit_together_is_asked_for_once_more_and_nobody_is_blamed() -> None:
    servers = Servers({"a": [BUSY], "b": [Mixed("f"), BUSY, Mixed("f"), BUSY, Mixed("f"), None]})
    assert servers.fetch() == "b"
    assert servers.asked == ["a", "b", "b"] * 3


def test_what_is_our_own_failure_ends_at_once() -> None:
    servers = Servers({"one": [Failed("the disk", "it is full")], "two": [None]})
    with pytest.raises(Failed, match="it is full"):
        servers.fetch()
    assert servers.asked == ["one"]


def test_progress_renews_the_budget_and_its_absence_ends_it() -> None:
    came, told, pauses = [0], list[str](), list[float]()

    def attempt(at: Attempt) -> None:
        told.append(str(at))
        came[0] += 10_000 if len(told) <= 5 else 10
        raise BUSY

    with pytest.raises(Transient, match="attempt 7 of 7"):
        persevere(("a",), Patience(3, first_pause=1, sleep=pauses.append), "f", attempt, progress=lambda: came[0])
    assert told[:2] == ["attempt 1 of 3", "attempt 2 of 3"]
    assert [pause <= 1 for pause in pauses] == [True] * 5 + [False]


def test_bytes_that_come_again_are_no_progress() -> None:
    came, asked, pauses = [0], list[int](), list[float]()

    def attempt(at: Attempt) -> None:
        asked.append(at.number)
        came[0] = 0 if came[0] else 10_000
        raise BUSY

    with pytest.raises(Transient):
        persevere(("a",), Patience(3, sleep=pauses.append), "f", attempt, progress=lambda: came[0])
    assert len(asked) == 3


def test_pauses_grow_and_differ() -> None:
    patience = Patience(rounds=8, first_pause=1, longest_pause=10)
    pauses = list(patience.pauses())
    assert len(pauses) == 7
    for number, pause in enumerate(pauses):
        most = min(10, 2**number)
        assert most / 2 <= pause <= most
    assert pauses != list(patience.pauses())

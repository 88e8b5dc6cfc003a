"""Which server is asked first."""

from __future__ import annotations

from collections import Counter

from tasks.ngas.health import Health

SERVERS = ("a:1", "b:1", "c:1")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_equals_share_the_files_among_them() -> None:
    health = Health()
    firsts = Counter(health.order(SERVERS, f"file {number}")[0] for number in range(300))
    assert all(60 < firsts[server] < 140 for server in SERVERS)
    assert health.order(SERVERS, "f") == health.order(reversed(SERVERS), "f"), "and always in the same way"


def test_the_least_busy_one_is_asked_first_and_the_preferred_one_before_it() -> None:
    streams = {"a:1": 2, "b:1": 0, "c:1": 1}
    assert Health().order(SERVERS, "f", busy=streams.__getitem__) == ("b:1", "c:1", "a:1")
    assert Health().order(SERVERS, "f", preferred="a:1", busy=streams.__getitem__) == ("a:1", "b:1", "c:1")


def test_a_sick_server_is_spared_for_a_while_and_never_left_out() -> None:
    clock = Clock()
    health = Health(clock)
    health.unwell("a:1")
    assert health.order(SERVERS, "f", preferred="a:1")[-1] == "a:1"
    clock.now += 6
    assert health.order(SERVERS, "f", preferred="a:1")[0] == "a:1"


def test_it_is_spared_longer_each_time_up_to_a_limit() -> None:
    clock, spared = Clock(), list[float]()
    health = Health(clock)
    for _ in range(9):
        began = clock.now
        health.unwell("a:1")
        health.unwell("a:1")  # by another thread, at the same time
        while health.order(SERVERS, "f", preferred="a:1")[0] != "a:1":
            clock.now += 1
        spared.append(clock.now - began)
    assert spared == [5, 10, 20, 40, 80, 160, 300, 300, 300]


def test_a_success_clears_it() -> None:
    clock = Clock()
    health = Health(clock)
    for _ in range(3):
        health.unwell("a:1")
        clock.now += 400
    health.well("a:1")
    health.unwell("a:1")
    clock.now += 6
    assert health.order(SERVERS, "f", preferred="a:1")[0] == "a:1"


def test_of_sick_ones_the_one_that_returns_first() -> None:
    clock = Clock()
    health = Health(clock)
    for server in SERVERS:
        health.unwell(server)
        clock.now += 1
    assert health.order(SERVERS, "f") == SERVERS

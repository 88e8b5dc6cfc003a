"""The account of transfers: its sums are right whatever is told, and its rate says what is so now."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tasks.progress import Event, Item, Kind, following, note, tell, tell_found
from tasks.transfers import Account, Figures, Standing, said, said_at_end, said_in_all

MB = 1_000_000
NAMES = st.sampled_from(["a.tar", "b.tgz", "c.xml", "d"])
BYTES = st.integers(0, 5 * MB)


@dataclass
class Clock:
    """A clock that goes when it is told to."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Told:
    """An account, and how to tell it something."""

    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.account = Account("gather", clock=self.clock)

    def __call__(self, item: str = "a.tar", done: int = 0, *, seconds: float = 0, **more: Any) -> None:
        self.clock.now += seconds
        self.account(Event("gather", item, done=done, **more))

    def steadily(self, speed: int, seconds: float, total: int = 0) -> None:
        """Tell of so many bytes a second, in small steps."""
        for _ in range(round(seconds * 10)):
            self(done=speed // 10, seconds=0.1, total=total)

    @property
    def standing(self) -> Standing:
        return self.account.standing()

    @property
    def whole(self) -> Figures:
        return self.standing.whole


class AnyTransfers(RuleBasedStateMachine):
    """Whatever is told in whatever order, the account agrees with a plain one, and is never absurd."""

    def __init__(self) -> None:
        super().__init__()
        self.told = Told()
        self.done: dict[str, int] = {}
        self.active: set[str] = set()

    def tell(self, item: str, done: int = 0, kind: Kind = Kind.CAME) -> None:
        self.told(item, done, total=5 * MB, kind=kind)

    def _begin(self, item: str) -> None:
        if item not in self.active:
            self.done[item] = 0
            self.active.add(item)

    @rule(item=NAMES)
    def begin(self, item: str) -> None:
        self.tell(item, kind=Kind.BEGIN)
        self.done[item] = 0
        self.active.add(item)

    @rule(item=NAMES, done=BYTES, kind=st.sampled_from([Kind.CAME, Kind.FOUND]))
    def gain(self, item: str, done: int, kind: Kind) -> None:
        self._begin(item)
        self.tell(item, done, kind)
        self.done[item] += done

    @rule(item=NAMES, done=BYTES)
    def lose(self, item: str, done: int) -> None:
        self._begin(item)
        self.tell(item, -done)
        self.done[item] = max(0, self.done[item] - done)

    @rule(item=NAMES)
    def end(self, item: str) -> None:
        self._begin(item)
        self.tell(item, kind=Kind.END)
        self.active.remove(item)

    @rule(seconds=st.floats(0, 20))
    def wait(self, seconds: float) -> None:
        self.told.clock.now += seconds

    @invariant()
    def sums_are_right(self) -> None:
        standing = self.told.standing
        assert standing.whole.done == sum(self.done.values())
        assert standing.whole.total == 5 * MB * len(self.done)
        assert {figures.name: figures.done for figures in standing.under_way} == {
            name: self.done[name] for name in self.active
        }
        ended = set(self.done) - self.active
        assert standing.finished == sum(self.done[name] >= 5 * MB for name in ended)
        assert standing.items == len(self.done)

    @invariant()
    def nothing_is_absurd(self) -> None:
        standing = self.told.standing
        assert standing.moved >= 0
        for figures in (standing.whole, *standing.under_way):
            assert figures.done >= 0
            assert figures.rate >= 0
            assert math.isfinite(figures.rate)
            assert figures.fraction is None or 0 <= figures.fraction <= 1
            assert figures.remaining is None or 0 <= figures.remaining < math.inf
            if figures.rate == 0 and figures.done < figures.total:
                assert figures.remaining is None
            assert said(figures)
        assert said_in_all(standing)


TestAnyTransfers = AnyTransfers.TestCase
TestAnyTransfers.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)


@given(speed=st.integers(1, 3000), step=st.floats(0.01, 0.4), seconds=st.floats(6, 60))
def test_a_steady_transfer_has_its_rate_and_its_end(speed: int, step: float, seconds: float) -> None:
    told, chunk = Told(), round(speed * MB * step)
    told(total=10_000_000 * MB)
    for _ in range(int(seconds / step)):
        told(done=chunk, seconds=step, total=10_000_000 * MB)
    (figures,) = told.standing.under_way
    assert figures.rate == pytest.approx(speed * MB, rel=0.12)
    assert told.whole.rate == pytest.approx(speed * MB, rel=0.12)
    left = (10_000_000 * MB - figures.done) / (speed * MB)
    assert figures.remaining is None or figures.remaining == pytest.approx(left, rel=0.15)


def test_a_transfer_that_stalls_shows_it_within_seconds_however_long_it_ran() -> None:
    told = Told()
    told.steadily(100 * MB, 1800, 10**12)
    assert told.whole.rate == pytest.approx(100 * MB, rel=0.05)
    rates = []
    for _ in range(6):
        told.clock.now += 1
        rates.append(told.whole.rate)
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == 0
    assert told.whole.remaining is None
    assert "left" not in said(told.whole)
    assert "0 Bytes/s" in said(told.whole)


def test_a_rate_that_changes_is_the_new_one_soon() -> None:
    told = Told()
    told.steadily(100 * MB, 60)
    told.steadily(10 * MB, 6)
    assert told.whole.rate == pytest.approx(10 * MB, rel=0.05)


def test_what_was_there_already_counts_and_spoils_no_rate() -> None:
    told = Told()
    told(done=4000 * MB, total=5000 * MB, kind=Kind.FOUND)
    assert (told.whole.done, told.whole.rate, told.standing.moved) == (4000 * MB, 0, 0)
    told.steadily(10 * MB, 10, 5000 * MB)
    assert told.whole.rate == pytest.approx(10 * MB, rel=0.05)
    assert told.whole.remaining == pytest.approx(90, rel=0.05)
    assert (told.standing.moved, told.standing.found) == (100 * MB, 4000 * MB)


def test_bytes_that_prove_wrong_are_taken_back_and_came_all_the_same() -> None:
    told = Told()
    told(done=30 * MB, seconds=1, total=30 * MB)
    before = told.whole.rate
    told(done=-30 * MB, total=30 * MB)
    assert (told.whole.done, told.whole.rate, told.standing.moved) == (0, before, 30 * MB)
    told(done=-1, total=30 * MB)
    assert told.whole.done == 0


def test_a_file_that_begins_anew_begins_from_nothing() -> None:
    told = Told()
    for kind in (Kind.BEGIN, Kind.END, Kind.BEGIN):
        told(total=10, kind=kind)
        told(done=10, total=10) if kind is Kind.BEGIN else None
    assert told.whole.done == 10
    assert (told.standing.finished, told.standing.items) == (0, 1)


def test_the_stage_says_what_there_is_in_all_and_more_than_it_said_is_believed() -> None:
    told = Told()
    told("", total=100, items=3)
    told(done=10, total=60)
    assert (told.whole.total, told.standing.items) == (100, 3)
    told("b.tgz", total=70)
    assert told.whole.total == 130
    told.account(Event("process", "a.tar", done=5))
    assert told.whole.done == 10


def test_what_is_waited_for_is_shown_until_bytes_come() -> None:
    account = Account("gather")
    with following(account):
        with Item("gather", "a.tar", 10 * MB) as item:
            note("waiting for a stream of n1:7777")
            (figures,) = account.standing().under_way
            assert said(figures) == "0.0 of 10.0 MB, waiting for a stream of n1:7777"
            item(MB)
            (figures,) = account.standing().under_way
            assert figures.step == ""
        note("nobody works on anything in this thread any more, so nobody is told")
        assert account.standing().under_way == ()


def test_what_is_noted_goes_to_the_item_of_its_thread() -> None:
    account, begun = Account("gather"), threading.Barrier(2)

    def work(name: str) -> None:
        with Item("gather", name), Item("gather", f"{name} inside"):
            pass
        with Item("gather", name):
            begun.wait(10)
            note(f"step of {name}")
            begun.wait(10)
            steps.update({each.name: each.step for each in account.standing().under_way})
            begun.wait(10)

    steps: dict[str, str] = {}
    with following(account):
        threads = [threading.Thread(target=work, args=(name,)) for name in ("a", "b")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert steps == {"a": "step of a", "b": "step of b"}


def test_an_item_tells_what_was_found_and_anybody_else_is_told_bytes() -> None:
    heard, account = list[int](), Account("gather")
    with following(account), Item("gather", "a.tar", 10) as item:
        tell_found(item, 10)
    tell_found(heard.append, 7)
    assert heard == [7]
    assert (account.standing().found, account.standing().moved, account.standing().finished) == (10, 0, 1)


def test_a_file_that_fails_is_not_finished() -> None:
    account = Account("gather", items=1)
    with following(account), pytest.raises(OSError, match="gone"), Item("gather", "a.tar", 10) as item:
        item(3)
        raise OSError("gone")
    standing = account.standing()
    assert (standing.finished, standing.items, standing.under_way) == (0, 1, ())


def test_followers_come_and_go_in_any_order() -> None:
    one, two = Account("gather"), Account("gather")
    with following(one):
        with following(two):
            tell(Event("gather", "a", done=1))
        tell(Event("gather", "a", done=1))
    tell(Event("gather", "a", done=1))
    assert (one.standing().whole.done, two.standing().whole.done) == (2, 1)


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Let threads take turns as often as can be, so that what is not guarded goes wrong."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-7)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("hasty_threads")
def test_many_threads_lose_nothing_while_it_is_asked() -> None:
    account = Account("gather")

    def work(number: int) -> None:
        for file in range(500):
            with Item("gather", f"{number}/{file}", 20) as item:
                for _ in range(20):
                    item(1)

    with following(account), ThreadPoolExecutor(4) as pool:
        working = [pool.submit(work, number) for number in range(4)]
        while not all(each.done() for each in working):
            standing = account.standing()
            under_way = sum(figures.done for figures in standing.under_way)
            assert under_way + 20 * standing.finished == standing.whole.done
        assert [each.exception() for each in working] == [None] * 4
    standing = account.standing()
    assert (standing.whole.done, standing.moved, standing.finished) == (40_000, 40_000, 2000)


def test_an_event_costs_next_to_nothing() -> None:
    """At 3 GB/s in chunks of 1 MiB there are 3000 a second, on the thread that brings them."""
    account, best = Account("gather"), math.inf
    with following(account), Item("gather", "a.tar", 10**12) as item:
        for _ in range(20):
            begun = time.thread_time()
            for _ in range(1000):
                item(1 << 20)
            best = min(best, (time.thread_time() - begun) / 1000)
    assert best < 10e-6, f"{best * 1e6:.1f} µs"


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        (Figures("a", 1_200 * MB, 4_000 * MB, 116_666_667.0), "1.2 of 4.0 GB, 116.7 MB/s, 24 s left"),
        (Figures("a", 0, 4_000 * MB, 0.0), "0.0 of 4.0 GB, 0 Bytes/s"),
        (Figures("a", 12, 4_000 * MB, 1.0), "0.0 of 4.0 GB, 1 Byte/s"),
        (Figures("a", 10 * MB, 10 * MB, 5.0), "10.0 of 10.0 MB"),
        (Figures("a", 12, 34, 0.0, "unpacking"), "12 of 34 Bytes, unpacking"),
        (Figures("a", 1_500, 0, 500.0), "1.5 kB, 500 Bytes/s"),
        (Figures("a", 0, 7_300 * MB, 1e6), "0.0 of 7.3 GB, 1.0 MB/s, 2 h 01 min left"),
        (Figures("a", 9_999_990, 10 * MB, 1e6), "10.0 of 10.0 MB, 1.0 MB/s, 1 s left"),
    ],
)
def test_figures_are_said_as_people_read_them(figures: Figures, words: str) -> None:
    assert said(figures) == words


def test_all_files_are_said_in_one_line_and_what_they_came_to_at_the_end() -> None:
    whole = Figures("gather", 1_200 * MB, 4_000 * MB, 116_666_667.0)
    standing = Standing(whole, (), finished=3, items=12, moved=1000 * MB, found=200 * MB)
    assert said_in_all(standing) == "3 of 12 files, 1.2 of 4.0 GB, 116.7 MB/s, 24 s left"
    assert said_at_end(standing, 10) == "3 files, 1.0 GB at 100.0 MB/s, 200.0 MB there already"
    held = Standing(whole, (), finished=1, items=1, moved=0, found=200 * MB)
    assert said_at_end(held, 10) == "1 file, 200.0 MB there already"

"""Work that is given up: pauses end, connections are cut, and what comes later is free."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tasks.abandon import Abandoned, abandoned, ending, on_abandon, pause, require_wanted


def interrupted(pool: ThreadPoolExecutor, work: Callable[[threading.Event], None]) -> Future[None]:
    """Leave a block by an exception once a thread has begun its work."""
    begun = threading.Event()
    with pytest.raises(KeyboardInterrupt), ending():
        future = pool.submit(work, begun)
        assert begun.wait(10)
        raise KeyboardInterrupt
    return future


def test_a_pause_ends() -> None:
    def work(begun: threading.Event) -> None:
        begun.set()
        pause(60)

    began = time.monotonic()
    with ThreadPoolExecutor() as pool, pytest.raises(Abandoned, match="run it again"):
        interrupted(pool, work).result(10)
    assert time.monotonic() - began < 5


def test_what_is_not_waiting_learns_it_at_its_next_step() -> None:
    go = threading.Event()

    def work(begun: threading.Event) -> None:
        begun.set()
        assert go.wait(10)
        assert abandoned()
        for step in (require_wanted, lambda: pause(0), lambda: on_abandon(go.clear).__enter__()):
            with pytest.raises(Abandoned):
                step()

    with ThreadPoolExecutor() as pool:
        future = interrupted(pool, work)
        go.set()
        future.result(10)


def test_what_is_registered_is_cut_once_and_only_while_it_is_registered() -> None:
    over, cuts = threading.Event(), list[str]()

    def work(begun: threading.Event) -> None:
        with on_abandon(lambda: cuts.append("too late")):
            pass
        with on_abandon(lambda: cuts.append("cut")), on_abandon(over.set):
            begun.set()
            assert over.wait(10)

    with ThreadPoolExecutor() as pool:
        interrupted(pool, work).result(10)
    assert cuts == ["cut"]


def test_who_leaves_the_block_and_threads_that_start_later_are_free() -> None:
    with ThreadPoolExecutor() as pool:
        interrupted(pool, lambda begun: begun.set()).result(10)
    assert not abandoned()
    pause(0)
    with ThreadPoolExecutor() as pool:
        pool.submit(pause, 0).result(10)


def test_a_thread_that_begins_anew_is_free() -> None:
    def anew() -> None:
        assert abandoned()
        with ending():
            pause(0)

    with ThreadPoolExecutor(1) as pool:
        interrupted(pool, lambda begun: begun.set()).result(10)
        pool.submit(anew).result(10)


def test_a_block_that_is_left_in_peace_ends_nothing() -> None:
    with ThreadPoolExecutor() as pool:
        with ending():
            future = pool.submit(pause, 0.2)
        future.result(10)

"""What transfers amount to while they run: bytes, rate and remaining time, per file and in all.

The terminal, Prefect and any other face show the same figures because this is the one place that computes them.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from tasks.progress import Event, Kind
from tasks.report.units import left, part, rate, size

__all__ = ["Account", "Figures", "Standing", "said", "said_at_end", "said_in_all"]

_WIDTH: Final = 0.5
"""Seconds that are counted together."""
_SLOTS: Final = 10
"""The rate is that of the last so many widths: a transfer that stalls shows it within as long."""
_LONGEST: Final = 100 * 24 * 3600
"""Seconds; to say that more remain would be of no use."""


class _Rate:
    """What came of late."""

    __slots__ = ("_came", "_since", "_slot")

    def __init__(self, now: float) -> None:
        self._since, self._slot = now, -1
        self._came: deque[list[int]] = deque(maxlen=_SLOTS)

    def add(self, count: int, slot: int) -> None:
        """Count bytes."""
        if slot == self._slot:
            self._came[-1][1] += count
        else:
            self._came.append([slot, count])
            self._slot = slot

    def value(self, now: float) -> float:
        """Return bytes a second over the window; less than a width is taken for one, which calms the start."""
        first = int(now / _WIDTH) - _SLOTS + 1
        came = sum(count for slot, count in self._came if slot >= first)
        return came / max(_WIDTH, now - max(self._since, first * _WIDTH))


@dataclass(frozen=True)
class Figures:
    """How far one item, or all of them, has come.

    Parameters
    ----------
    name
        The item's; the stage's for all of them.
    done, total
        Bytes (or steps); a total of 0 is not known.
    rate
        Bytes a second over the last seconds; 0 when nothing comes.
    step
        What it does or waits for; empty while bytes plainly come.
    """

    name: str
    done: int
    total: int
    rate: float
    step: str = ""

    @property
    def fraction(self) -> float | None:
        """What is done, 0 to 1; None where the total is not known."""
        return min(1.0, self.done / self.total) if self.total else None

    @property
    def remaining(self) -> float | None:
        """Seconds until all is done at this rate; None where that cannot be said."""
        if not self.total:
            return None
        left = max(0, self.total - self.done)
        seconds = left / self.rate if left and self.rate > 0 else (None if left else 0.0)
        return seconds if seconds is not None and seconds < _LONGEST else None


@dataclass(frozen=True)
class Standing:
    """All figures at one moment.

    Parameters
    ----------
    whole
        All items together.
    under_way
        The items that are worked on now, in the order in which they began.
    finished, items
        How many items are done, and how many there are; 0 where that is not known.
    moved, found
        Bytes that came in this run, those that proved wrong included; bytes that were there already.
    """

    whole: Figures
    under_way: tuple[Figures, ...]
    finished: int
    items: int
    moved: int
    found: int


class _Line:
    """An item under way."""

    __slots__ = ("done", "rate", "step", "total")

    def __init__(self, now: float) -> None:
        self.done = self.total = 0
        self.step = ""
        self.rate = _Rate(now)

    def figures(self, name: str, now: float) -> Figures:
        return Figures(name, self.done, self.total, self.rate.value(now), self.step)


class _Ended(NamedTuple):
    """What is kept of an item that is no longer under way: little, there may be a million."""

    done: int
    total: int

    @property
    def whole(self) -> bool:
        return self.done >= self.total


class Account:
    """Keep account of a stage's items; to be followed with `tasks.progress.following`.

    It may be told from many threads, and asked from others. An item that begins anew, in a retry, begins from
    nothing.

    Parameters
    ----------
    stage
        The stage whose events count.
    total, items
        What there is to do in all, and of how many items; 0 where it is not known. The stage's own event, and
        items that are more, correct it.
    clock
        Seconds from any moment on; replaced in tests.
    """

    def __init__(
        self, stage: str, total: int = 0, items: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stage, self._total, self._items, self._clock = stage, total, items, clock
        self._lines: dict[str, _Line] = {}
        self._ended: dict[str, _Ended] = {}
        self._done = self._known = self._finished = self._moved = self._found = 0
        self._rate = _Rate(clock())
        self._guard = threading.Lock()

    def __call__(self, event: Event) -> None:
        """Take an event into account."""
        if event.stage != self._stage:
            return
        with self._guard:
            if event.item:
                self._count(event, self._clock())
            else:
                self._total, self._items = event.total or self._total, event.items or self._items

    def _count(self, event: Event, now: float) -> None:
        line = self._lines.get(event.item)
        if line is None or event.kind is Kind.BEGIN:
            line = self._begin(event.item, now)
        line.step = event.step
        if event.total and event.total != line.total:
            self._known += event.total - line.total
            line.total = event.total
        if event.done:
            self._add(line, event, now)
        if event.kind is Kind.END:
            self._end(event.item)

    def _begin(self, item: str, now: float) -> _Line:
        ended = self._ended.pop(item, None)
        if before := ended or self._lines.pop(item, None):
            self._done -= before.done
            self._known -= before.total
            self._finished -= bool(ended and ended.whole)
        line = self._lines[item] = _Line(now)
        return line

    def _add(self, line: _Line, event: Event, now: float) -> None:
        done = max(-line.done, event.done)
        line.done += done
        self._done += done
        if event.kind is Kind.FOUND:
            self._found += done
        elif done > 0:
            self._moved += done
            slot = int(now / _WIDTH)
            line.rate.add(done, slot)
            self._rate.add(done, slot)

    def _end(self, item: str) -> None:
        line = self._lines.pop(item)
        ended = self._ended[item] = _Ended(line.done, line.total)
        self._finished += ended.whole

    def standing(self) -> Standing:
        """Return all figures as they are now."""
        with self._guard:
            now, total = self._clock(), max(self._total, self._known)
            return Standing(
                whole=Figures(self._stage, self._done, total, self._rate.value(now)),
                under_way=tuple(line.figures(name, now) for name, line in self._lines.items()),
                finished=self._finished,
                items=max(self._items, len(self._lines) + len(self._ended)),
                moved=self._moved,
                found=self._found,
            )


def said(figures: Figures) -> str:
    """Say figures in bytes: ``1.2 of 4.0 GB, 120.0 MB/s, 24 s left``, or what is waited for."""
    done = part(figures.done, figures.total) if figures.total else size(figures.done)
    if figures.step:
        return f"{done}, {figures.step}"
    if figures.remaining == 0:
        return done
    speed = rate(round(figures.rate), 1)
    return f"{done}, {speed}, {left(figures.remaining)} left" if figures.remaining else f"{done}, {speed}"


def said_in_all(standing: Standing) -> str:
    """Say how far all files are: ``3 of 12 files, 1.2 of 4.0 GB, 120.0 MB/s, 24 s left``."""
    files = f"{standing.finished} of {standing.items} files" if standing.items else f"{standing.finished} files"
    return f"{files}, {said(standing.whole)}"


def said_at_end(standing: Standing, seconds: float) -> str:
    """Say what it came to: ``12 files, 2.8 GB at 120.0 MB/s, 1.2 GB there already``."""
    files = "1 file" if standing.finished == 1 else f"{standing.finished} files"
    came = f"{size(standing.moved)} at {rate(standing.moved, seconds)}" if standing.moved else ""
    there = f"{size(standing.found)} there already" if standing.found else ""
    return ", ".join(filter(None, (files, came, there)))

"""What work will take, learnt from what work of the same kind took.

Time grows with the bytes. Memory hardly does, so what is asked for is the most that was seen, and a margin: too
little costs the whole work once more, and too much only places, until that run is no longer among the last ones.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from statistics import median
from typing import Final

from sqlalchemy import Select, select, union_all
from sqlmodel import col

from tasks.catalog.connection import Database
from tasks.catalog.model import Piece
from tasks.catalog.schema import REVISION, revision
from tasks.catalog.tables import PieceRow
from tasks.usage import Work

__all__ = ["LAST", "Expected", "Sizes", "learn"]

LAST: Final = 200
"""How many of the last runs of a kind teach."""
_MARGIN: Final = 1.25
_ALIKE: Final = 1.25
"""Inputs whose sizes differ by less than this factor count as of one size for memory."""
_APART: Final = 2.0
"""Inputs whose sizes differ by this factor tell how something grows with size; closer ones tell of chance."""
_GROWTH: Final = 2
"""By what a job that ran out of memory is given more: one that was tried again may have had so much less."""

_Kind = tuple[str, str, str]


@dataclass(frozen=True)
class Expected:
    """What a piece of work will probably take: as often more as less. None where nothing was measured.

    Parameters
    ----------
    wall_seconds, cpu_seconds, peak_memory
        As in `tasks.usage.Usage`.
    runs
        From how many runs that is known.
    """

    wall_seconds: float | None = None
    cpu_seconds: float | None = None
    peak_memory: int | None = None
    runs: int = 0


class _Line:
    """Something that was measured, over the sizes of the inputs; a size of 0 is not known."""

    def __init__(self, points: Iterable[tuple[int | None, float | None]]) -> None:
        self._points = sorted((size or 0, value) for size, value in points if value is not None)

    @cached_property
    def slope(self) -> float | None:
        """How much a byte more takes, None where no two sizes are far enough apart to tell; never negative."""
        slopes = [
            (more - less) / (larger - smaller)
            for (smaller, less), (larger, more) in combinations(self._points, 2)
            if smaller and larger >= _APART * smaller
        ]
        return max(median(slopes), 0.0) if slopes else None

    @cached_property
    def rate(self) -> float:
        """How much each byte takes, if there is nothing but bytes."""
        return median(value / size for size, value in self._points if size)

    def typical(self, size: int, *, grows: bool) -> float | None:
        """Return the median of what each run says of a size, as Theil and Sen have it.

        Parameters
        ----------
        grows
            Whether it is taken to grow as the size does, where sizes are too much alike to tell.
        """
        sized = [point for point in self._points if point[0]] if size else []
        if not sized:
            return median(value for _, value in self._points) if self._points else None
        slope = self.slope if self.slope is not None else self.rate * grows
        return max(median(value + slope * (size - each) for each, value in sized), 0.0)

    def most(self, size: int) -> float | None:
        """Return the most that was taken by anything of a size or smaller, which grows as the slope says."""
        if not self._points:
            return None
        slope, known = self.slope or 0.0, [each for each, _ in self._points if each]
        least = max(size, min(known, default=0)) if size else max(known, default=0)
        return max(
            value + (slope * max(size - each, 0) if each else 0)
            for each, value in self._points
            if each <= least * _ALIKE
        )


class _Learnt:
    """What was learnt of one kind of work."""

    def __init__(self, done: Iterable[Piece]) -> None:
        pieces = tuple(done)
        self.runs = len(pieces)
        self.wall = _Line((piece.input_bytes, piece.wall_seconds) for piece in pieces)
        self.cpu = _Line((piece.input_bytes, piece.cpu_seconds) for piece in pieces)
        self.peak = _Line((piece.input_bytes, piece.peak_memory_bytes) for piece in pieces)
        self.need = _Line((piece.input_bytes, _need(piece)) for piece in pieces)


class Sizes:
    """What was learnt.

    Parameters
    ----------
    pieces
        Work that was done.
    """

    def __init__(self, pieces: Iterable[Piece] = ()) -> None:
        done: dict[_Kind, list[Piece]] = defaultdict(list)
        for piece in pieces:
            done[piece.stage, piece.step, piece.kind].append(piece)
        self._learnt = {kind: _Learnt(of) for kind, of in done.items()}

    def memory(self, work: Work) -> int | None:
        """Return bytes of memory to ask for, None where nothing was measured.

        It is never less than work of the same size took, nor less than is asked for smaller work.
        """
        learnt = self._learnt.get(_kind(work))
        most = learnt.need.most(work.size) if learnt else None
        return None if most is None else int(_MARGIN * most)

    def expect(self, work: Work) -> Expected:
        """Return what a piece of work will probably take."""
        learnt = self._learnt.get(_kind(work))
        if not learnt:
            return Expected()
        peak = learnt.peak.typical(work.size, grows=False)
        return Expected(
            learnt.wall.typical(work.size, grows=True),
            learnt.cpu.typical(work.size, grows=True),
            None if peak is None else int(peak),
            learnt.runs,
        )


def learn(database: Database, works: Iterable[Work]) -> Sizes:
    """Learn from a catalog what is known of some work, in one question; an older one knows nothing.

    Raises
    ------
    Transient, Refused, Missing
        The catalog cannot be used.
    """
    newest = [_newest(kind) for kind in sorted(set(map(_kind, works)))]
    if not newest:
        return Sizes()
    with database.reading() as connection:
        if revision(connection, database.location.where) != REVISION:
            return Sizes()
        found = connection.execute(union_all(*newest)).mappings()
        return Sizes(map(Piece.model_validate, found))


def _kind(work: Work) -> _Kind:
    return work.stage, work.step, work.kind


def _newest(kind: _Kind) -> Select[tuple[PieceRow]]:
    """Select what the last runs of a kind took; what an earlier run had done teaches nothing."""
    of_kind = zip((PieceRow.stage, PieceRow.step, PieceRow.kind), kind, strict=True)
    chosen = (
        select(PieceRow)
        .where(*(col(column) == value for column, value in of_kind), col(PieceRow.taken_over).is_(False))
        .order_by(col(PieceRow.execution_id).desc(), col(PieceRow.position).desc())
        .limit(LAST)
    )
    return select(chosen.subquery())


def _need(piece: Piece) -> float | None:
    """Return bytes that would have been enough: a job that was tried again perhaps died of too little before."""
    too_little = (piece.requested_memory_bytes or 0) / _GROWTH if piece.attempts > 1 else 0
    return max(piece.peak_memory_bytes or 0, too_little) or None

"""A board of stages and of what is under way in them: drawn on a terminal, told by lines where there is none."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from tasks.casa.request import RESTORE_STEPS
from tasks.progress import Event, following
from tasks.report.units import duration, left, part, rate, size
from tasks.transfers import Account, Figures, Standing, said_at_end, said_in_all

__all__ = ["Board", "shortened", "watched"]

_TELL_SECONDS = 10.0
"""How often a line is told where there is no terminal."""
_WIDEST, _NARROWEST_NAME, _MOST_LINES = 120, 16, 12
_STAGE, _LEAST_BAR, _BAR, _TIME = 8, 3, 8, 10
"""Columns of a stage."""
_AMOUNT, _RATE, _FIGURES = 17, 10, 44
"""Columns of the figures of a file, so that they stand below each other."""


def shortened(name: str, width: int) -> str:
    """Shorten a name in its middle: the archive's names begin alike, and end in what kind they are."""
    if len(name) <= width:
        return name
    tail = (width - 1) * 2 // 3
    return f"{name[: width - 1 - tail]}…{name[len(name) - tail :]}"


class _Stage:
    """A stage, and how it looks."""

    def __init__(self, name: str) -> None:
        self.name, self.begun, self.ended = name, time.monotonic(), 0.0
        self.failed = False
        self.account = Account(name)
        self._spinner = Spinner("dots")

    @property
    def seconds(self) -> float:
        return (self.ended or time.monotonic()) - self.begun

    @property
    def counts_steps(self) -> bool:
        return self.name == "process"

    def counts_bytes(self, standing: Standing) -> bool:
        return not self.counts_steps and bool(standing.whole.total or standing.whole.done)

    def text(self, standing: Standing) -> str:
        """Say how far it is, or what it came to."""
        whole = standing.whole
        if self.counts_steps:
            return f"{whole.done} of {whole.total} steps" if whole.total else ""
        if not self.counts_bytes(standing):
            return ", ".join(figures.step for figures in standing.under_way if not self.ended)
        return said_at_end(standing, self.seconds) if self.ended else said_in_all(standing)

    def row(self, width: int) -> RenderableType:
        """Return its line: a mark, its name, how far it is, a bar while it is under way, its time."""
        standing = self.account.standing()
        text, room = self.text(standing), width - _STAGE - _TIME - 5
        space = room if self.ended else min(len(text), room - _LEAST_BAR - 1)
        cells = [(1, self._mark()), (_STAGE, self.name), (space, Text(text))]
        if not self.ended:
            fraction = standing.whole.fraction
            cells.append((room - space - 1, ProgressBar(1.0, fraction or 0.0, pulse=fraction is None)))
        return _row(*cells, (_TIME, Text(duration(self.seconds), justify="right")))

    def _mark(self) -> RenderableType:
        if not self.ended:
            return self._spinner
        return Text("✗", "red") if self.failed else Text("✓", "green")


class Board:
    """What a run looks like now; to be followed with `tasks.progress.following`.

    Parameters
    ----------
    console
        Where it is to be seen, which says how much room there is.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._stages: dict[str, _Stage] = {}
        self._guard = threading.Lock()

    def __call__(self, event: Event) -> None:
        """Take an event into account; a stage that begins ends the one before."""
        (self._stages.get(event.stage) or self._begun(event.stage)).account(event)

    def _begun(self, name: str) -> _Stage:
        with self._guard:
            if name not in self._stages:
                self.end()
                self._stages[name] = _Stage(name)
            return self._stages[name]

    def end(self, failed: bool = False) -> None:
        """Show the stage that is under way as done, or as failed."""
        for stage in tuple(self._stages.values()):
            if not stage.ended:
                stage.ended, stage.failed = time.monotonic(), failed

    def lines(self) -> list[str]:
        """Return each stage as a line of text."""
        return [_told(stage) for stage in tuple(self._stages.values())]

    def __rich__(self) -> RenderableType:
        stages = tuple(self._stages.values())
        under_way = [line for stage in stages if not stage.ended for line in self._under_way(stage)]
        return Group(*(stage.row(self._width) for stage in stages), *self._fitting(under_way, len(stages)))

    @property
    def _width(self) -> int:
        return min(self._console.width, _WIDEST)

    def _under_way(self, stage: _Stage) -> list[RenderableType]:
        standing = stage.account.standing()
        if stage.counts_steps:
            return [self._step(figures) for figures in standing.under_way]
        return [self._file(figures) for figures in standing.under_way if stage.counts_bytes(standing)]

    def _fitting(self, lines: list[RenderableType], stages: int) -> list[RenderableType]:
        room = max(1, min(_MOST_LINES, self._console.height - stages - 2))
        more = [Text(f"  and {len(lines) - room} more")] if len(lines) > room else []
        return [*lines[:room], *more]

    def _step(self, figures: Figures) -> RenderableType:
        return self._line(figures.name, figures.done / len(RESTORE_STEPS), figures.step)

    def _file(self, figures: Figures) -> RenderableType:
        amount = part(figures.done, figures.total) if figures.total else size(figures.done)
        if figures.step:
            text = f"{amount}, {figures.step}" if figures.done else figures.step
        else:
            remaining = f"{left(figures.remaining)} left" if figures.remaining else ""
            text = f"{amount:>{_AMOUNT}} {rate(round(figures.rate), 1):>{_RATE}} {remaining}"
        return self._line(figures.name, figures.fraction or 0.0, text)

    def _line(self, name: str, fraction: float, text: str) -> RenderableType:
        room = max(_NARROWEST_NAME, self._width - _BAR - _FIGURES - 4)
        bar = ProgressBar(1.0, min(1.0, fraction))
        return _row((1, ""), (room, shortened(name, room)), (_BAR, bar), (_FIGURES, Text(text)))


def _row(*cells: tuple[int, RenderableType]) -> RenderableType:
    """Lay contents out beside each other in columns of fixed widths; what is too long is cut."""
    grid = Table.grid(padding=(0, 1))
    for width, _ in cells:
        grid.add_column(width=max(1, width), no_wrap=True, overflow="ellipsis")
    grid.add_row(*(Text(content) if isinstance(content, str) else content for _, content in cells))
    return grid


def _told(stage: _Stage) -> str:
    standing = stage.account.standing()
    text = stage.text(standing)
    if stage.counts_steps and not stage.ended:
        text = ", ".join(filter(None, (text, *(f"{each.name} {each.step}" for each in standing.under_way))))
    if not stage.ended:
        return f"{stage.name} {text}".rstrip()
    ended = f"{stage.name} {'failed after' if stage.failed else 'done in'} {duration(stage.seconds)}"
    return f"{ended}: {text}" if text else ended


@contextmanager
def watched(console: Console, every: float = _TELL_SECONDS) -> Iterator[None]:
    """Show all that is told while the block runs: live on a terminal, else by a line now and then."""
    board = Board(console)
    showing = _live(board, console) if console.is_interactive else _telling(board, console, every)
    with showing, following(board):
        try:
            yield
        except BaseException:
            board.end(failed=True)
            raise
        board.end()


@contextmanager
def _live(board: Board, console: Console) -> Iterator[None]:
    with _logging_above(console), Live(get_renderable=board.__rich__, console=console, refresh_per_second=8):
        yield


@contextmanager
def _telling(board: Board, console: Console, every: float) -> Iterator[None]:
    over = threading.Event()
    teller = threading.Thread(target=_tell_until, args=(over, board, console, every), daemon=True)
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join()
        for line in board.lines():
            _print(console, line)


def _tell_until(over: threading.Event, board: Board, console: Console, every: float) -> None:
    while not over.wait(every):
        for line in board.lines()[-1:]:
            _print(console, line)


def _print(console: Console, line: str) -> None:
    console.print(Text(line), soft_wrap=True)


@contextmanager
def _logging_above(console: Console) -> Iterator[None]:
    """Let warnings appear above what is drawn; handlers that write to the same terminal would tear it."""
    root = logging.getLogger()
    before = root.handlers[:]
    others = [handler for handler in before if getattr(handler, "stream", None) is not console.file]
    root.handlers = [*others, _Above(console)]
    try:
        yield
    finally:
        root.handlers = before


class _Above(logging.Handler):
    """Print what is logged with the console that draws, which puts it above the drawing."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        _print(self._console, f"{record.levelname.lower()}: {record.getMessage()}")

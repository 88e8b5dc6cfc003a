"""What is seen while work goes on: drawn on a terminal of any width, told by lines where there is none."""

from __future__ import annotations

import io
import logging
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from cli._board import Board, shortened, watched
from cli._display import fetching, restoring
from tasks.progress import Event, Item, following, note, tell

MB = 1_000_000
LONG = "member.uid___A001_X1284_X265f.hifa_calimage_renorm.pipeline_manifest.xml"
WARNING = "a.tar from server n1:7777: attempt 1 of 8: only 12 of 200 bytes came"
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def terminal(width: int = 80, height: int = 25) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=width, height=height, _environ={"TERM": "xterm"})


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return CONTROL.sub("", console.file.getvalue())


def drawn(board: Board, width: int = 80, height: int = 25) -> list[str]:
    """Return what the board looks like on a terminal now."""
    console = Console(file=io.StringIO(), width=width, height=height, color_system=None, legacy_windows=False)
    board._console = console
    console.print(board)
    return written(console).splitlines()


@contextmanager
def gathering(*names: str) -> Iterator[tuple[Board, list[Item]]]:
    """Be in the middle of gathering files, all of 100 MB."""
    board = Board(terminal())
    with following(board), ExitStack() as stack:
        tell(Event("plan"))
        tell(Event("gather"))
        tell(Event("gather", total=100 * MB * len(names), items=len(names)))
        yield board, [stack.enter_context(Item("gather", name, 100 * MB)) for name in names]


def test_every_file_has_a_line_while_it_is_under_way_and_all_have_one() -> None:
    with gathering("a.tar", LONG, "c.tgz") as (board, (first, second, third)):
        first(30 * MB)
        third(100 * MB)
        third.__exit__()
        plan, gather, *files = drawn(board)
        assert re.match(r"✓ plan +\d\.\d s$", plan)
        assert re.match(
            r". gather +1 of 3 files, 130\.0 of 300\.0 MB, \d+\.\d MB/s, \d+ s left [━ ╸╺]+\d\.\d s$", gather
        )
        assert re.match(r"  a\.tar +[━╸╺ ]+30\.0 of 100\.0 MB +\d+\.\d MB/s \d+ s left *$", files[0])
        assert re.match(r"  member\S*…\S+manifest\.xml +0\.0 of 100\.0 MB +0 Bytes/s *$", files[1])
        assert len(files) == 2
        second(100 * MB)
    assert [line for line in drawn(board) if "tar" in line or "xml" in line] == []


def test_what_a_file_waits_for_is_said() -> None:
    with gathering("a.tar") as (board, (first,)):
        note("waiting for a stream of nmngas01:7777")
        assert re.search(r"a\.tar +waiting for a stream of nmngas01:7777 *$", drawn(board)[-1])
        first(MB)
        assert "waiting" not in drawn(board)[-1]
        note("unpacking")
        assert re.search(r"a\.tar .*1\.0 of 100\.0 MB, unpacking *$", drawn(board)[-1])


@pytest.mark.parametrize("width", [30, 60, 80, 100, 200])
@pytest.mark.parametrize("count", [1, 40])
def test_every_line_fits_a_terminal_of_any_width_and_all_lines_its_height(width: int, count: int) -> None:
    with gathering(*(f"{number}.{LONG}" for number in range(count))) as (board, items):
        items[0](12_345_678)
        note("another run is fetching it, and that takes as long as it takes, which may be long")
        lines = drawn(board, width, 20)
    assert max(map(len, lines)) <= width
    assert len(lines) <= 20
    if count == 40:
        assert re.fullmatch(r"  and \d\d more *", lines[-1])


@given(name=st.text(min_size=1, max_size=80), width=st.integers(5, 60))
def test_a_shortened_name_fits_and_keeps_its_ends(name: str, width: int) -> None:
    short = shortened(name, width)
    assert len(short) <= width
    assert short == name if len(name) <= width else "…" in short
    assert (short[0], short[-1]) == (name[0], name[-1])


def test_names_of_the_archive_are_no_markup() -> None:
    with gathering("[red]a[/red].tar", "[/x]") as (board, _):
        assert "[red]a[/red].tar" in drawn(board)[-2]
        assert "[/x]" in drawn(board)[-1]


def test_steps_of_execution_blocks_are_shown_and_a_stage_that_ends_says_what_it_came_to() -> None:
    with gathering("a.tar") as (board, (first,)):
        first(40 * MB)
        first.found(60 * MB)
        first.__exit__()
        tell(Event("process", total=10))
        tell(Event("process", "uid___A002_X1_X1", "calibrate", 1))
        lines = drawn(board)
        assert re.match(r"✓ gather +1 file, 40\.0 MB at [\d.]+ .B/s, 60\.0 MB there already +\d\.\d s$", lines[1])
        assert re.match(r". process +1 of 10 steps [━╸╺ ]+\d\.\d s$", lines[2])
        assert re.match(r"  uid___A002_X1_X1 +[━╸╺]+ +calibrate *$", lines[3])
        board.end(failed=True)
        lines = drawn(board)
    assert [line[0] for line in lines] == ["✓", "✓", "✗"]
    assert len(lines) == 3


def test_a_terminal_is_drawn_on_and_warnings_stay_whole_above_it() -> None:
    console = terminal(100)
    root, handler = logging.getLogger(), logging.StreamHandler(console.file)
    root.addHandler(handler)
    try:
        with watched(console), Item("gather", "a.tar", 100 * MB) as item:
            for _ in range(10):
                item(10 * MB)
                time.sleep(0.05)
            logging.getLogger("tasks.ngas.patience").warning(WARNING)
        assert handler in root.handlers
    finally:
        root.removeHandler(handler)
    lines = [line.strip() for line in written(console).splitlines()]
    assert lines.count(f"warning: {WARNING}") == 1
    assert written(console).count(WARNING) == 1
    assert re.match(r"✓ gather +1 file, 100\.0 MB at", lines[-1])


def test_what_fails_is_left_on_the_terminal_as_failed() -> None:
    console = terminal()
    with pytest.raises(OSError, match="gone"), watched(console), Item("gather", "a.tar", 100 * MB):
        raise OSError("gone")
    assert re.match(r"✗ gather +0 files +\d", written(console).splitlines()[-1])


def test_where_there_is_no_terminal_a_line_is_told_now_and_then() -> None:
    console = Console(file=io.StringIO(), width=80)
    with watched(console, every=0.1):
        tell(Event("plan"))
        tell(Event("gather", total=200 * MB, items=2))
        with Item("gather", LONG, 100 * MB) as item:
            item(30 * MB)
            time.sleep(0.25)
        tell(Event("process", total=10))
        tell(Event("process", "uid___A002_X1_X1", "calibrate", 1))
        time.sleep(0.15)
    text = written(console)
    lines = text.splitlines()
    assert "\x1b" not in text
    assert 5 <= len(lines) <= 9
    assert re.fullmatch(r"gather 0 of 2 files, 30\.0 of 200\.0 MB, [\d.]+ MB/s, \d+ s left", lines[0])
    assert "process 1 of 10 steps, uid___A002_X1_X1 calibrate" in lines
    assert re.fullmatch(r"plan done in \d\.\d s", lines[-3])
    assert re.fullmatch(r"gather done in \d\.\d s: 0 files, 30\.0 MB at [\d.]+ MB/s", lines[-2])
    assert re.fullmatch(r"process done in \d\.\d s: 1 of 10 steps", lines[-1])


def test_nothing_goes_to_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    with restoring():
        tell(Event("plan", "uid://A001/X1/X1", "look up"))
    with fetching("verify", total=10, items=1), Item("verify", "a.tar", 10) as item:
        item(10)
    told = capfd.readouterr()
    assert told.out == ""
    plan, verify = told.err.splitlines()
    assert plan.startswith("plan done in")
    assert re.fullmatch(r"verify done in \d\.\d s: 1 file, 10 Bytes at [\d.]+ \w+/s", verify)

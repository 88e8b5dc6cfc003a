"""The end of a log is lines of printable text, however long or hostile it is; and it is read on as it grows."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.cluster.logs import Follower, tail


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", ""),
        (b"one", "one"),
        (b"one\ntwo\nthree\n", "two\nthree"),
        (b"one\n\n\n", "\n"),
        (b"one\r\ntwo\r\n", "one\ntwo"),
        (b"a\xffb\n", "a\N{REPLACEMENT CHARACTER}b"),
        (b"\x1b[2Jx\x00\x07\n", "\N{REPLACEMENT CHARACTER}[2Jx" + 2 * "\N{REPLACEMENT CHARACTER}"),
        ("\u202egpj\n".encode(), "\N{REPLACEMENT CHARACTER}gpj"),
        (b"a\tb\n", "a       b"),
    ],
)
def test_the_last_lines_are_told_as_text(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "log").write_bytes(content)
    assert tail(tmp_path / "log", 2) == told


def test_a_log_that_is_not_there_says_nothing(tmp_path: Path) -> None:
    assert tail(tmp_path / "none") == ""
    assert Follower(tmp_path / "none").more() == []


def test_of_a_long_one_only_its_end_is_read_and_no_half_line_told(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"".join(b"line %d\n" % number for number in range(100_000)))
    lines = tail(tmp_path / "log", 10**6).split("\n")
    assert len(lines) < 100_000
    assert lines[-1] == "line 99999"
    assert all(line.startswith("line ") for line in lines)


def test_a_line_without_end_is_cut(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"x" * 10**6)
    follower = Follower(tmp_path / "log")
    assert 0 < len(tail(tmp_path / "log")) < 10**6
    assert sum(map(len, follower.more())) > 0
    with (tmp_path / "log").open("ab") as stream:
        stream.write(b"\nend\n")
    assert follower.more()[-1] == "end"


def test_a_log_is_read_on_by_whole_lines(tmp_path: Path) -> None:
    log = tmp_path / "log"
    follower = Follower(log)
    log.write_bytes(b"one\nt")
    assert follower.more() == ["one"]
    with log.open("ab") as stream:
        stream.write("wö".encode()[:-1])
        stream.flush()
        assert follower.more() == []
        stream.write("ö".encode()[1:] + b"\nthree\n")
    assert follower.more() == ["twö", "three"]
    assert follower.more() == []


def test_a_log_that_is_away_for_a_while_is_not_told_again(tmp_path: Path) -> None:
    log, other = tmp_path / "log", tmp_path / "other"
    follower = Follower(log)
    log.write_bytes(b"one\n")
    assert follower.more() == ["one"]
    log.rename(other)
    assert follower.more() == []
    follower.path = other
    with other.open("ab") as stream:
        stream.write(b"two\n")
    assert follower.more() == ["two"]


def test_a_log_that_was_begun_anew_is_read_from_its_begin(tmp_path: Path) -> None:
    log = tmp_path / "log"
    follower = Follower(log)
    log.write_bytes(b"a long first line\n")
    follower.more()
    log.write_bytes(b"anew\n")
    assert follower.more() == ["anew"]


@given(pieces=st.lists(st.binary(max_size=20), max_size=6))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_however_it_grows_every_whole_line_is_told_once(tmp_path: Path, pieces: list[bytes]) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"")
    follower, told = Follower(log), []
    for piece in pieces:
        with log.open("ab") as stream:
            stream.write(piece)
        told += follower.more()
    whole = b"".join(pieces).rpartition(b"\n")[0]
    assert told == (tail_of(tmp_path, whole + b"\n") if b"\n" in b"".join(pieces) else [])
    assert all(line.isprintable() for line in told)


def tail_of(folder: Path, content: bytes) -> list[str]:
    (folder / "other").write_bytes(content)
    return tail(folder / "other", 10**6).split("\n")

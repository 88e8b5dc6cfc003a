"""What befell a job: in HTCondor's words, and never better than it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tasks.cluster.fate import OVERTIME, Fate, Kind, fate_of, vanished
from tasks.cluster.job import Job, Status


def fate(joins: int = 1, /, **known: Any) -> Fate | None:
    return fate_of(Job(id="17.0", **known), joins)


@pytest.mark.parametrize(
    ("known", "kind", "words"),
    [
        ({"status": Status.HELD, "hold_reason": "by hand"}, Kind.HELD, "was held: by hand"),
        ({"status": Status.HELD}, Kind.HELD, "was held: HTCondor does not say why"),
        (
            {"status": Status.HELD, "hold_reason": "big", "hold_code": 34, "hold_subcode": 0},
            Kind.OUT_OF_MEMORY,
            "ran out of memory: big",
        ),
        ({"status": Status.HELD, "hold_reason": "long", "hold_code": 47}, Kind.OVERTIME, "ran out of time: long"),
        ({"status": Status.REMOVED, "remove_reason": "by hand"}, Kind.REMOVED, "was removed: by hand"),
        (
            {
                "status": Status.REMOVED,
                "before": Status.HELD,
                "hold_reason": "big",
                "hold_code": 34,
                "hold_subcode": 0,
            },
            Kind.OUT_OF_MEMORY,
            "ran out of memory",
        ),
        (
            {"status": Status.REMOVED, "before": Status.RUNNING, "hold_reason": "once", "hold_code": 34},
            Kind.REMOVED,
            "was removed",
        ),
        (
            {"status": Status.COMPLETED, "exit_code": 1, "hold_reason": "once"},
            Kind.ENDED,
            "ended with exit code 1",
        ),
        ({"status": Status.REMOVED}, Kind.REMOVED, "was removed: HTCondor does not say why"),
        ({"status": Status.COMPLETED, "exit_code": 127}, Kind.ENDED, "ended with exit code 127"),
        ({"status": Status.COMPLETED, "exit_code": 0}, Kind.ENDED, "ended with exit code 0"),
        ({"status": Status.COMPLETED, "exit_signal": 9}, Kind.ENDED, "was ended by signal 9"),
        ({"status": Status.COMPLETED}, Kind.ENDED, "ended in an unknown way"),
        ({"status": Status.COMPLETED, "exit_code": OVERTIME}, Kind.OVERTIME, "ran out of time: it worked as long"),
        ({"status": Status.COMPLETED, "exit_code": 0, "wall_seconds": 1e6}, Kind.ENDED, "exit code 0"),
        (
            {"status": Status.IDLE, "starts": 1, "vacate_reason": "a better job"},
            Kind.EVICTED,
            "evicted: a better job",
        ),
        ({"status": Status.RUNNING, "starts": 2}, Kind.EVICTED, "evicted: it had to leave its node"),
    ],
)
def test_it_is_named_with_its_reason(known: dict[str, Any], kind: Kind, words: str) -> None:
    found = fate(**known)
    assert found
    assert found.kind is kind
    assert words in str(found)
    assert str(found).startswith("job 17.0 ")


@pytest.mark.parametrize(
    ("known", "joins"),
    [
        ({"status": Status.RUNNING, "starts": 1}, 1),
        ({"status": Status.RUNNING, "starts": 1}, 0),
        ({"status": Status.IDLE}, 0),
        ({"status": Status.IDLE, "starts": 1}, 0),
        ({"status": Status.UNKNOWN}, 1),
        ({"status": Status.TRANSFERRING, "starts": 1}, 1),
        ({"status": Status.SUSPENDED, "starts": 1}, 1),
        ({"status": Status.RUNNING, "starts": 1, "hold_reason": "long ago"}, 1),
    ],
)
def test_nothing_befell_it_as_far_as_anybody_knows(known: dict[str, Any], joins: int) -> None:
    assert fate(joins, **known) is None


def test_the_end_of_its_log_says_more(tmp_path: Path) -> None:
    (tmp_path / "err").write_text("first\nno such file\n")
    found = fate(status=Status.COMPLETED, exit_code=127, error=str(tmp_path / "err"))
    assert str(found) == "job 17.0 ended with exit code 127; its log ends with: first\nno such file"


def test_what_it_had_asked_for_is_kept_and_silence_is_named() -> None:
    assert (fate(status=Status.HELD, requested_memory=5) or vanished("", 0)).memory == 5
    assert "was not heard for 26 s, and HTCondor tells no end of it" in str(vanished("17.0", 26.2))

"""What messages say, and why they are refused: not JSON, ids missing, foreign, too long, hostile."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import Refused
from tasks.messages.reading import MOST_BYTES, read_announcement, read_status, short

MOUS = "uid://A001/X1284/X265f"
NOW = datetime.now(UTC)
STATUS = {"workflow": "restore-ous", "observation": MOUS, "state": "running", "time": NOW.isoformat()}


def body(**said: object) -> bytes:
    return json.dumps(said).encode()


@pytest.mark.parametrize(
    "said", [{"mous": MOUS}, {"observation": "uid___A001_X1284_X265f", "profile": "site-test"}]
)
def test_an_announcement_names_an_observation(said: dict[str, object]) -> None:
    found = read_announcement(body(**said, more={"from": "others"}), "site-test")
    assert (found.mous, found.project, found.priority) == (MOUS, None, 0)


def test_an_announcement_may_say_project_and_priority() -> None:
    found = read_announcement(body(mous=MOUS, project="2017.1.00886.L", priority=5), "site-test")
    assert (found.project, found.priority) == ("2017.1.00886.L", 5)


MALFORMED = {
    "nothing": (b"", "Invalid JSON"),
    "not JSON": (b"<mous>uid://A001/X1/X2</mous>", "Invalid JSON"),
    "not UTF-8": (b'{"mous": "\xff\xfe"}', "Invalid JSON"),
    "not an object": (b'["uid://A001/X1/X2"]', "object"),
    "deep": (b'{"mous":' * 50_000, "Invalid JSON"),
    "no id": (body(project="2017.1.00886.L"), "mous: Field required"),
    "null": (body(mous=None), "mous: Input should be a valid string"),
    "a number": (body(mous=7), "mous: Input should be a valid string"),
    "SQL": (body(mous="'; DROP TABLE request; --"), "is not an ALMA id"),
    "a path": (body(mous="../../etc/passwd"), "is not an ALMA id"),
    "a zero byte": (body(mous=f"{MOUS}\0"), "is not an ALMA id"),
    "a long id": (body(mous=f"uid://A001/X1/X{'1' * 60}"), "more than 64 characters"),
    "a very long id": (body(mous="x" * 900_000), "more than 64 characters"),
    "foreign": (body(mous=MOUS, profile="site-prod"), "it is for profile site-prod, and this is site-test"),
    "a hostile project": (body(mous=MOUS, project="a/../b"), "project: "),
    "a project with an escape": (body(mous=MOUS, project="\x1b[2J"), "project: "),
    "a great priority": (body(mous=MOUS, priority=10**30), "priority: "),
    "a wrong priority": (body(mous=MOUS, priority=True), "priority: "),
    "long": (b'{"mous":"' + b" " * 10_000_000 + b'"}', f"10000011 bytes, and {MOST_BYTES} are the most"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_malformed_is_refused_with_a_reason(name: str) -> None:
    content, why = MALFORMED[name]
    with pytest.raises(Refused) as refused:
        read_announcement(content, "site-test")
    reason = short(refused.value)
    assert why in reason
    assert len(reason) <= 400
    assert reason.isprintable()


def test_a_status_says_how_far_a_run_is() -> None:
    found = read_status(body(**STATUS, stage="running casa", flow_run="0a9f6d9e-6c5c-4f0e-9b57-0d9f4f1a2b3c"))
    assert (found.workflow, found.observation, found.stage, found.time) == (
        "restore-ous", MOUS, "running casa", NOW,
    )  # fmt: skip


@pytest.mark.parametrize(
    "wrong",
    [
        {"workflow": "a b"},
        {"observation": "X1"},
        {"state": None},
        {"flow_run": "1; DROP"},
        {"stage": "x\ny"},
        {"stage": "x" * 65},
        {"time": "yesterday"},
        {"time": "2026-01-01T00:00:00"},
        {"time": "2999-01-01T00:00:00+00:00"},
        {"time": 1e300},
    ],
    ids=str,
)
def test_a_status_that_is_malformed_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(Refused, match="cannot be understood"):
        read_status(body(**{**STATUS, **wrong}))


JSON = st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda part: st.lists(part), max_leaves=5)
LIKELY = st.dictionaries(st.sampled_from(["mous", "observation", "project", "priority", "profile", "time"]), JSON)


@given(st.binary() | LIKELY.map(lambda said: json.dumps(said).encode()))
def test_whatever_comes_is_understood_or_refused(content: bytes) -> None:
    for read in (lambda: read_announcement(content, "site-test"), lambda: read_status(content)):
        with suppress(Refused):
            read()

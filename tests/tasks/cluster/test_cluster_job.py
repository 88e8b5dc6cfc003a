"""What HTCondor tells of a job is taken as it is: what is missing or odd is unknown, and never a success."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.cluster.job import ATTRIBUTES, Job, Status
from tasks.cluster.tag import Owner, Tag

BARE = {"ClusterId": 17, "ProcId": 0}
TAG = Tag(
    "site-test", "2017.1.00886.L", "uid://A001/X1284/X265f", "restore-ous", "process", "run", "crew",
    Owner("host", "boot pid:[1]", 17, 4711),
)  # fmt: skip
SAID = {
    "PPIProfile": "site-test", "PPIProject": "2017.1.00886.L", "PPIObservation": "uid://A001/X1284/X265f",
    "PPIFlow": "restore-ous", "PPIStage": "process", "PPIFlowRun": "run", "PPICrew": "crew",
    "PPIOwnerHost": "host",
    "PPIOwnerMachine": "boot pid:[1]", "PPIOwnerPid": 17, "PPIOwnerBorn": 4711,
}  # fmt: skip
EVALUATED_LATER = "/Expr(RequestMemory * 2)/"


def job(**ad: Any) -> Job:
    return Job.of({**BARE, **ad})


def test_of_a_bare_ad_nothing_is_known() -> None:
    told = job()
    assert (told.id, told.status, told.tag, told.starts) == ("17.0", Status.UNKNOWN, None, 0)
    known = told.model_dump(exclude={"id", "name", "status", "before", "starts"}, exclude_none=True)
    assert known == {}
    assert not told.is_over
    assert not told.exceeded_memory


@pytest.mark.parametrize("number", [0, 8, 99, -1, None, "4", EVALUATED_LATER])
def test_a_status_that_nobody_knows_is_unknown_and_not_over(number: object) -> None:
    told = job(JobStatus=number)
    assert told.status is Status.UNKNOWN
    assert not told.is_over


@pytest.mark.parametrize(
    ("ad", "code", "number"),
    [
        ({"ExitBySignal": False, "ExitCode": 0}, 0, None),
        ({"ExitBySignal": False, "ExitCode": 3, "ExitSignal": 9}, 3, None),
        ({"ExitBySignal": True, "ExitSignal": 9}, None, 9),
        ({"ExitBySignal": True, "ExitSignal": 9, "ExitCode": 0}, None, 9),
        ({"ExitBySignal": True}, None, None),
        ({}, None, None),
    ],
)
def test_an_exit_code_and_a_signal_never_stand_for_each_other(
    ad: dict[str, Any], code: int | None, number: int | None
) -> None:
    told = job(JobStatus=4, **ad)
    assert (told.exit_code, told.exit_signal) == (code, number)


@pytest.mark.parametrize(
    ("ad", "reason", "exceeded"),
    [
        ({"HoldReason": "too big", "HoldReasonCode": 34, "HoldReasonSubCode": 0}, "too big", True),
        ({"HoldReason": "too big", "HoldReasonCode": 34, "HoldReasonSubCode": 102}, "too big", True),
        ({"HoldReason": "too big", "HoldReasonCode": 21, "HoldReasonSubCode": 102}, "too big", True),
        ({"HoldReason": "policy", "HoldReasonCode": 26, "HoldReasonSubCode": 1}, "policy", False),
        ({"HoldReason": "by hand", "HoldReasonCode": 1}, "by hand", False),
        ({"LastHoldReason": "too big", "LastHoldReasonCode": 34, "LastHoldReasonSubCode": 0}, "too big", True),
        ({"HoldReason": "by hand", "HoldReasonCode": 1, "LastHoldReasonCode": 34}, "by hand", False),
        ({"HoldReasonCode": 34}, None, False),
    ],
)
def test_why_it_was_held(ad: dict[str, Any], reason: str | None, exceeded: bool) -> None:
    told = job(**ad)
    assert (told.hold_reason, told.exceeded_memory) == (reason, exceeded)


def test_numbers_come_in_plain_units_and_what_is_no_number_is_unknown() -> None:
    told = job(RequestMemory=600, ResidentSetSize_RAW=1000, RemoteUserCpu=1.5, RemoteSysCpu=0.5, NumJobStarts=2)
    assert (told.requested_memory, told.memory, told.cpu_seconds, told.starts) == (600 << 20, 1000 << 10, 2.0, 2)
    odd = job(RequestMemory=EVALUATED_LATER, ResidentSetSize_RAW=True, QDate=0, NumJobStarts="x")
    assert (odd.requested_memory, odd.memory, odd.submitted, odd.starts) == (None, None, None, 0)
    assert job(QDate=1_800_000_000).submitted == datetime.fromtimestamp(1_800_000_000, UTC)


def test_where_it_ran_is_known_after_it_has_left() -> None:
    assert job(LastRemoteHost="slot1@a").host == "slot1@a"
    assert job(RemoteHost="slot1@b", LastRemoteHost="slot1@a").host == "slot1@b"


def test_whose_it_is() -> None:
    assert job(**SAID).tag == TAG
    for name in SAID:
        assert job(**{key: value for key, value in SAID.items() if key != name}).tag is None
    assert set(SAID) <= set(ATTRIBUTES)


odd = st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats() | st.text(max_size=5)


@given(ad=st.dictionaries(st.sampled_from([name for name in ATTRIBUTES if not name.startswith("PPI")]), odd))
def test_whatever_an_ad_says_it_is_read(ad: dict[str, Any]) -> None:
    told = Job.of({**ad, **BARE})
    assert told.status is not Status.COMPLETED or ad["JobStatus"] == 4
    assert told.exit_code is None or told.exit_signal is None

"""What may be restored, and the one line that says why not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from alma_observatory import CODE, DELIVERY, MOUS, PROJECT

from tasks.alma import ArchiveFile, Delivery, ObservingUnitSet, Standing, decide, require
from tasks.errors import Refused

NOW = datetime(2020, 1, 1, tzinfo=UTC)
CALIBRATION, SCIENCE = ("calibration", "member.x.session_1.caltables.tgz"), ("science", "member.x.fits")
HAND = ("script", "member.uid___A002_X1_X2.ms.scriptForCalibration.py")


def _ous(
    *products: tuple[str, str],
    release: datetime | None = NOW,
    delivered: bool = True,
    state: str | None = None,
    qa2: str | None = None,
) -> ObservingUnitSet:
    delivery = Delivery(name=DELIVERY, release_date=release, qa2_passed="Y") if delivered else None
    return ObservingUnitSet(
        mous=MOUS,
        gous=None,
        sous=None,
        project_code=CODE,
        project_uid=PROJECT,
        project_status=None,
        part_id=None,
        sched_block=None,
        sched_block_status=None,
        state=state,
        qa2_status=qa2,
        sessions=(),
        execution_blocks=(),
        products=tuple(ArchiveFile(file_id=name, file_class=kind, size=None) for kind, name in products),
        delivery=delivery,
    )


LATER = NOW + timedelta(microseconds=1)
CASES = {
    "public from this moment": (_ous(CALIBRATION, SCIENCE), Standing.RESTORABLE, "public since 2020-01-01"),
    "class in capitals": (_ous(("CALIBRATION", "c"), ("Science", "s")), Standing.RESTORABLE, "public"),
    "other scripts": (
        _ous(CALIBRATION, SCIENCE, ("script", "member.x.scriptForPI.py"), ("log", "scriptForCalibration.log")),
        Standing.RESTORABLE,
        "public",
    ),
    "not yet": (_ous(CALIBRATION, SCIENCE, release=LATER), Standing.PROPRIETARY, "until 2020-01-01"),
    "date unknown": (_ous(CALIBRATION, SCIENCE, release=None), Standing.PROPRIETARY, "date unknown"),
    "not delivered": (_ous(CALIBRATION, SCIENCE, delivered=False), Standing.PROPRIETARY, "date unknown"),
    "hand-calibrated": (_ous(CALIBRATION, SCIENCE, HAND), Standing.HAND_CALIBRATED, "CASA version"),
    "hand-calibrated in small letters": (
        _ous(CALIBRATION, SCIENCE, ("SCRIPT", "member.scriptforfluxcalibration.py")),
        Standing.HAND_CALIBRATED,
        "CASA version",
    ),
    "hand-calibrated, no products": (_ous(HAND, qa2="SemiPass"), Standing.HAND_CALIBRATED, "CASA version"),
    "nothing": (_ous(), Standing.NOT_CALIBRATED, "state is unknown"),
    "waiting": (_ous(SCIENCE, state="ReadyForProcessing"), Standing.NOT_CALIBRATED, "ReadyForProcessing"),
    "processing": (_ous(state="Processing"), Standing.IN_PROGRESS, "Processing"),
    "reviewing": (_ous(state="Reviewing", qa2="Pass"), Standing.IN_PROGRESS, "Reviewing"),
    "no science": (_ous(CALIBRATION), Standing.IN_PROGRESS, "no science products"),
    "semi-pass": (_ous(state="Reviewing", qa2="SemiPass"), Standing.SEMI_PASS, "SemiPass"),
    "semi-pass in words": (_ous(qa2="Semi Pass"), Standing.SEMI_PASS, "SemiPass"),
    "semi-pass, calibrated": (_ous(CALIBRATION, SCIENCE, qa2="SemiPass"), Standing.RESTORABLE, "public"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_decision_and_its_reason(case: str) -> None:
    ous, standing, words = CASES[case]

    decision = decide(ous.evidence, (), NOW)

    assert decision.standing is standing
    assert words in decision.reason
    assert "\n" not in decision.reason
    assert decision.restorable == (standing is Standing.RESTORABLE)


@pytest.mark.parametrize(
    ("allowed", "restorable"), [((CODE,), True), (("*",), True), (("2017.1.00886",), False), (("",), False)]
)
@pytest.mark.parametrize("release", [LATER, None])
def test_a_profile_may_process_the_proprietary_data_of_its_projects(
    release: datetime | None, allowed: tuple[str, ...], restorable: bool
) -> None:
    decision = decide(_ous(CALIBRATION, SCIENCE, release=release).evidence, allowed, NOW)

    assert decision.restorable is restorable
    assert "proprietary" in decision.reason
    assert CODE in decision.reason


def test_leave_for_a_project_opens_nothing_else() -> None:
    assert not decide(_ous(CALIBRATION, SCIENCE, HAND).evidence, ("*",), NOW).restorable


@pytest.mark.parametrize("case", [name for name, (_, standing, _) in CASES.items() if standing != "restorable"])
def test_what_is_not_restorable_is_refused_with_reason_and_next_step(case: str) -> None:
    decision = decide(CASES[case][0].evidence, (), NOW)

    with pytest.raises(Refused) as caught:
        require(decision)

    assert (MOUS in str(caught.value), caught.value.why) == (True, decision.reason)
    assert caught.value.todo


def test_what_is_restorable_is_let_through() -> None:
    require(decide(_ous(CALIBRATION, SCIENCE).evidence, (), NOW))

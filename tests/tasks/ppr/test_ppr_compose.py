"""What is composed is what the pipeline needs, and nothing that it would take wrongly."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ppr_examples import BLOCKS, IDS, STAMP, observation, seed_004

from tasks.alma import EntityId, ObservingUnitSet
from tasks.errors import Refused
from tasks.ppr import (
    CALIBRATE,
    CALIBRATE_AND_IMAGE,
    IMAGE,
    RESTORE,
    Ppr,
    Procedure,
    compose,
    differences,
    read,
    write,
)
from tasks.ppr.procedures import OF_RESTORE, ProcedureName, procedure_name


def _compose(ous: ObservingUnitSet, *blocks: EntityId, stamp: datetime = STAMP) -> Ppr:
    return compose(ous, RESTORE, stamp=stamp, site="NAASC", operator="almapipe", execution_blocks=blocks)


def test_the_seed_observation() -> None:
    ppr = _compose(seed_004(), *BLOCKS)

    assert ppr.intents == (
        ("PROCESS", "true"),
        ("SESSION_1", "uid://A002/Xc7111c/X3979 | uid://A002/Xc7111c/X409e"),
        ("SESSION_2", ""),
        ("SESSION_3", "uid://A002/Xc7111c/X86a7"),
        ("SESSION_4", "uid://A002/Xc72427/X2dfe"),
        ("INTERFEROMETRY_STANDARD_OBSERVING_MODE", "Undefined"),
    )
    assert ppr.data_set.relative_path == (
        "2017.1.00886.L_2018_11_20T17_30_00.000/SOUS_uid___A001_X1284_X265d"
        "/GOUS_uid___A001_X1284_X265e/MOUS_uid___A001_X1284_X265f"
    )
    assert (ppr.summary.mode, ppr.summary.creation_time) == ("SCIENCE", "2018-11-20T17:30:00.000")
    assert (ppr.summary.processing_site, ppr.summary.operator) == ("NAASC", "almapipe")
    assert ppr.data_set.execution_blocks == BLOCKS
    assert read(write(ppr)) == ppr


def test_of_some_blocks_the_emptied_sessions_stay() -> None:
    ppr = _compose(seed_004(), BLOCKS[3], BLOCKS[1])

    assert ppr.intents[1:5] == (
        ("SESSION_1", BLOCKS[1]),
        ("SESSION_2", ""),
        ("SESSION_3", ""),
        ("SESSION_4", BLOCKS[3]),
    )
    assert ppr.data_set.execution_blocks == (BLOCKS[1], BLOCKS[3])
    assert [ppr.session_of(uid) for uid in ppr.data_set.execution_blocks] == ["session_1", "session_4"]


@given(st.lists(st.lists(IDS, max_size=3), min_size=1, max_size=8), st.data())
def test_every_block_is_found_in_its_own_session(sessions: list[list[EntityId]], data: st.DataObject) -> None:
    seen: set[EntityId] = set()
    parts = [tuple(uid for uid in dict.fromkeys(s) if not (uid in seen or seen.add(uid))) for s in sessions]  # type: ignore[func-returns-value]
    blocks = tuple(uid for part in parts for uid in part)
    chosen = data.draw(st.sets(st.sampled_from(blocks), min_size=1)) if blocks else set()
    if not chosen:
        return

    ppr = read(write(_compose(observation(*parts, blocks=blocks), *chosen)))

    for number, part in enumerate(parts, start=1):
        for uid in chosen.intersection(part):
            assert ppr.session_of(uid) == f"session_{number}"


@pytest.mark.parametrize(
    ("ous", "blocks", "reason"),
    [
        (seed_004(), (), "no execution block"),
        (observation(blocks=()), (), "no execution block"),
        (seed_004(), (BLOCKS[0], EntityId("uid://A002/X0/X0")), "uid://A002/X0/X0 is not of this observation"),
        (observation(BLOCKS[:3]), BLOCKS, f"{BLOCKS[3]} is in no session"),
        (observation(), BLOCKS[:1], f"{BLOCKS[0]} is in no session"),
        (observation(BLOCKS, BLOCKS[:1]), BLOCKS, f"{BLOCKS[0]} is there more than once"),
    ],
)
def test_what_would_be_calibrated_wrongly_is_refused(
    ous: ObservingUnitSet, blocks: tuple[EntityId, ...], reason: str
) -> None:
    with pytest.raises(Refused, match=reason):
        _compose(ous, *blocks)


def test_a_block_outside_all_sessions_may_be_left_out() -> None:
    assert _compose(observation(BLOCKS[:3]), *BLOCKS[:3]).data_set.execution_blocks == BLOCKS[:3]


def test_unknown_ids_have_a_place() -> None:
    unknown = dict.fromkeys(
        ("gous", "sous", "project_status", "part_id", "sched_block", "sched_block_status"), None
    )
    ppr = _compose(seed_004().model_copy(update=unknown), *BLOCKS)

    assert "/SOUS_unknown/GOUS_unknown/MOUS_uid___" in ppr.data_set.relative_path
    assert ppr.structure.part_id == "Undefined"
    assert write(ppr).count(b'entityId="UID_UNASSIGNED"') == 3
    assert read(write(ppr)) == ppr


@pytest.mark.parametrize(
    "stamp",
    [
        datetime(2018, 11, 20, 17, 30),  # noqa: DTZ001 (that is what is tested)
        datetime(2018, 11, 20, 19, 30, 0, 999, timezone(timedelta(hours=2))),
    ],
)
def test_the_stamp_is_utc_in_milliseconds(stamp: datetime) -> None:
    assert differences(_compose(seed_004(), *BLOCKS, stamp=stamp), _compose(seed_004(), *BLOCKS)) == ()
    assert _compose(seed_004(), *BLOCKS, stamp=stamp) == _compose(seed_004(), *BLOCKS)


def _text(procedure: Procedure) -> str:
    return " ".join(
        command.name + "".join(f"({keyword}={value})" for keyword, value in command.parameters)
        for command in procedure.commands
    )


CALIBRATION = (
    "hifa_importdata hifa_flagdata hifa_fluxcalflag hif_rawflagchans hif_refant h_tsyscal hifa_tsysflag "
    "hifa_antpos hifa_wvrgcalflag hif_lowgainflag hif_setmodels hifa_bandpassflag hifa_spwphaseup "
    "hifa_gfluxscaleflag hifa_gfluxscale hifa_timegaincal hif_applycal hifa_imageprecheck "
    "hif_makeimlist(intent=PHASE,BANDPASS,CHECK) "
    "hif_makeimages "
)
SIZES = "hif_checkproductsize(maxcubesize=30.0)(maxcubelimit=40.0)(maxproductsize=400.0) "
IMAGING = (
    "hif_mstransform hifa_flagtargets hif_makeimlist(specmode=mfs) hif_findcont hif_uvcontfit hif_uvcontsub "
    "hif_makeimages hif_makeimlist(specmode=cont) hif_makeimages hif_makeimlist hif_makeimages "
    "hif_makeimlist(specmode=repBW) hif_makeimages hifa_exportdata"
)


@pytest.mark.parametrize(
    ("procedure", "title", "commands"),
    [
        (RESTORE, "hifa_restore", "hifa_restoredata"),
        (CALIBRATE, "hifa_cal", CALIBRATION + SIZES + "hifa_exportdata"),
        (IMAGE, "hifa_image", "hifa_restoredata " + SIZES + IMAGING),
        (CALIBRATE_AND_IMAGE, "hifa_calimage", CALIBRATION + SIZES + "breakpoint " + IMAGING),
    ],
)
def test_the_procedures_are_those_of_cycle_5(procedure: Procedure, title: str, commands: str) -> None:
    assert (procedure.title, _text(procedure)) == (title, commands)


def test_a_restore_knows_the_procedures_that_begin_with_the_archived_calibration() -> None:
    assert set(OF_RESTORE) == set(get_args(ProcedureName))
    for name, procedure in OF_RESTORE.items():
        assert procedure_name(name) == procedure.title == name
        assert procedure.commands[0].name == "hifa_restoredata"
    assert [name for name, procedure in OF_RESTORE.items() if procedure.exports] == ["hifa_image"]


@pytest.mark.parametrize("name", ["", "hifa_cal", "HIFA_RESTORE", "hifa_restore "])
def test_another_procedure_is_refused_with_those_that_are_known(name: str) -> None:
    with pytest.raises(Refused, match="Next: name hifa_restore or hifa_image") as raised:
        procedure_name(name)
    assert repr(name) in str(raised.value)

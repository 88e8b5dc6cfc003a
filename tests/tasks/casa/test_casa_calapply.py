"""Calibration commands come from an archive as Python text, and are never run."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.casa.calapply import Applycal, parse, scan_intents
from tasks.errors import Refused

LINE = (
    "applycal(vis='/lustre/a/uid___A002_X1_X2.ms', field='J2258-2758', intent='BANDPASS,AMPLITUDE', spw='0,1', "
    "antenna='', gaintable=['/lustre/b/x.bcal.tbl', 'y.gpcal.tbl'], gainfield=['', 'J2258-2758'], "
    "spwmap=[[], [0, 0]], interp=['linear,linear', 'linear'], calwt=[True, False])"
)
MODES = {"CALIBRATE_BANDPASS#ON_SOURCE,CALIBRATE_FLUX#ON_SOURCE", "OBSERVE_TARGET#ON_SOURCE"}


def test_a_line_becomes_a_command_with_plain_names() -> None:
    (command,) = parse(f"# Apply file\n\n{LINE}\n", "x.calapply.txt")
    assert command.vis == "uid___A002_X1_X2.ms"
    assert command.gaintable == ("x.bcal.tbl", "y.gpcal.tbl")
    assert command.spwmap == ([], [0, 0])
    assert command.calwt == (True, False)
    assert command.applymode == "calflagstrict"


def test_one_table_may_be_given_without_a_list() -> None:
    (command,) = parse("applycal(vis='a.ms', gaintable='/x/y.tbl')", "f")
    assert command.gaintable == ("y.tbl",)


@pytest.mark.parametrize(
    "line",
    [
        "import os",
        "applycal(vis='a.ms', gaintable=[__import__('os').system('id')])",
        "applycal(vis='a.ms', gaintable=[t for t in 'ab'])",
        "applycal(vis=open('/etc/passwd').read())",
        "applycal('a.ms')",
        "applycal(**{'vis': 'a.ms'})",
        "applycal(vis='a.ms'); quit()",
        "casatasks.applycal(vis='a.ms')",
        "applycal(vis='a.ms', callib='/x')",
        "applycal(vis='a.ms', gaintable=3)",
        "applycal(vis='a.ms'",
        "flagdata(vis='a.ms')",
        "applycal(vis='a.ms')\nrm -rf /",
        "",
        "# only a comment",
    ],
)
def test_anything_but_literals_is_refused_by_line(line: str) -> None:
    with pytest.raises(Refused, match=r"x\.calapply\.txt"):
        parse(line, "x.calapply.txt")


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(Refused):
        assert all(isinstance(command, Applycal) for command in parse(text, "x"))


@pytest.mark.parametrize(
    ("intent", "selection"),
    [
        ("", ""),
        ("TARGET", "*OBSERVE_TARGET*"),
        ("BANDPASS,AMPLITUDE", "*CALIBRATE_BANDPASS*,*CALIBRATE_FLUX*"),
        ("TARGET,CHECK", "*OBSERVE_TARGET*"),
        ("CHECK", None),
        ("*CALIBRATE_BANDPASS*", "*CALIBRATE_BANDPASS*"),
        ("OBSERVE_TARGET#ON_SOURCE", "*OBSERVE_TARGET#ON_SOURCE*"),
        ("CALIBRATE_PHASE#ON_SOURCE", None),
    ],
)
def test_intents_select_only_what_the_set_has(intent: str, selection: str | None) -> None:
    assert scan_intents(intent, MODES) == selection


def test_an_intent_that_nobody_knows_is_not_passed_over() -> None:
    with pytest.raises(Refused, match="DIFFGAINREF"):
        scan_intents("PHASE,DIFFGAINREF", MODES)

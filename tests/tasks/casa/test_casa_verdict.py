"""The verdict: every sign must be good, and an unknown one is bad."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.casa.launch import Exit
from tasks.casa.log import LogScan, scan, scan_lines
from tasks.casa.verdict import Evidence, Outcome, Verdict, judge, worst

ENDED = Exit(status=0, signal=None, timed_out=False, wall_seconds=1, cpu_seconds=1, peak_rss_bytes=1)
GOOD = Evidence(
    exit=ENDED, sentinel=True, error_exits=(), log=LogScan(found=True, lines=1), rows=10, rows_promised=10
)

SEVERE = "2026-11-20 18:19:04\tSEVERE\tflagmanager::::casa\tTask flagmanager raised an exception"
LEAP = (
    "2026-11-20 18:39:15\tSEVERE\timportasdm::MeasTable::dUTC(Double) (file …)\t"
    "Leap second table TAI_UTC seems out-of-date."
)
NOTICE = "2026-11-20 18:39:15\tSEVERE\t::casa\t"
LOST = "2026-11-20 18:20:00\tINFO\t::sdm \tSDMDataObjectStreamReaderException:Processing integration # 2"
WARN = "2026-11-20 18:39:16\tWARN\timportasdm::::casa\tThere is no Flag.xml in ASDM"


def changed(**what: object) -> Evidence:
    return GOOD.model_copy(update=what)


def ended(**what: object) -> Exit:
    return ENDED.model_copy(update=what)


def test_all_good_is_success_without_reasons() -> None:
    assert judge(GOOD) == Verdict(outcome=Outcome.SUCCESS)


@pytest.mark.parametrize(
    ("evidence", "reason"),
    [
        (changed(exit=ended(status=1)), "status 1"),
        (changed(exit=ended(status=None, signal=9)), "signal 9"),
        (changed(exit=ended(status=None, signal=15, timed_out=True)), "time limit"),
        (changed(exit=ended(status=None)), "status None"),
        (changed(sentinel=False), "result.json"),
        (changed(error_exits=("errorexit-20261120T184000.txt",)), "errorexit-20261120T184000.txt"),
        (changed(log=scan_lines([SEVERE])), "Task flagmanager raised"),
        (changed(log=scan_lines([LOST])), "lost data"),
        (changed(log=LogScan(found=False)), "no log"),
        (changed(log=scan_lines([])), "its log cannot be read"),
        (changed(log=scan_lines(["2026/11/20 INFO", "a log of some other kind"])), "its log cannot be read"),
        (changed(rows=9), "9 rows"),
        (changed(rows=None), "not known"),
        (changed(rows_promised=None), "not known"),
        (changed(missing_products=("x.ms",)), "x.ms"),
        (changed(faults=("CORRECTED_DATA equals DATA",)), "CORRECTED_DATA"),
    ],
)
def test_each_bad_or_unknown_sign_fails_with_its_reason(evidence: Evidence, reason: str) -> None:
    verdict = judge(evidence)
    assert verdict.outcome is Outcome.FAILED
    assert reason in " ".join(verdict.reasons)


def test_caveats_do_not_fail() -> None:
    assert judge(changed(caveats=("older CASA",))) == Verdict(outcome=Outcome.CAVEATS, reasons=("older CASA",))


def test_a_fault_outweighs_a_caveat() -> None:
    assert judge(changed(caveats=("older CASA",), rows=1)).outcome is Outcome.FAILED


@pytest.mark.parametrize("line", [LEAP, NOTICE])
def test_known_harmless_severe_lines_are_benign(line: str) -> None:
    assert (scan_lines([line]).benign, scan_lines([line]).severe) == (1, ())


def test_the_benign_text_from_another_origin_is_severe() -> None:
    assert scan_lines([LEAP.replace("MeasTable::dUTC(Double)", "applycal")]).severe


@pytest.mark.parametrize("time", ["2026-11-20 18:39:15.123", "2026-11-20 18:39:15"])
def test_times_may_have_fractions(time: str) -> None:
    found = scan_lines([line.replace(line.partition("\t")[0], time) for line in (WARN, LEAP, SEVERE)])
    assert (found.lines, found.warnings, found.benign) == (3, 1, 1)
    assert found.severe == ("flagmanager::::casa: Task flagmanager raised an exception",)


@pytest.mark.parametrize(
    "line", ["20/11/2026 18:39\tSEVERE\tapplycal\tit went wrong", "\tSEVERE1\tx", "x\tSEVERE"]
)
def test_a_severe_line_counts_however_odd_the_line(line: str) -> None:
    assert scan_lines([WARN, line]).severe == (line.strip(),)


def test_the_word_alone_is_not_severe() -> None:
    assert not scan_lines(["a SEVERE test of the log", WARN + "\tSEVERELY"]).severe


def test_continuation_lines_belong_to_their_origin() -> None:
    assert scan_lines([SEVERE.replace("::::casa", "::::casa+")]).severe


def test_lost_data_is_seen_whatever_the_priority() -> None:
    assert all(scan_lines([LOST.replace("INFO", word)]).lost_data for word in ("INFO", "WARN", "SEVERE", "INFO1"))


def test_counts(tmp_path: Path) -> None:
    log = tmp_path / "casa.log"
    log.write_text("\n".join([WARN, WARN, LEAP, SEVERE, "not a line of the log"]))
    found = scan(log)
    assert (found.found, found.lines, found.warnings, found.benign, len(found.severe)) == (True, 4, 2, 1, 1)


def test_no_log_is_told_from_an_empty_one(tmp_path: Path) -> None:
    assert not scan(tmp_path / "casa.log").found
    (tmp_path / "casa.log").touch()
    assert scan(tmp_path / "casa.log").found


@given(st.lists(st.text(max_size=80), max_size=30))
def test_any_text_can_be_scanned(lines: list[str]) -> None:
    assert scan_lines(lines).lines <= len(lines)


def test_the_whole_is_as_bad_as_its_worst_part() -> None:
    good, caveat, bad = (Verdict(outcome=outcome, reasons=(outcome.value,)) for outcome in Outcome)
    assert worst((good, caveat)).outcome is Outcome.CAVEATS
    assert worst((bad, good)).outcome is Outcome.FAILED
    assert worst(()).outcome is Outcome.FAILED

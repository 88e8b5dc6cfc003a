"""What a run leaves in its directory, and what is made of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.casa.environment import CASA_LOG, bare_environment, child_environment
from tasks.casa.executor import Block, StepWatch, error_exits, failure, judged, recorded, unreadable
from tasks.casa.launch import Exit
from tasks.casa.proof import FieldFlags, Proof
from tasks.casa.request import ERROR, RESULT, STEPS, ChildError, RestoreResult, StepTime
from tasks.casa.verdict import Outcome, Verdict
from tasks.errors import Failed, Missing, PpiError, Refused

ENDED = Exit(status=0, signal=None, timed_out=False, wall_seconds=1, cpu_seconds=1, peak_rss_bytes=1)
BLOCK = Block("uid://A002/X1/X2", "uid___A002_X1_X2", "x.ms", "session_1", "flags", "commands", "tables", None)
GOOD = FieldFlags(field="target", spw=0, archived=0.25, restored=0.25, lost=0, calibrated=True)
LOG = "2026-11-20 18:19:04\t{}\tapplycal::::casa\t{}\n"


def proof(**changed: object) -> Proof:
    return Proof(vis=BLOCK.vis, rows=10, has_corrected=True, flags=(GOOD,)).model_copy(update=changed)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """What a good run leaves."""
    for name in BLOCK.made:
        (tmp_path / name).mkdir()
        (tmp_path / name / "table.dat").write_text("a table")
    (tmp_path / CASA_LOG).write_text(LOG.format("INFO", "done"))
    result(tmp_path, proof())
    return tmp_path


def result(directory: Path, measured: Proof, *caveats: str) -> None:
    steps = (StepTime(step="prove", seconds=1.5),)
    made = RestoreResult(proof=measured, caveats=caveats, steps=steps, casa_version="6.7.0.31")
    (directory / RESULT).write_text(made.model_dump_json())


def gave_up(directory: Path, kind: str) -> None:
    (directory / RESULT).unlink(missing_ok=True)
    error = ChildError(kind=kind, what="tables", why="they are not there", todo="look again")
    (directory / ERROR).write_text(error.model_dump_json())


def verdict(directory: Path, ended: Exit = ENDED, promised: int | None = 10) -> Verdict:
    return judged(directory, ended, promised, BLOCK.made)


def test_a_good_run_is_a_success_and_recorded_with_what_it_measured(directory: Path) -> None:
    assert verdict(directory) == Verdict(outcome=Outcome.SUCCESS)
    record = recorded(BLOCK, directory, ENDED, verdict(directory))
    assert (record.proof, record.exit, record.vis) == (proof(), ENDED, "x.ms")
    assert [step.step for step in record.steps] == ["prove"]


def test_nothing_at_all_is_a_failure_with_every_reason(tmp_path: Path) -> None:
    assert verdict(tmp_path) == Verdict(
        outcome=Outcome.FAILED,
        reasons=(
            "it left no log",
            "it wrote no result.json: it did not reach its end",
            "the number of rows is not known",
            "product x.ms is missing, empty or unreadable",
            "product x.ms.flagversions is missing, empty or unreadable",
        ),
    )
    assert recorded(BLOCK, tmp_path, ENDED, verdict(tmp_path)).proof is None


def test_the_child_s_own_words_come_first(directory: Path) -> None:
    gave_up(directory, "Failed")
    found = verdict(directory, ENDED.model_copy(update={"status": 6}))
    assert found.reasons[:2] == ("tables: they are not there", "it exited with status 6")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("errorexit-20261120T184000.txt", "", "it left errorexit-20261120T184000.txt"),
        (CASA_LOG, LOG.format("SEVERE", "it went wrong"), "SEVERE in the log: applycal::::casa: it went wrong"),
        ("x.ms/table.dat", "", "product x.ms is missing, empty or unreadable"),
    ],
)
def test_one_bad_sign_is_enough(directory: Path, name: str, content: str, reason: str) -> None:
    (directory / name).write_text(content)
    assert verdict(directory) == Verdict(outcome=Outcome.FAILED, reasons=(reason,))


def test_what_the_proof_finds_decides(directory: Path) -> None:
    result(directory, proof(unequal=("FLAG",)), "a caveat")
    assert verdict(directory).reasons == ("FLAG differs from the archived reference",)
    result(directory, proof(), "a caveat")
    assert verdict(directory) == Verdict(outcome=Outcome.CAVEATS, reasons=("a caveat",))
    assert verdict(directory, promised=11).reasons == ("10 rows, but Main.xml promises 11",)
    assert verdict(directory, promised=None).reasons == ("the number of rows is not known",)


@pytest.mark.parametrize(("kind", "expected"), [("Refused", Refused), ("Missing", Missing)])
def test_a_child_that_refuses_or_misses_something_keeps_its_kind(
    directory: Path, kind: str, expected: type[PpiError]
) -> None:
    gave_up(directory, kind)
    error = failure(directory, "the restore of X", verdict(directory))
    assert type(error) is expected
    assert str(error) == "the restore of X: tables: they are not there. Next: look again"


@pytest.mark.parametrize("kind", ["Failed", "Transient", "no kind of ours"])
def test_every_other_end_is_a_failure_with_the_verdict_s_reasons(directory: Path, kind: str) -> None:
    gave_up(directory, kind)
    error = failure(directory, "the restore of X", verdict(directory))
    assert isinstance(error, Failed)
    assert error.reasons == verdict(directory).reasons
    assert str(directory / CASA_LOG) in error.todo


def test_steps_are_told_once_as_they_begin_and_half_a_line_waits(tmp_path: Path) -> None:
    told: list[str] = []
    watch = StepWatch(tmp_path, told.append)
    watch()
    lines = [StepTime(step=step, seconds=seconds).model_dump_json() for step, seconds in
             (("import", None), ("import", 1.0), ("flags", None))]  # fmt: skip
    path = tmp_path / STEPS
    path.write_text(f"{lines[0]}\n{lines[1]}\n{lines[2][:9]}")
    watch()
    assert told == ["import"]
    watch()
    path.write_text("\n".join(lines) + "\n")
    watch()
    watch()
    assert told == ["import", "flags"]


def test_a_product_is_readable_when_there_is_something_in_it(tmp_path: Path) -> None:
    measurement_set, file = tmp_path / "x.ms", tmp_path / "x.png"
    assert unreadable(measurement_set)
    measurement_set.mkdir()
    assert unreadable(measurement_set)
    (measurement_set / "table.dat").write_text("a table")
    assert not unreadable(measurement_set)
    assert unreadable(file)
    file.touch()
    assert unreadable(file)
    file.write_text("a picture")
    assert not unreadable(file)


def test_error_exits_are_found_in_every_folder(tmp_path: Path) -> None:
    for folder, name in (
        ("working", "errorexit-2.txt"),
        ("products", "errorexit-1.txt"),
        ("working", "exit.json"),
    ):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / name).touch()
    assert error_exits(tmp_path / "working", tmp_path / "products") == ("errorexit-1.txt", "errorexit-2.txt")


def test_nothing_of_the_worker_s_environment_reaches_casa(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PPI_PASSWORD", "hush")
    bare = bare_environment(tmp_path, tmp_path / "measures")
    assert "PYTHONPATH" not in bare
    assert bare["HOME"].startswith(str(tmp_path))
    ours = child_environment(tmp_path, tmp_path / "measures")
    assert (ours["HOME"], ours["CASASITECONFIG"]) == (bare["HOME"], bare["CASASITECONFIG"])
    assert "hush" not in (*bare.values(), *ours.values())

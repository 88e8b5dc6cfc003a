"""Negative controls: spoiled input and runs that go wrong must fail, each for its own reason, with real CASA."""

from __future__ import annotations

import json
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from environments import PROPRIETARY, Environment, MakeEnvironment
from gathered import (
    Gathered,
    casa_children,
    gathered,
    original,
    repacked,
    republished,
    truncated,
    truncated_block,
    unwatched,
)

from deployments.local.observatory.build import Observatory
from tasks.casa import launch, wheels
from tasks.casa.executor import Watch
from tasks.casa.proof import Reference
from tasks.casa.request import REQUEST
from tasks.casa.verdict import Outcome
from tasks.errors import Failed, Missing, PpiError, Refused

OTHER_BLOCK = "uid___A002_Xc7111c_X86a7"
OTHER_CALTABLES = "member.uid___A001_X1284_X265f.session_3.caltables.tgz"
LOST_ROWS = "1470 rows, but Main.xml promises 1560: a binary file is missing or truncated"
RECIPE = "from tasks.casa.recipes import child, restore\n{changed}\nchild.main(restore.restore)"
SWALLOWED = """
import contextlib

flagmanager = restore.casatasks.flagmanager

def twice(vis, mode, versionname):
    flagmanager(vis=vis, mode=mode, versionname=versionname)
    with contextlib.suppress(RuntimeError):
        flagmanager(vis=vis, mode=mode, versionname="no-such-version")

restore.casatasks.flagmanager = twice
"""
CODE = (
    "applycal(vis={run})",
    "applycal(vis='x.ms', field={run})",
    "{run}",
    "applycal(**{run})",
    "applycal(vis='x.ms'); {run}",
)


@pytest.fixture(scope="module")
def base(observatory: Observatory, tmp_path_factory: pytest.TempPathFactory) -> Gathered:
    return gathered(observatory, tmp_path_factory.mktemp("base") / "area")


@pytest.fixture
def control(base: Gathered, tmp_path: Path) -> Gathered:
    return base.copied(tmp_path / "area")


def failed(control: Gathered, kind: type[PpiError], watch: Watch = unwatched, seconds: float = 120) -> PpiError:
    """Restore what must fail; nothing may be left that a later run would take for finished."""
    with pytest.raises(PpiError) as raised:
        control.restored(watch, seconds=seconds)
    assert type(raised.value) is kind, raised.value
    assert control.planned.uid in str(raised.value) or kind is Refused
    assert not list(control.tree.root.rglob("record.json"))
    assert not control.tree.finished(control.name).exists()
    assert not casa_children()
    return raised.value


def reasons(control: Gathered, watch: Watch = unwatched, seconds: float = 120) -> tuple[str, ...]:
    error = failed(control, Failed, watch, seconds)
    assert isinstance(error, Failed)
    return error.reasons


def changed_recipe(monkeypatch: pytest.MonkeyPatch, changed: str) -> None:
    """Let the CASA child run the recipe with some lines of Python before it."""
    command = (sys.executable, "-c", RECIPE.format(changed=changed), REQUEST)
    monkeypatch.setattr(wheels, "run", lambda given, watch: launch.run(replace(given, command=command), watch))


def binary(control: Gathered) -> Path:
    return sorted((control.asdm / "ASDMBinary").iterdir())[3]


def test_untampered_it_is_restored_and_proven_equal(control: Gathered) -> None:
    record = control.restored()
    assert record.verdict.outcome is Outcome.SUCCESS
    assert record.proof
    assert record.proof.reference is Reference.EQUAL
    assert (control.tree.finished(control.name) / "record.json").exists()


@pytest.mark.parametrize("spoil", [truncated, Path.unlink, lambda path: path.write_bytes(b"")])
def test_a_binary_file_that_is_truncated_missing_or_empty(
    control: Gathered, spoil: Callable[[Path], object]
) -> None:
    spoil(binary(control))
    found = reasons(control)
    assert LOST_ROWS in found[0]
    assert any(reason.startswith("lost data: ") and "SDMDataObjectStreamReader" in reason for reason in found)


def test_caltables_of_another_session(control: Gathered, observatory: Observatory) -> None:
    shutil.copyfile(original(observatory, OTHER_CALTABLES), control.product(control.planned.caltables))
    error = failed(control, Missing)
    assert f"calibration tables {control.vis}.hifa_bandpass" in error.what
    assert control.planned.caltables in error.why


def test_caltables_of_another_session_under_this_one_s_names(
    control: Gathered, observatory: Observatory, tmp_path: Path
) -> None:
    product = control.product(control.planned.caltables)
    shutil.copyfile(original(observatory, OTHER_CALTABLES), product)
    with repacked(product, tmp_path / "tables") as folder:
        for table in folder.iterdir():
            table.rename(folder / table.name.replace(OTHER_BLOCK, control.name).replace("spw0~3", "spw0~1"))
    first = reasons(control)[0]
    assert f"it was solved on {OTHER_BLOCK}.ms, not on {control.vis}" in first


def test_a_flag_version_that_is_not_archived(control: Gathered, tmp_path: Path) -> None:
    with repacked(control.product(control.planned.flags), tmp_path / "flags") as folder:
        version = folder / f"{control.vis}.flagversions" / "flags.Pipeline_Final"
        version.rename(version.with_name("flags.Applycal_Final"))
    error = failed(control, Missing)
    assert "flag version Pipeline_Final" in error.what
    assert control.planned.flags in error.why


def test_a_flag_version_that_its_list_does_not_name(control: Gathered, tmp_path: Path) -> None:
    with repacked(control.product(control.planned.flags), tmp_path / "flags") as folder:
        names = folder / f"{control.vis}.flagversions" / "FLAG_VERSION_LIST"
        names.write_text(names.read_text().replace("Pipeline_Final", "Applycal_Final"))
    found = " | ".join(reasons(control))
    assert "SEVERE in the log: flagmanager" in found
    assert "Pipeline_Final" in found


@pytest.mark.parametrize("line", CODE)
def test_a_calapply_line_with_code_is_refused_before_casa_starts(
    control: Gathered, tmp_path: Path, line: str
) -> None:
    ran = tmp_path / "ran"
    commands = control.product(control.planned.commands)
    with commands.open("a") as file:
        file.write(line.format(run=f"__import__('pathlib').Path({str(ran)!r}).touch()") + "\n")
    error = failed(control, Refused)
    assert f"{commands.name}, line 5" in error.what
    assert not ran.exists()
    assert list(control.attempt.iterdir()) == [], "no CASA child was asked for anything"


def test_severe_in_the_log_with_exit_0(control: Gathered, monkeypatch: pytest.MonkeyPatch) -> None:
    changed_recipe(monkeypatch, SWALLOWED)
    found = reasons(control)
    assert json.loads((control.attempt / "exit.json").read_bytes())["status"] == 0
    assert (control.attempt / "result.json").exists()
    assert all(reason.startswith("SEVERE in the log: ") for reason in found), found
    assert "Flag version no-such-version does not exist" in found[-1]


def test_an_errorexit_file_with_exit_0(control: Gathered) -> None:
    name = "errorexit-20261120T184000.txt"

    def leave_it(step: str) -> None:
        (control.attempt / name).touch()

    assert reasons(control, leave_it) == (f"it left {name}",)


def test_a_killed_casa_and_a_second_attempt(control: Gathered) -> None:
    killed: list[psutil.Process] = []

    def kill(step: str) -> None:
        killed.extend(casa_children() if not killed else [])
        for process in killed:
            process.send_signal(signal.SIGKILL)

    found = reasons(control, kill)
    assert len(killed) == 1
    assert found[0] == "it was killed by signal 9"
    assert "it wrote no result.json: it did not reach its end" in found
    assert control.restored().verdict.outcome is Outcome.SUCCESS


def test_a_crash_of_casa_itself(control: Gathered) -> None:
    (control.asdm / "State.xml").unlink()
    assert reasons(control)[0] == "it was killed by signal 11"


def test_a_hang_past_its_time(control: Gathered) -> None:
    def hang(step: str) -> None:
        for process in casa_children():
            process.send_signal(signal.SIGSTOP)

    assert reasons(control, hang, seconds=4)[0].startswith("it was ended at its time limit, after ")


def test_a_reference_that_differs_names_the_columns(control: Gathered) -> None:
    assert control.planned.reference
    reference = control.product(control.planned.reference)
    digest = json.loads(reference.read_bytes())
    for column in ("FLAG", "WEIGHT"):
        digest["columns"][column]["1"] = digest["columns"][column]["0"]
    reference.write_text(json.dumps(digest))
    assert reasons(control) == (
        "FLAG differs from the archived reference",
        "WEIGHT differs from the archived reference",
    )


def test_a_reference_that_proves_nothing_is_refused(control: Gathered) -> None:
    assert control.planned.reference
    control.product(control.planned.reference).write_text('{"format": 1, "algorithm": "sha256", "columns": {}}')
    error = failed(control, Refused)
    assert control.planned.reference in error.what
    assert "it has no CORRECTED_DATA and no FLAG and no WEIGHT" in error.why


def test_flags_that_are_not_restored_are_noticed_without_a_reference(
    control: Gathered, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed_recipe(monkeypatch, "restore.casatasks.flagmanager = lambda **_: None")
    (reason,) = reasons(control.with_block(reference=None))
    assert reason.endswith(f"flags of the archived version are not in {control.vis}")


def test_a_calibration_that_fits_nothing_is_no_restore(control: Gathered) -> None:
    commands = control.product(control.planned.commands)
    commands.write_text(
        commands.read_text()
        .replace("BANDPASS,AMPLITUDE", "CHECK")
        .replace("PHASE", "CHECK")
        .replace("TARGET", "CHECK")
    )
    assert f"{control.vis} has no CORRECTED_DATA" in reasons(control)


def told(environment: Environment, exit_code: int) -> str:
    """Restore what must fail, and return the one line that says why."""
    ended = environment.ppi("restore", PROPRIETARY)
    assert ended.returncode == exit_code, ended.stderr
    *_, line = ended.stderr.splitlines()
    assert line.startswith("ppi: ")
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""
    assert not list(environment.area.glob("2017*/**/record.json"))
    assert not (environment.area / "delivered").exists()
    return line


def test_ppi_tells_of_a_truncated_binary_file(
    observatory: Observatory, make_environment: MakeEnvironment, base: Gathered, tmp_path: Path
) -> None:
    environment = truncated_block(observatory, make_environment, tmp_path, base.name)
    assert LOST_ROWS in told(environment, Failed.exit_code)


def test_ppi_tells_of_caltables_of_another_session(
    observatory: Observatory, make_environment: MakeEnvironment, base: Gathered, tmp_path: Path
) -> None:
    content = original(observatory, OTHER_CALTABLES)
    environment = republished(observatory, make_environment, tmp_path, f"member.{base.planned.caltables}", content)
    line = told(environment, Missing.exit_code)
    assert f"{base.vis}.hifa_bandpass" in line
    assert base.planned.caltables in line


def test_ppi_tells_of_a_calapply_line_with_code(
    observatory: Observatory, make_environment: MakeEnvironment, base: Gathered, tmp_path: Path
) -> None:
    ran, content = tmp_path / "ran", tmp_path / "calapply.txt"
    content.write_text(f"applycal(vis=open({str(ran)!r}, 'w'))\n")
    environment = republished(observatory, make_environment, tmp_path, f"member.{base.planned.commands}", content)
    assert f"{base.planned.commands}, line 1 is not an applycal line of literals" in told(
        environment, Refused.exit_code
    )
    assert not ran.exists()
    assert not list(environment.area.rglob("casa.log")), "CASA was not started"

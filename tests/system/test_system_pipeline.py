"""The `pipeline` executor, with a stand-in for monolithic CASA and real proofs by real CASA."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from environments import MOUS, PROPRIETARY, Environment, MakeEnvironment
from gathered import Gathered, gathered, unwatched
from standin_installation import LAYOUTS, VERSION, Installed, installed

from deployments.local.observatory.build import Observatory
from tasks.casa import environment
from tasks.casa.environment import child_environment, measures_directory
from tasks.casa.proof import Reference
from tasks.casa.record import BlockRecord
from tasks.casa.verdict import Outcome
from tasks.errors import Failed, Missing, Refused
from tasks.ppr.procedures import IMAGE
from tasks.restore import gather, process
from tasks.restore.plan import Casa
from tasks.workspace import images

FEWER_ROWS = """
import sys
from casatools import table
whole = table()
whole.open(sys.argv[1])
part = whole.query("ROWNUMBER() > 90")
part.copy(sys.argv[2], deep=True).close()
part.close()
whole.close()
"""
NO_FLAGS = """
import sys
from casatools import table
main = table()
main.open(sys.argv[1], nomodify=False)
for row in range(main.nrows()):
    main.putcell("FLAG", row, main.getcell("FLAG", row) & False)
main.close()
"""
XVFB_RUN = """#!/bin/sh
[ "$1" = -a ] || exit 2
shift
sleep 4718 &
server=$!
DISPLAY=:99 "$@"
status=$?
kill $server
exit $status
"""


@pytest.fixture(scope="module")
def base(observatory: Observatory, tmp_path_factory: pytest.TempPathFactory) -> Gathered:
    found = gathered(observatory, tmp_path_factory.mktemp("base") / "area")
    plan = found.plan.model_copy(update={"casa": Casa(executor="pipeline", version=VERSION)})
    return replace(found, plan=plan)


@pytest.fixture(scope="module")
def made(base: Gathered, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a real restore makes."""
    restored = base.copied(tmp_path_factory.mktemp("made") / "area")
    restored.restored()
    return restored.tree.finished(base.name)


@pytest.fixture
def control(base: Gathered, tmp_path: Path) -> Gathered:
    return base.copied(tmp_path / "area")


@pytest.fixture
def imaging(control: Gathered) -> Gathered:
    """The same observation, of which images are asked for."""
    asked = replace(control, plan=control.plan.model_copy(update={"procedure": IMAGE}))
    gather.write_request(asked.plan, asked.tree, "TEST", "ppi")
    return asked


@pytest.fixture
def casa(tmp_path: Path, made: Path) -> Installed:
    return installed(tmp_path / "packages", made)


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    assert not sleepers()


def sleepers() -> list[int]:
    found = psutil.process_iter(["cmdline"])
    return [each.pid for each in found if (each.info["cmdline"] or [])[-1:] in (["4718"], ["4719"])]


def until(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def run(control: Gathered, casa: Installed, seconds: float = 60) -> BlockRecord:
    settings = process.CasaSettings(measures_directory(), seconds, casa.home)
    request = gather.request_path(control.plan, control.tree)
    (record,) = process.restore_with_pipeline(control.plan, request, control.tree, settings, unwatched)
    return record


def reasons(control: Gathered, casa: Installed, seconds: float = 60) -> tuple[str, ...]:
    """Run what must fail; nothing may be left that a later run would take for finished."""
    with pytest.raises(Failed) as raised:
        run(control, casa, seconds)
    assert not list(control.tree.root.rglob("record.json"))
    assert not control.tree.finished(control.name).exists()
    assert raised.value.reasons or raised.value.why
    return raised.value.reasons or (raised.value.why,)


def remade(made: Path, name: str, root: Path) -> Path:
    """Copy what a real restore made, to be changed."""
    for part in (name, f"{name}.flagversions"):
        shutil.copytree(made / part, root / part)
    return root


def in_casa(program: str, root: Path, *arguments: str) -> None:
    variables = child_environment(root, measures_directory())
    subprocess.run([sys.executable, "-c", program, *arguments], cwd=root, env=variables, check=True, timeout=60)


def test_what_it_makes_is_proven_and_not_made_again(control: Gathered, casa: Installed) -> None:
    record = run(control, casa)
    assert record.verdict.outcome is Outcome.SUCCESS
    assert record.proof
    assert record.proof.reference is Reference.EQUAL
    finished = control.tree.finished(control.name)
    assert (finished / control.vis / "table.dat").is_file()
    log = (finished / "casa.log").read_text()
    assert "CASA Version PIPELINE (simulated)" in log.splitlines()[0]
    assert "measurespath" in log, "the log of the proof follows"
    assert run(control, casa) == record
    assert len(casa.seen()) == 1


def test_images_are_made_of_what_is_proven_and_not_made_again(imaging: Gathered, casa: Installed) -> None:
    before = {path.name: path.read_bytes() for path in imaging.tree.products.iterdir()}
    record = run(imaging, casa)
    assert record.proof
    assert record.proof.reference is Reference.EQUAL
    assert {path.name: path.read_bytes() for path in imaging.tree.products.iterdir()} == before
    made = images.finished(imaging.tree)
    assert made
    assert made.caveats == ()
    assert sum(image.name.endswith(".fits") for image in made.images) == 2
    (weblog,) = imaging.tree.exported.glob("*.weblog.tgz")
    assert weblog.read_text().split() == [command.name for command in IMAGE.commands]
    assert run(imaging, casa) == record
    assert len(casa.seen()) == 1


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        ("no image", "the pipeline exported no image (*.fits)"),
        ("half an image", ".cube.I.pbcor.fits: it has 3000 bytes, and its headers promise 8640"),
        ("an image less", ".cube.I.pbcor.fits is not there, but"),
        ("severe", "SEVERE in the log: applycal::::casa"),
    ],
)
def test_images_that_are_not_whole_fail_and_do_not_condemn_the_next_run(
    imaging: Gathered, casa: Installed, act: str, reason: str
) -> None:
    casa.behave(act)
    (found,) = reasons(imaging, casa)
    assert reason in found
    assert not imaging.tree.images.exists()
    casa.behave()
    assert run(imaging, casa).verdict.outcome is Outcome.SUCCESS
    assert images.finished(imaging.tree)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_it_is_given(control: Gathered, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str) -> None:
    casa = installed(tmp_path / "packages", tmp_path / "nothing", layout=layout)
    monkeypatch.setenv("PPI_PASSWORD", "hush")
    reasons(control, casa)
    (seen,) = casa.seen()
    given, working = seen["environment"], control.tree.working
    assert seen["cwd"] == str(working)
    script, request = seen["script"]
    assert (script, Path(request).parent) == (f"{casa.root}/{layout}/runpipeline.py", working)
    assert given["SCIPIPE_ROOTDIR"] == str(control.tree.root)
    assert f"{given['SCIPIPE_HEURISTICS']}/pipeline/runpipeline.py" == script
    assert given["CASA_ROOT"] == str(casa.root)
    assert Path(given["HOME"]).is_relative_to(working)
    assert not {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PPI_PASSWORD"} & set(given)
    assert "hush" not in given.values()
    assert str(Path(sys.executable).parent) not in given["PATH"].split(os.pathsep)


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        ("status", "it exited with status 1"),
        ("killed", "it was killed by signal 9"),
        ("working", "it left errorexit-"),
        ("products", "it left errorexit-"),
        ("severe", "SEVERE in the log: applycal::::casa: Task applycal raised an exception of class RuntimeError"),
        ("lost data", "lost data: ::sdm: SDMDataObjectStreamReaderException:could not open 'X1a'"),
        ("no log", "it left no log"),
    ],
)
def test_a_run_that_goes_wrong_fails_and_does_not_condemn_the_next(
    control: Gathered, casa: Installed, act: str, reason: str
) -> None:
    casa.behave(act)
    (found,) = reasons(control, casa)
    assert found.startswith(reason)
    if act in ("products", "severe"):
        casa.behave()
        assert run(control, casa).verdict.outcome is Outcome.SUCCESS


def test_a_hang_ends_at_its_time_with_all_that_it_started(control: Gathered, casa: Installed) -> None:
    casa.behave("hang")
    (found,) = reasons(control, casa, seconds=2)
    assert found == "it was ended at its time limit, after 2 s"


def test_a_log_under_another_name_is_read_too(control: Gathered, casa: Installed) -> None:
    casa.behave("severe", own_log=True)
    assert reasons(control, casa)[0].startswith("SEVERE in the log: applycal")


def test_no_measurement_set_is_a_failure(control: Gathered, casa: Installed, tmp_path: Path) -> None:
    casa.behave(made=str(tmp_path / "nothing"))
    assert reasons(control, casa) == (f"the pipeline left no {control.vis} and no {control.vis}.flagversions",)


def test_a_measurement_set_with_rows_missing(
    control: Gathered, casa: Installed, made: Path, tmp_path: Path
) -> None:
    other = remade(made, control.vis, tmp_path / "other")
    (other / control.vis).rename(other / "whole.ms")
    in_casa(FEWER_ROWS, other, "whole.ms", control.vis)
    casa.behave(made=str(other))
    assert "1470 rows, but Main.xml promises 1560" in reasons(control, casa)[0]


def test_a_measurement_set_whose_flags_were_not_restored(
    control: Gathered, casa: Installed, made: Path, tmp_path: Path
) -> None:
    other = remade(made, control.vis, tmp_path / "other")
    in_casa(NO_FLAGS, other, control.vis)
    casa.behave(made=str(other))
    lost, differs = reasons(control, casa)
    assert lost.endswith(f"flags of the archived version are not in {control.vis}")
    assert differs == "FLAG differs from the archived reference"


@pytest.mark.parametrize(("act", "reason"), [("status", "status 1"), ("hang", "time limit")])
def test_a_display_changes_neither_its_status_nor_its_end(
    control: Gathered, casa: Installed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: str, reason: str
) -> None:
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "xvfb-run"
    program.write_text(XVFB_RUN)
    program.chmod(0o755)
    monkeypatch.setattr(environment, "_SYSTEM_PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    casa.behave(act)
    assert reason in reasons(control, casa, seconds=2)[0]
    assert casa.seen()[0]["environment"]["DISPLAY"] == ":99"


def test_a_version_that_is_not_installed_is_missing_before_anything_is_fetched(
    make_environment: MakeEnvironment, casa: Installed
) -> None:
    properties = {"access_projects": "*", "casa_executor": "pipeline", "casa_home": str(casa.home)}
    environment = make_environment(casa_defaultVersion="5.1.1-5", **properties)
    for command in ("plan", "restore"):
        ended = environment.ppi(command, PROPRIETARY)
        assert ended.returncode == Missing.exit_code, ended.stderr
        assert f"CASA 5.1.1-5 with its pipeline in {casa.home}: installed are: {VERSION}" in ended.stderr
    assert {name.rpartition(".hifa_calimage.")[2] for name in environment.retrieved()} == {"pipeline_manifest.xml"}
    assert casa.seen() == []


def test_ppi_restores_with_it_and_goes_on_after_a_kill(
    observatory: Observatory, make_environment: MakeEnvironment, tmp_path: Path
) -> None:
    whole = gathered(observatory, tmp_path / "whole", MOUS)
    made = tmp_path / "made"
    made.mkdir()
    settings = process.CasaSettings(measures_directory(), 120)
    with ThreadPoolExecutor(2) as pool:
        restore = partial(process.restore_block, whole.plan, tree=whole.tree, casa=settings, watch=unwatched)
        list(pool.map(restore, whole.plan.blocks))
    for block in (planned.block() for planned in whole.plan.blocks):
        for name in block.made:
            (whole.tree.finished(block.name) / name).rename(made / name)
    casa = installed(tmp_path / "packages", made)
    environment = make_environment(
        casa_executor="pipeline", casa_home=str(casa.home), casa_defaultVersion="6.7.0", casa_timeoutSeconds="60"
    )

    casa.behave("hang")
    killed = subprocess.Popen(
        environment.command("restore", MOUS), env=environment.variables, stderr=subprocess.DEVNULL
    )
    assert until(lambda: bool(sleepers()) or killed.poll() is not None, 60)
    killed.send_signal(signal.SIGKILL)
    killed.wait(10)
    assert until(lambda: not sleepers(), 10)
    assert len(casa.seen()) == 1

    casa.behave()
    again = environment.ppi("restore", MOUS)
    assert again.returncode == 0, again.stderr
    provenance = environment.restored()
    assert (provenance["executor"], provenance["casa_version"]) == ("pipeline", VERSION)
    assert provenance["verdict"]["outcome"] == "success"
    assert [block["proof"]["reference"] for block in provenance["blocks"]] == ["equal"] * 4
    assert len(environment.retrieved()) == len(set(environment.retrieved()))
    assert len(casa.seen()) == 2


def test_ppi_images_after_a_kill_and_no_image_is_lost_to_a_later_restore(
    make_environment: MakeEnvironment, casa: Installed
) -> None:
    environment = make_environment(
        casa_executor="pipeline", casa_home=str(casa.home), casa_defaultVersion=VERSION, casa_timeoutSeconds="60",
        access_projects="*",
    )  # fmt: skip
    restored = delivered_by(environment, "restore", PROPRIETARY)
    assert restored["images"] == []
    store = {path: path.read_bytes() for path in environment.area.glob("store/**/content")}

    casa.behave("hang in an image")
    asked_for = ("restore", PROPRIETARY, "--procedure", "hifa_image")
    killed = subprocess.Popen(
        environment.command(*asked_for), env=environment.variables, stderr=subprocess.DEVNULL
    )
    assert until(lambda: bool(sleepers()) or killed.poll() is not None, 60)
    killed.send_signal(signal.SIGKILL)
    killed.wait(10)
    assert until(lambda: not sleepers(), 10)
    provenance = Path(restored["delivery"], "provenance.json")
    assert json.loads(provenance.read_text()) == restored["provenance"], "it stands until the other one is whole"

    casa.behave()
    imaged = delivered_by(environment, *asked_for)
    assert imaged["verdict"]["outcome"] == "success"
    assert (imaged["provenance"]["procedure"], imaged["delivery"]) == ("hifa_image", restored["delivery"])
    for path, image in zip(map(Path, imaged["images"]), imaged["provenance"]["images"], strict=True):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == image["sha256"]
        assert image["sha256"] in Path(imaged["report"]).read_text()
    assert sum(name.endswith(".fits") for name in imaged["images"]) == 2
    assert all(Path(path).is_dir() for path in imaged["measurement_sets"])
    (tables,) = Path(imaged["delivery"], "calibration").glob("*.caltables.tgz")
    assert tables.read_bytes() in store.values(), "what the archive holds, and not what was exported over it"
    assert {path: path.read_bytes() for path in environment.area.glob("store/**/content")} == store

    assert delivered_by(environment, "restore", PROPRIETARY) == imaged
    assert len(casa.seen()) == 3


def delivered_by(environment: Environment, *arguments: str) -> dict[str, Any]:
    ended = environment.ppi(*arguments, "--json")
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def test_a_procedure_that_cannot_be_done_is_refused_before_anything_is_fetched(
    make_environment: MakeEnvironment,
) -> None:
    environment = make_environment(access_projects="*")
    for command in ("plan", "restore"):
        ended = environment.ppi(command, PROPRIETARY, "--procedure", "hifa_image")
        assert ended.returncode == Refused.exit_code, ended.stderr
        assert "procedure hifa_image: casatasks covers no hif_checkproductsize, hif_mstransform" in ended.stderr
        assert "Next: set ppi.casa.executor = pipeline" in ended.stderr
        ended = environment.ppi(command, PROPRIETARY, "--procedure", "hifa_cal")
        assert ended.returncode == Refused.exit_code, ended.stderr
        assert "procedure 'hifa_cal'" in ended.stderr
        assert "hifa_restore or hifa_image" in ended.stderr
    assert environment.retrieved() == []

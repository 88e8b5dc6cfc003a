"""The restore from the outside: what an analyst types, and what is there afterwards."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from environments import HAND_CALIBRATED, MOUS, NOT_CALIBRATED, PROPRIETARY, MakeEnvironment

from tasks.errors import Refused


def test_a_restore_is_bitwise_right_and_a_second_one_does_nothing_again(make_environment: MakeEnvironment) -> None:
    environment = make_environment()
    first = environment.ppi("restore", MOUS, "--json")
    assert first.returncode == 0, first.stderr
    told = json.loads(first.stdout)
    assert told["verdict"]["outcome"] == "success"
    assert {block["proof"]["reference"] for block in told["provenance"]["blocks"]} == {"equal"}
    assert [block["session"] for block in told["provenance"]["blocks"]] == [
        "session_1", "session_1", "session_3", "session_4",
    ]  # fmt: skip
    assert all(Path(name, "table.dat").is_file() for name in told["measurement_sets"])
    rooms = {path.name for path in environment.destination.iterdir()}
    assert rooms == {"calibrated", "calibration", "log", "script", "qa", "provenance.json"}
    report = Path(told["report"]).read_text()
    assert "4 of 4 execution blocks bitwise equal" in report
    fetched = environment.retrieved()
    assert len(fetched) == len(set(fetched))

    before = _state(environment.area)
    second = environment.ppi("restore", MOUS, "--json")
    assert second.returncode == 0, second.stderr
    assert json.loads(second.stdout) == told
    assert environment.retrieved() == fetched
    assert _state(environment.area) == before


def _state(area: Path) -> dict[str, tuple[int, int]]:
    """Return all but records of runs: Prefect's, the locks, and the catalog's."""
    records = {".prefect", ".locks", "catalog.db", "catalog.db-wal", "catalog.db-shm"}
    files = (path for path in area.rglob("*") if path.is_file() and not records & set(path.parts))
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in files}


@pytest.mark.parametrize(
    ("mous", "reason"),
    [
        (PROPRIETARY, "proprietary until 2099-12-31"),
        (HAND_CALIBRATED, "CASA version"),
        (NOT_CALIBRATED, "not calibrated yet"),
    ],
)
def test_a_refusal_is_one_line_and_fetches_nothing(
    make_environment: MakeEnvironment, mous: str, reason: str
) -> None:
    environment = make_environment()
    for command in ("plan", "restore"):
        refused = environment.ppi(command, mous)
        assert refused.returncode == Refused.exit_code
        assert reason in refused.stderr
        assert refused.stderr.count("\n") == 1
        assert refused.stdout == ""
    told = environment.ppi("plan", mous, "--json")
    assert told.returncode == Refused.exit_code
    assert json.loads(told.stdout)["restorable"] is False
    assert reason in json.loads(told.stdout)["reason"]
    assert environment.retrieved() == []
    assert not (environment.area / "delivered").exists()


def test_an_unknown_observation_is_missing(make_environment: MakeEnvironment) -> None:
    unknown = make_environment().ppi("restore", "uid://A001/X1/X1")
    assert (unknown.returncode, unknown.stderr.count("\n")) == (4, 1)


def test_what_is_no_observation_is_refused(make_environment: MakeEnvironment) -> None:
    wrong = make_environment().ppi("restore", "../../etc/passwd")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (3, 1)


def test_a_profile_that_does_not_exist_is_a_usage_error(make_environment: MakeEnvironment) -> None:
    environment = make_environment()
    wrong = subprocess.run(
        [sys.executable, "-m", "cli", "status", "-P", "no-such"],
        env=environment.variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert wrong.returncode == 2
    assert "no-such" in wrong.stderr


def test_a_plan_touches_nothing_and_a_permitted_profile_may_restore_what_is_proprietary(
    make_environment: MakeEnvironment,
) -> None:
    environment = make_environment(access_projects="*")
    planned = environment.ppi("plan", PROPRIETARY, "--json")
    assert planned.returncode == 0, planned.stderr
    plan = json.loads(planned.stdout)
    assert plan["bytes_to_fetch"] == plan["bytes"] == sum(file["size"] for file in plan["files"])
    assert not [path for path in environment.area.rglob("*") if ".prefect" not in path.parts and path.is_file()]
    assert len(environment.retrieved()) == 1, "the manifest, which is read and thrown away"

    restored = environment.ppi("restore", PROPRIETARY)
    assert restored.returncode == 0, restored.stderr
    assert "success" in restored.stdout
    again = json.loads(environment.ppi("plan", PROPRIETARY, "--json").stdout)
    assert again["bytes_to_fetch"] == 0
    for expected, runs in ((plan["expected"], [0, 0, 0, 0]), (again["expected"], [1, 1, 1, 1])):
        steps = [step for stage in expected for step in stage["steps"]]
        assert [step["step"] for step in steps] == ["fetch", "fetch products", "restore", "deliver"]
        assert [step["runs"] for step in steps] == runs
        assert {stage["wall_seconds"] is not None for stage in expected} == {any(runs)}
    (state,) = json.loads(environment.ppi("status", "--json").stdout)
    assert (state["state"], state["observation"], state["blocks_done"]) == ("success", PROPRIETARY, 1)
    assert PROPRIETARY in environment.ppi("status").stdout
    assert "restored" in environment.ppi("plan", PROPRIETARY).stdout


def test_a_damaged_file_that_the_archive_serves_is_never_delivered(make_environment: MakeEnvironment) -> None:
    environment = make_environment(access_projects="*")
    content = next(path for path in environment.archive.rglob("*Xc7350a_X1c2.asdm.sdm.tar*") if path.is_file())
    damaged = bytearray(content.read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    content.unlink()
    content.write_bytes(damaged)
    failed = environment.ppi("restore", PROPRIETARY)
    assert failed.returncode in (4, 5, 6)
    assert "checksum" in failed.stderr.lower()
    assert not (environment.area / "delivered").exists()

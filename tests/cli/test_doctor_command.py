"""`ppi doctor`: the versions it shows, and that a trial is a success only if it says so itself."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli import _doctor
from cli.main import app

DONE = {"observation": "uid://A1/X1/X1", "report": "/a/report.html", "verdict": {"outcome": "success"}}
PROPERTIES = """\
ppi.processing.rootDirectory = {area}
ppi.metadata.url = sqlite:////no-such-file
ppi.ngas.servers = 127.0.0.1:1
"""


@pytest.fixture(autouse=True)
def capo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = tmp_path / "capo"
    directory.mkdir()
    (directory / "site-test.properties").write_text(PROPERTIES.format(area=tmp_path / "area"))
    monkeypatch.setenv("CAPO_PATH", str(directory))
    monkeypatch.setenv("HOME", str(tmp_path))


def python_that(folder: Path, does: str) -> str:
    """Make a stand-in for this Python that notes its arguments."""
    program = folder / "python"
    program.write_text(f'#!/bin/sh\necho "$@" > {folder}/arguments\n{does}\n')
    program.chmod(0o755)
    return str(program)


def doctor(*options: str) -> tuple[int, dict[str, Any]]:
    ran = CliRunner().invoke(app, ["doctor", "-P", "site-test", "--json", *options])
    told: dict[str, Any] = json.loads(ran.stdout)
    return ran.exit_code, told


@pytest.mark.parametrize(
    ("does", "state", "says"),
    [
        (f"echo '{json.dumps(DONE)}'", "ok", "restored uid://A1/X1/X1"),
        ("exit 6", "wrong", "`ppi demo` ended with 6"),
        ("kill -9 $$", "wrong", "`ppi demo` ended with -9"),
        ("echo", "wrong", "without a success"),
        ("echo '[]'", "wrong", "without a success"),
        ('echo \'{"verdict": {"outcome": "failed"}}\'', "wrong", "failed"),
        ("exec sleep 60", "wrong", "did not end within 1 s"),
    ],
)
def test_a_trial_is_a_success_only_if_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str, state: str, says: str
) -> None:
    monkeypatch.setattr(sys, "executable", python_that(tmp_path, does))
    monkeypatch.setattr(_doctor, "TRIAL_SECONDS", 1.0)
    code, told = doctor()
    trial = told["findings"][-1]
    assert (trial["what"], trial["state"], trial["exit_code"]) == ("trial", state, 0 if state == "ok" else 6)
    assert says in trial["why"]
    assert (code, told["ok"]) == (5, False)  # the services of this profile are not there
    assert (tmp_path / "arguments").read_text().split()[-3:] == ["cli", "demo", "--json"]


def test_the_trial_can_be_left_out_and_the_versions_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", python_that(tmp_path, "exit 6"))
    code, told = doctor("--no-trial")
    assert code == 5
    assert "trial" not in {each["what"] for each in told["findings"]}
    assert not (tmp_path / "arguments").exists()
    assert set(told["versions"]) == {"PPI", "installation", "Python", "Prefect", "CASA wheels", "host"}
    ran = CliRunner().invoke(app, ["doctor", "-P", "site-test", "--no-trial"])
    assert ran.exit_code == 5
    assert "CASA wheels" in ran.stdout
    assert "need looking at." in ran.stdout

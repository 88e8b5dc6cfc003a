"""`ppi demo --fault`: which faults there are, which name is none, and when a trial ended as it should."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from cli._fault_trial import Trial
from cli.main import app
from deployments.local.named_faults import FAULTS
from tasks.errors import Failed, Missing, PpiError, Refused
from tasks.ngas.wire import Damaged


def test_all_faults_are_listed() -> None:
    listed = CliRunner().invoke(app, ["demo", "--fault", "list"])
    assert listed.exit_code == 0
    for fault in FAULTS.values():
        (line,) = [line for line in listed.stdout.splitlines() if f" {fault.name} " in line]
        assert fault.description in line
        assert fault.ending in line
    told = json.loads(CliRunner().invoke(app, ["demo", "--fault", "list", "--json"]).stdout)
    assert [each["name"] for each in told] == list(FAULTS)
    assert {each["row"] for each in told} == set(range(1, 18))
    assert {each["ending"] for each in told} == {"passes", "Transient", "Missing", "Refused", "Failed"}


@pytest.mark.parametrize(("name", "hint"), [("short-boby", "short-body"), ("", "list"), ("x" * 30, "list")])
def test_an_unknown_fault_is_a_usage_error(name: str, hint: str) -> None:
    wrong = CliRunner().invoke(app, ["demo", "--fault", name])
    assert wrong.exit_code == 2
    assert hint in wrong.stderr


def test_a_fault_is_not_shown_on_a_cluster() -> None:
    wrong = CliRunner().invoke(app, ["demo", "--cluster", "--fault", "short-body"])
    assert wrong.exit_code == 2
    assert "without a cluster" in wrong.stderr


@pytest.mark.parametrize(
    ("ends", "error", "ended", "right"),
    [
        (None, None, "passes", True),
        (None, Failed("f"), "Failed", False),
        (Failed, None, "passes", False),
        (Failed, Damaged("f"), "Failed", True),
        (Refused, Missing("f"), "Missing", False),
    ],
)
def test_a_trial_ends_as_it_should_or_not(
    ends: type[PpiError] | None, error: PpiError | None, ended: str, right: bool
) -> None:
    trial = Trial(replace(FAULTS["busy"], ends=ends))
    with trial.watching():
        logging.getLogger("tasks.ngas.patience").warning("%s", "attempt 1")
        if error:
            raise error
    logging.getLogger("tasks.ngas.patience").warning("too late")
    assert (trial.ended, trial.as_it_should, trial.met) == (ended, right, ["attempt 1"])
    assert trial.as_json()["error"] == (str(error) if error else None)


def test_what_is_no_error_of_ours_is_not_taken_for_an_end() -> None:
    trial = Trial(FAULTS["busy"])
    with pytest.raises(ZeroDivisionError), trial.watching():
        raise ZeroDivisionError

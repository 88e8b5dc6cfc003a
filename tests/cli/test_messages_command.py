"""`ppi listen` and `ppi messages` where there is no broker, and what `ppi serve` starts where there is one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from blocks.profile import Profile
from cli.main import app
from deployments.serve import listener
from tasks.errors import Refused, Transient

PROFILE = """\
ppi.processing.rootDirectory = {area}
ppi.metadata.url = sqlite:////nowhere
ppi.ngas.servers = one:7777
"""
BROKER = """\
ppi.broker.url = amqp://127.0.0.1:1/
ppi.broker.username = ppi
ppi.broker.password = s3cret
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CAPO_PATH", str(tmp_path))
    monkeypatch.setenv("CAPO_PROFILE", "site-test")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "installation"))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    write(tmp_path)
    return tmp_path


def write(folder: Path, more: str = "") -> None:
    (folder / "site-test.properties").write_text(PROFILE.format(area=folder / "area") + more)


@pytest.mark.parametrize("command", ["listen", "messages"])
def test_a_profile_without_a_broker_is_told_so(command: str) -> None:
    error = CliRunner().invoke(app, [command]).exception
    assert isinstance(error, Refused)
    assert "names no broker" in error.why
    assert "ppi.broker.url" in error.todo


def test_a_broker_that_is_away_is_explained(folder: Path) -> None:
    write(folder, BROKER)
    error = CliRunner().invoke(app, ["messages"]).exception
    assert isinstance(error, Transient)
    assert "amqp://127.0.0.1:1/ cannot be reached" in str(error)
    assert "s3cret" not in str(error)


def test_a_listener_is_served_where_there_is_a_broker(folder: Path) -> None:
    assert listener.part(Profile.load("site-test"), {}, is_up=False) is None
    write(folder, BROKER)
    made = listener.part(Profile.load("site-test"), {"PREFECT_API_URL": "of another"}, is_up=False)
    assert made
    assert (made.kind, made.is_here, made.is_up()) == ("listener", True, False)
    command = made.command()
    assert command.arguments[-2:] == ("-P", "site-test")
    assert command.environment["CAPO_PROFILE"] == "site-test"
    assert "of another" not in command.environment.values()
    assert "s3cret" not in f"{command.arguments} {made.where}"

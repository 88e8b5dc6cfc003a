"""`ppi housekeeping`: what it says, what it removes, and how it ends."""

from __future__ import annotations

import json
import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

import cli._housekeeping
from blocks.profile import Profile
from cli.main import app
from tasks.cluster.orphans import sign
from tasks.cluster.tag import Owner, own
from tasks.errors import Failed, Transient
from tasks.retention.tasks import alone
from tasks.workspace.layout import Area

PROFILE = """\
ppi.processing.rootDirectory = {area}
ppi.processing.storeLimit = 1 TB
ppi.metadata.url = sqlite:////nowhere
ppi.ngas.servers = one:7777
"""


@pytest.fixture(autouse=True)
def area(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment without a server, in which a crew died long ago and left its logs."""
    (tmp_path / "site-test.properties").write_text(PROFILE.format(area=tmp_path / "area"))
    monkeypatch.setenv("CAPO_PATH", str(tmp_path))
    monkeypatch.setenv("CAPO_PROFILE", "site-test")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "installation"))
    monkeypatch.setattr(cli._housekeeping, "visiting_prefect", lambda _: nullcontext())
    Area(tmp_path / "area").make()
    crew = tmp_path / "area" / "jobs" / "crew"
    crew.mkdir(parents=True)
    here = own(os.uname().nodename, os.getpid())
    sign(crew, Owner(here.host, here.machine, here.pid, here.born + 1))
    for path in (*crew.iterdir(), crew):
        os.utime(path, (1, 1))
    return tmp_path / "area"


def ppi(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["housekeeping", *arguments])


def read(*arguments: str) -> Any:
    ran = ppi(*arguments, "--json")
    assert ran.exit_code == 0, ran.output
    return json.loads(ran.stdout)


def test_a_dry_run_says_what_would_go_and_touches_nothing(area: Path) -> None:
    before = sorted(area.rglob("*"))
    told = read("--dry-run")
    assert (told["profile"], told["dry_run"], told["failures"]) == ("site-test", True, [])
    (logs,) = [line for line in told["lines"] if line["part"] == "job logs"]
    assert (logs["outcome"], logs["count"], logs["what"]) == ("to be removed", 1, str(area / "jobs" / "crew"))
    assert told["summary"].startswith("job logs: 1 ")
    shown = ppi("--dry-run").stdout
    assert "to be removed" in shown
    assert "job logs" in shown
    assert sorted(area.rglob("*")) == before


def test_it_removes_what_it_said_and_then_there_is_nothing_to_do(area: Path) -> None:
    assert "job logs: 1 " in ppi().stdout
    assert not (area / "jobs" / "crew").exists()
    assert [line["part"] for line in read()["lines"]] == ["store"]


def test_a_clean_up_that_is_not_whole_says_so_and_fails(area: Path) -> None:
    (area / "jobs").rename(area / "elsewhere")
    (area / "jobs").write_text("no folder")
    left = area / ".uid___A001_X1_X1.spent"
    left.mkdir()
    ran = ppi()
    assert isinstance(ran.exception, Failed)
    assert "job logs: Not a directory" in str(ran.exception)
    assert "Not whole: job logs: Not a directory" in ran.stdout.replace("\n", " ")
    assert not left.exists()


def test_of_two_clean_ups_one_says_that_the_other_is_at_work() -> None:
    with alone(Profile.load("site-test")):
        ran = ppi()
        assert isinstance(ran.exception, Transient)
        assert "it is being worked on" in str(ran.exception)
        assert read("--dry-run")["failures"] == []

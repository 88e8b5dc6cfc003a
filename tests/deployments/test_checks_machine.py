"""What a check finds on the host itself: CASA, measures, directories, room; and how it waits."""

from __future__ import annotations

import shutil
import threading
import time
from collections import namedtuple
from pathlib import Path

import pytest
from checks_examples import found, written

from deployments.checks import check, exit_code
from deployments.checks.finding import Look, Probe, Unknown
from tasks.errors import Failed, Missing, Refused, Transient

Usage = namedtuple("Usage", "total used free")


def casa(home: Path, version: str) -> None:
    """Install a CASA that has a pipeline, as far as its directory shows."""
    for place in ("bin/casa", "pipeline/runpipeline.py"):
        path = home / f"casa-{version}" / place
        path.parent.mkdir(parents=True)
        path.touch()


def test_the_wheels_and_their_measures_are_named(tmp_path: Path) -> None:
    profile = written(tmp_path)
    assert found(profile, "CASA").why.endswith("(casatasks)")
    assert ", of 20" in found(profile, "measures").why


def test_another_version_than_that_of_the_wheels_is_wrong(tmp_path: Path) -> None:
    finding = found(written(tmp_path, casa_defaultVersion="5.1.1-5"), "CASA")
    assert (finding.state, finding.exit_code) == ("wrong", 3)
    assert "5.1.1-5" in finding.why


def test_the_casa_versions_of_a_home_are_named(tmp_path: Path) -> None:
    home = tmp_path / "casa"
    home.mkdir()
    pipeline = {"casa_executor": "pipeline", "casa_home": str(home)}
    none = found(written(tmp_path, **pipeline), "CASA")
    assert (none.state, none.exit_code) == ("wrong", 4)
    casa(home, "6.5.4-9")
    casa(home, "6.6.1-17")
    assert found(written(tmp_path, **pipeline), "CASA").why.startswith("6.5.4-9, 6.6.1-17 (pipeline)")
    named = found(written(tmp_path, **pipeline, casa_defaultVersion="6.6.1"), "CASA")
    assert named.why == f"6.6.1-17 (pipeline) in {home}/casa-6.6.1-17"
    absent = found(written(tmp_path, **pipeline, casa_defaultVersion="6.7.0"), "CASA")
    assert (absent.state, absent.exit_code) == ("wrong", 4)
    assert "6.5.4-9" in absent.why
    unset = found(written(tmp_path, casa_executor="pipeline"), "CASA")
    assert "ppi.casa.home, which is not set" in unset.why


def test_measures_that_are_not_there_are_wrong(tmp_path: Path) -> None:
    finding = found(written(tmp_path, casa_measuresDirectory=str(tmp_path / "none")), "measures")
    assert (finding.state, finding.exit_code) == ("wrong", 4)


def test_directories_are_written_to_and_left_as_they_were(tmp_path: Path) -> None:
    profile = written(tmp_path)
    assert "made when it is needed" in found(profile, "processing area").why
    assert not profile.processing.root_directory.exists()
    profile.processing.root_directory.mkdir()
    assert "made" not in found(profile, "processing area").why
    assert list(profile.processing.root_directory.iterdir()) == []


def test_a_directory_that_takes_no_file_is_wrong(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    for place in (str(blocked), str(blocked / "below"), "/proc/ppi", "/no-such-file-system/area"):
        finding = found(written(tmp_path, processing_rootDirectory=place), "processing area")
        assert (finding.state, finding.exit_code) == ("wrong", 4), place
        assert finding.todo


def test_too_little_room_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 10**12 - 10**9, 10**9))
    finding = found(written(tmp_path), "store")
    assert (finding.state, finding.exit_code) == ("wrong", 4)
    assert finding.why.endswith("only 1.0 GB are free")


def test_nothing_is_waited_for_longer_than_agreed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dead = threading.Event()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: dead.wait(60))
    began = time.monotonic()
    findings = {each.what: each for each in check(written(tmp_path), 2)}
    assert time.monotonic() - began < 10
    dead.set()
    for what in ("store", "processing area"):
        assert (findings[what].state, findings[what].exit_code) == ("wrong", 5)
        assert findings[what].why == "no answer within 2 s"
    assert findings["metadata database"].state == "ok"


@pytest.mark.parametrize(
    ("error", "state", "code"),
    [
        (Refused("it", "why", "do"), "wrong", 3),
        (Missing("it", "why", "do"), "wrong", 4),
        (Transient("it", "why", "do"), "wrong", 5),
        (Failed("it", "why", "do"), "wrong", 6),
        (Unknown("why", "do"), "unknown", 5),
        (PermissionError(13, "Permission denied", "/x"), "wrong", 4),
        (ValueError("s3cret"), "unknown", 5),
    ],
)
def test_whatever_goes_wrong_is_a_finding_and_never_a_success(error: Exception, state: str, code: int) -> None:
    def look() -> str:
        raise error

    finding = Look(Probe("thing", look), 5).finding()
    assert (finding.what, finding.state, finding.exit_code) == ("thing", state, code)
    assert finding.why
    assert finding.todo
    assert "s3cret" not in finding.why


def test_the_exit_code_says_first_what_cannot_be_reached(tmp_path: Path) -> None:
    findings = check(written(tmp_path, casa_defaultVersion="5.1.1-5"))
    codes = {each.exit_code for each in findings}
    assert {3, 5} <= codes
    assert exit_code(findings) == 5
    assert exit_code(tuple(each for each in findings if each.exit_code != 5)) == 3
    assert exit_code(tuple(each for each in findings if not each.exit_code)) == 0

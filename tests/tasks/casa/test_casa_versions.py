"""Which CASA does the work, and whether it may."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.casa import pipeline
from tasks.casa.versions import casa_for, require_restorable_with, same_version, wheels_version
from tasks.errors import Missing, Refused


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("6.7.0.31", "6.7.0-31", True),
        ("6.7.0", "6.7.0.31", True),
        ("5.1.1-5r40896", "5.1.1-5", True),
        ("5.1.1-5r40896", "5.1.2", False),
        ("", "5.1.1", False),
        ("unknown", "5.1.1", False),
    ],
)
def test_versions_agree_as_far_as_they_go(one: str, other: str, same: bool) -> None:
    assert same_version(one, other) is same
    assert same_version(other, one) is same


def test_the_same_casa_needs_no_caveat() -> None:
    assert require_restorable_with("6.7.0.31", "6.7.0-31") == ()


def test_a_later_casa_may_and_says_so() -> None:
    assert "5.1.1" in require_restorable_with("6.7.0.31", "5.1.1-5r40896")[0]


def test_an_earlier_casa_may_not() -> None:
    with pytest.raises(Refused, match="earlier"):
        require_restorable_with("5.1.1", "6.7.0")


def test_an_unknown_calibration_is_a_caveat() -> None:
    assert require_restorable_with("6.7.0", "")


def test_the_wheels_have_one_version() -> None:
    assert casa_for("casatasks", None, "5.1.1") == wheels_version()
    with pytest.raises(Refused, match=r"ppi\.casa\.executor"):
        casa_for("casatasks", "5.1.1-5r40896", "5.1.1")


def test_the_pipeline_takes_the_profile_s_version_or_the_manifest_s() -> None:
    assert casa_for("pipeline", "5.4.0", "5.1.1") == "5.4.0"
    assert casa_for("pipeline", None, "5.1.1") == "5.1.1"
    with pytest.raises(Refused, match="neither"):
        casa_for("pipeline", None, "")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for name in ("casa-5.1.1-5", "5.4.0", "6.6.1-9", "6.6.1-17", "6.1.1-without"):
        (tmp_path / name / "bin").mkdir(parents=True)
        (tmp_path / name / "bin" / "casa").touch()
        (tmp_path / name / "pipeline").mkdir()
    for script in tmp_path.glob("*[!t]/pipeline"):
        (script / "runpipeline.py").touch()
    return tmp_path


def test_an_installed_version_is_found_by_as_many_numbers_as_are_given(home: Path) -> None:
    found = pipeline.find(home, "5.1.1-5r40896")
    assert (found.version, found.root.name) == ("5.1.1-5", "casa-5.1.1-5")
    assert pipeline.find(home, "5.4.0").program == home / "5.4.0" / "bin" / "casa"


def test_of_several_that_agree_the_latest_is_taken_and_a_name_goes_before(home: Path) -> None:
    assert pipeline.find(home, "6.6.1").version == "6.6.1-17"
    assert pipeline.find(home, "6.6.1-9").version == "6.6.1-9"


def test_what_is_not_installed_is_missing_and_the_error_names_what_is(home: Path) -> None:
    with pytest.raises(Missing, match=r"installed are: 5\.4\.0, 6\.6\.1-17, 6\.6\.1-9, 5\.1\.1-5\."):
        pipeline.find(home, "6.1.0")
    with pytest.raises(Missing, match=r"CASA 6\.1\.1"):
        pipeline.find(home, "6.1.1")
    with pytest.raises(Missing, match="which is not set"):
        pipeline.find(None, "5.4.0")

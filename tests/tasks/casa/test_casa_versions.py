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


def test_an_installed_version_is_found_by_as_many_numbers_as_are_given(tmp_path: Path) -> None:
    for name in ("casa-5.1.1-5", "5.4.0"):
        program = tmp_path / name / "bin" / "casa"
        program.parent.mkdir(parents=True)
        program.touch()
    assert pipeline.find(tmp_path, "5.1.1-5r40896").root.name == "casa-5.1.1-5"
    assert pipeline.find(tmp_path, "5.4.0").program == tmp_path / "5.4.0" / "bin" / "casa"
    with pytest.raises(Missing, match=r"5\.4\.0"):
        pipeline.find(tmp_path, "6.1.0")

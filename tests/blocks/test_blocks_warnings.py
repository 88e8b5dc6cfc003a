"""What a profile warns of: copies that are not the authoritative ones, and names that say something else."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from blocks import Profile
from blocks.capo import SHIPPED

REQUIRED = """
ppi.processing.rootDirectory = /lustre/test
ppi.metadata.url = sqlite:////data/alma.db
ppi.ngas.servers = ngas1:7777
"""


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "prefix"))
    for name in ("CAPO_PATH", "CAPO_PROFILE"):
        monkeypatch.delenv(name, raising=False)


def put(directory: Path, text: str, age: float = 0, name: str = "t") -> Path:
    """Write a file of the profile as it was `age` seconds ago."""
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / f"{name}.properties"
    file.write_text(text, encoding="utf-8")
    os.utime(file, (1_700_000_000 - age, 1_700_000_000 - age))
    return file


def warned(directory: Path, name: str = "t") -> list[str]:
    return [
        str(problem).replace(f"{directory}/", "") for problem in Profile.load(name, f"{directory}/cv").warnings
    ]


def both(directory: Path, copy: str, original: str, age: float = 0) -> list[str]:
    put(directory / "nm", original)
    head = f"ppi.profile.authoritativeDirectory = {directory}/nm\n"
    put(directory / "cv", head + copy, age)
    (directory / "nm" / "t.properties").write_text(head + original)
    os.utime(directory / "nm" / "t.properties", (1_700_000_000, 1_700_000_000))
    return warned(directory)


def test_a_copy_that_is_the_same_is_nothing_to_tell(tmp_path: Path) -> None:
    assert both(tmp_path, REQUIRED, REQUIRED, age=60) == []


@pytest.mark.parametrize(
    ("age", "said", "todo"),
    [
        (60, "is older than", "wait until it is copied here, or copy it"),
        (-60, "is newer than", "make changes in nm/t.properties"),
        (0, "is not", "wait until it is copied here, or copy it"),
    ],
)
def test_a_copy_that_differs_is_told_with_its_age_and_keys(
    age: float, said: str, todo: str, tmp_path: Path
) -> None:
    copy = REQUIRED + "ppi.metadata.password = hunter2\nPPI.Casa.Home = /a\nedu.nrao.x = here\n"
    original = REQUIRED + "ppi.metadata.password = hunter3\nppi.casa.home = /a\nedu.nrao.y = there\n"
    assert both(tmp_path, copy, original, age) == [
        f"cv/t.properties: {said} the authoritative nm/t.properties, and differs in "
        f"edu.nrao.x, edu.nrao.y, ppi.metadata.password; it will be overwritten. Next: {todo}"
    ]


def test_a_copy_with_other_comments_is_told(tmp_path: Path) -> None:
    (line,) = both(tmp_path, REQUIRED, f"# edited\n{REQUIRED}")
    assert "and has other comments or blanks; it will be overwritten" in line


def test_an_original_that_is_not_text_is_compared_all_the_same(tmp_path: Path) -> None:
    put(tmp_path / "cv", f"ppi.profile.authoritativeDirectory = {tmp_path}/nm\n{REQUIRED}")
    (tmp_path / "nm").mkdir()
    (tmp_path / "nm" / "t.properties").write_bytes(b"\xff\xfe")
    (line,) = warned(tmp_path)
    assert "differs in ppi.metadata.url, ppi.ngas.servers, ppi.processing.rootDirectory" in line


def test_a_copy_that_cannot_be_compared_is_told(tmp_path: Path) -> None:
    put(tmp_path / "cv", f"ppi.profile.authoritativeDirectory = {tmp_path}/nm\n{REQUIRED}")
    assert warned(tmp_path) == [
        "cv/t.properties: cannot be compared with the authoritative nm/t.properties: No such file or directory. "
        "Next: make that readable, or correct ppi.profile.authoritativeDirectory"
    ]


def test_what_is_never_overwritten_is_not_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "nm", f"ppi.profile.authoritativeDirectory = {tmp_path}/nm\n{REQUIRED}")
    put(Path.home() / ".capo", "ppi.profile.site = HERE\n")
    profile = Profile.load("t", str(tmp_path / "nm"))
    assert (profile.site, profile.warnings) == ("HERE", ())
    shipped = next(SHIPPED.glob("*.properties")).stem
    put(Path.home() / ".capo", f"ppi.profile.authoritativeDirectory = {tmp_path}/nm\n", name=shipped)
    assert Profile.load(shipped).warnings == ()


@pytest.mark.parametrize(
    ("name", "key", "value", "word"),
    [
        ("naasc-test", "environment", "prod", "test"),
        ("dsoc-dev", "environment", "production", "dev"),
        ("vlass.prod", "environment", "test", "prod"),
        ("dsoc-test", "site", "NAASC", "dsoc"),
        ("NAASC_x", "site", "DSOC", "naasc"),
    ],
)
def test_a_name_that_says_something_else_is_told(
    name: str, key: str, value: str, word: str, tmp_path: Path
) -> None:
    file = put(tmp_path / "cv", f"ppi.profile.{key} = {value}\n{REQUIRED}", name=name)
    assert warned(tmp_path, name) == [
        f"ppi.profile.{key} ({file.relative_to(tmp_path)}:1): it is '{value}', but the profile's name says {word}"
        ". Next: correct that line, or give the profile another name"
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("naasc-test", "ppi.profile.site = NAASC\nppi.profile.environment = Test\n"),
        ("dsoc-prod", "ppi.profile.environment = production\n"),
        ("naasc-test", ""),
        ("vlass.w7", "ppi.profile.site = DSOC\nppi.profile.environment = test\n"),
        ("latest", "ppi.profile.environment = prod\n"),
    ],
)
def test_a_name_that_says_the_same_or_nothing_is_fine(name: str, text: str, tmp_path: Path) -> None:
    put(tmp_path / "cv", text + REQUIRED, name=name)
    assert warned(tmp_path, name) == []

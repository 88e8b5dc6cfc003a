"""`ppi profile list`, `show`, `diff` and `check`, and what is noted of a profile that overrules others."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from blocks.installation import MARKER
from cli.main import app, main

SECRET = "pl4nted-s3cret"
GOOD = """\
ppi.profile.site = SITE
ppi.profile.environment = test
ppi.processing.rootDirectory = {area}
ppi.metadata.url = postgresql+psycopg://reader:{secret}@127.0.0.1:1/alma
ppi.ngas.servers = 127.0.0.1:1
"""


@pytest.fixture(autouse=True)
def capo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two profiles that can be used and one that cannot, and nothing that names one."""
    directory = tmp_path / "capo"
    directory.mkdir()
    for name in ("site-test", "site-prod"):
        text = GOOD.format(area=tmp_path / name, secret=SECRET if name == "site-test" else "0ther")
        (directory / f"{name}.properties").write_text(text)
    (directory / "broken.properties").write_text("ppi.profile.sight = SITE\n")
    monkeypatch.setenv("CAPO_PATH", str(directory))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("CAPO_PROFILE", raising=False)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "installation"))
    return directory


def ppi(*arguments: str) -> Result:
    ran = CliRunner().invoke(app, ["profile", *arguments])
    assert SECRET not in ran.output
    return ran


def read(*arguments: str) -> Any:
    ran = ppi(*arguments, "--json")
    assert ran.exit_code == 0
    return json.loads(ran.stdout)


def install(folder: Path, name: str) -> None:
    marker = folder / "installation" / MARKER
    marker.parent.mkdir(parents=True)
    marker.write_text(f"{name}\n")


def test_all_profiles_are_listed_with_what_is_wrong_with_them(capo: Path) -> None:
    listed = read("list")
    assert listed["current"] is None
    by_name = {each["name"]: each for each in listed["profiles"]}
    assert set(by_name) == {"broken", "local", "site-prod", "site-test"}
    assert by_name["site-test"]["files"] == [str(capo / "site-test.properties")]
    assert [by_name["site-test"][key] for key in ("site", "environment", "broken")] == ["SITE", "test", False]
    assert by_name["broken"]["broken"]
    assert "ppi.profile.sight" in str(by_name["broken"]["problems"])
    shown = ppi("list").stdout
    assert "broken: 4 problems" in shown
    assert "Current: none" in shown


def test_the_current_profile_is_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "site-test")
    assert read("list")["current"] == "site-test"
    monkeypatch.setenv("CAPO_PROFILE", "site-prod")
    assert read("list")["current"] == "site-prod"
    listed = read("list", "-P", "site-test")
    assert listed["current"] == "site-test"
    assert [each["name"] for each in listed["profiles"] if each["current"]] == ["site-test"]
    assert "Current: site-prod (CAPO_PROFILE names it)." in ppi("list").stdout


def test_every_value_is_shown_with_its_origin(capo: Path) -> None:
    shown = read("show", "site-test")
    settings = {each["key"]: each for each in shown["settings"]}
    assert shown["profile"] == "site-test"
    assert settings["ppi.profile.site"]["value"] == "SITE"
    origin = {"file": str(capo / "site-test.properties"), "line": 1, "key": "ppi.profile.site"}
    assert settings["ppi.profile.site"]["origin"] == origin
    assert settings["ppi.casa.executor"] == {"key": "ppi.casa.executor", "value": "casatasks", "origin": None}
    assert set(settings["ppi.metadata.password"]["value"]) == {"*"}
    text = ppi("show", "site-test").stdout
    assert "ppi.metadata.schema" in text
    assert "default" in text
    assert text == ppi("show", "-P", "site-test").stdout


def test_two_names_for_one_profile_are_refused() -> None:
    ran = ppi("show", "site-test", "-P", "site-prod")
    assert ran.exit_code == 2
    assert "another profile" in ran.stderr


def test_only_what_differs_is_shown_side_by_side(tmp_path: Path) -> None:
    differing = {each["key"]: each for each in read("diff", "site-test", "site-prod")}
    assert set(differing) == {
        "ppi.prefect.workPool", "ppi.processing.rootDirectory", "ppi.processing.storeDirectory",
        "ppi.metadata.password",
    }  # fmt: skip
    area = differing["ppi.processing.rootDirectory"]
    assert (area["site-test"], area["site-prod"]) == (str(tmp_path / "site-test"), str(tmp_path / "site-prod"))
    text = ppi("diff", "site-test", "site-prod").stdout
    assert "ppi.profile.site" not in text
    assert "0ther" not in text
    assert ppi("diff", "site-test", "site-test").stdout == "site-test and site-test are the same.\n"


def test_a_check_says_what_is_wrong_and_what_to_do() -> None:
    ran = ppi("check", "site-test", "--json")
    assert ran.exit_code == 5
    checked = json.loads(ran.stdout)
    assert (checked["profile"], checked["ok"]) == ("site-test", False)
    by_name = {each["what"]: each for each in checked["findings"]}
    assert by_name["metadata database"]["state"] == "wrong"
    assert by_name["NGAS 127.0.0.1:1"]["todo"]
    assert by_name["Prefect server"]["state"] == "not set"
    shown = ppi("check", "-P", "site-test")
    assert shown.exit_code == 5
    assert "need looking at." in shown.stdout


@pytest.mark.parametrize(
    ("installed", "variable", "given", "notes"),
    [
        (None, None, "site-test", []),
        ("site-test", None, None, []),
        ("site-test", "site-test", "site-test", []),
        (None, "site-prod", "site-test", ["not site-prod (CAPO_PROFILE names it)"]),
        ("site-prod", None, "site-test", ["not site-prod (the installation in "]),
        ("site-prod", "site-test", None, ["profile site-test is used (CAPO_PROFILE names it), not site-prod"]),
        ("site-prod", "dsoc-dev", "site-test", ["not dsoc-dev (CAPO", "not site-prod (the inst"]),
    ],
)
def test_it_is_said_when_one_profile_is_used_and_another_was_to_be_expected(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    installed: str | None,
    variable: str | None,
    given: str | None,
    notes: list[str],
) -> None:
    if installed:
        install(tmp_path, installed)
    if variable:
        monkeypatch.setenv("CAPO_PROFILE", variable)
    ran = ppi("show", "--json", *(["-P", given] if given else []))
    assert json.loads(ran.stdout)["profile"] == "site-test"
    lines = ran.stderr.splitlines()
    assert len(lines) == len(notes)
    for line, note in zip(lines, notes, strict=True):
        assert line.startswith("ppi: note: profile site-test is used (")
        assert note in line


@pytest.mark.parametrize("columns", [40, 80])
def test_nothing_is_cut_off_in_a_narrow_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli._console._WIDTH_OF_FILES", columns)
    for arguments in (["list"], ["show", "site-test"], ["diff", "site-test", "site-prod"], ["check", "site-test"]):
        assert "…" not in ppi(*arguments).stdout


def test_an_error_that_is_not_about_one_profile_names_none(
    capo: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["ppi", "profile", "show"])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert capsys.readouterr().err.startswith("ppi: no profile can be used (1 problem)\n  profile: none was named")

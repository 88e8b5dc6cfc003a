"""Activating a profile in bash and zsh: what it sets, and that afterwards all is as it was, to the letter."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from activation_shells import (
    COMMANDS,
    OPTIONS,
    VARIABLES,
    Shell,
    installations,
    quoted,
    sourced,
    variable,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from blocks.installation import MARKER

NAMES = ("dsoc-test", "naasc-dev", "vlass.test")
SHELLS = sorted(COMMANDS)
DEACTIVATES = (
    "function deactivate { echo mine; }",
    'function deactivate { local x="a  b"; case "$x" in (*) echo "$x" \'it"s\' "$(ls | cat)";; esac; }',
    "function deactivate {\ncat <<END\nof  several\n lines\nEND\n}",
)
BEYOND_ASCII = "é☃\U0001f52d"
ALIASES = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12)
TEXTS = st.text(st.characters(min_codepoint=9, max_codepoint=126) | st.sampled_from(BEYOND_ASCII), max_size=12)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installations(tmp_path_factory.mktemp("activation"), NAMES)


def by_name(places: Path) -> str:
    return sourced(places / NAMES[0] / "share/ppi/profiles.sh")


def directly(places: Path, name: str = NAMES[0]) -> str:
    return sourced(places / name / "bin/activate")


@st.composite
def shells(draw: st.DrawFn, name: str) -> Shell:
    """A shell as nobody would set it up on purpose."""
    lines = []
    for each in VARIABLES:
        if each == "PATH":
            folders = draw(st.lists(TEXTS, max_size=2))
            lines.append(f"PATH={quoted(':'.join(folders))}:$PATH")
        elif draw(st.booleans()):
            lines.append(variable(each, draw(TEXTS), exported=draw(st.booleans())))
        else:
            lines.append(f"unset {each}")
    lines += draw(st.lists(st.sampled_from(DEACTIVATES), max_size=1))
    if lines[-1] in DEACTIVATES and name == "bash" and draw(st.booleans()):
        lines.append("export -f deactivate")
    if draw(st.booleans()):
        lines.append(f"alias deactivate={quoted(draw(ALIASES))} ls='ls -l' builtin_='x'")
    lines += draw(st.lists(st.sampled_from(OPTIONS[name]), unique=True, max_size=4))
    return Shell(name, tuple(lines))


@pytest.mark.parametrize("name", SHELLS)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_stood_in_a_shell_stands_there_again(
    name: str, data: st.DataObject, places: Path, tmp_path: Path
) -> None:
    shell = data.draw(shells(name))
    before, after = shell.after(tmp_path, directly(places), r"\deactivate")
    assert after == before


@pytest.mark.parametrize(
    "option", [*(("bash", each) for each in OPTIONS["bash"]), *(("zsh", each) for each in OPTIONS["zsh"])]
)
def test_every_option_is_borne_and_kept(option: tuple[str, str], places: Path, tmp_path: Path) -> None:
    lines = ["PS1='$ '", "CAPO_PROFILE=mine", "export VIRTUAL_ENV=/x", DEACTIVATES[1], by_name(places), option[1]]
    shell = Shell(option[0], tuple(lines))
    steps = [f"activate_profile {name}" for name in NAMES]
    before, after = shell.after(tmp_path, *steps, "deactivate_profile")
    assert after == before


@pytest.mark.parametrize("name", SHELLS)
@pytest.mark.parametrize(
    "steps",
    [
        ["activate_profile dsoc-test", "deactivate_profile"],
        ["activate_profile dsoc-test", "deactivate"],
        ["activate_profile dsoc-test", "activate_profile dsoc-test", "deactivate_profile"],
        ["activate_profile dsoc-test", "activate_profile naasc-dev", "activate_profile vlass.test", "deactivate"],
        ["activate_profile dsoc-test", "CAPO_PROFILE=other PATH=$PATH:/mine PS1=x", "deactivate_profile"],
        ["activate_profile dsoc-test", "unset CAPO_PROFILE PS1 VIRTUAL_ENV", "deactivate_profile"],
        ["activate_profile dsoc-test", "alias deactivate=false", r"\deactivate"],
        ["if activate_profile nope 2>/dev/null; then exit 9; fi"],
        ["if activate_profile 2>/dev/null; then exit 9; fi"],
        ["if activate_profile ../dsoc-test 2>/dev/null; then exit 9; fi"],
        ["if deactivate_profile 2>/dev/null; then exit 9; fi"],
        ["activate_profile dsoc-test", "activate_profile nope 2>/dev/null || :", "deactivate_profile"],
    ],
)
def test_a_shell_is_as_it_was_after(name: str, steps: list[str], places: Path, tmp_path: Path) -> None:
    before, after = Shell(name, ("PS1='$ '", "set -eu", by_name(places))).after(tmp_path, *steps)
    assert after == before


@pytest.mark.parametrize(
    "declared",
    [
        ("bash", "declare -i VIRTUAL_ENV=5"),
        ("bash", "declare -xa PYTHONPATH=(a 'b c')"),
        ("bash", "declare -A CAPO_PROFILE=([a]=1)"),
        ("zsh", "typeset -i VIRTUAL_ENV=5"),
        ("zsh", "typeset -xl CAPO_PROFILE='~Abc'"),
        ("zsh", "typeset -a PYTHONPATH; PYTHONPATH=(a 'b c')"),
        ("zsh", "typeset -TU PYTHONPATH pythonpath; export PYTHONPATH; pythonpath=(/a '~b c' /a)"),
    ],
)
def test_a_variable_is_of_its_kind_again(declared: tuple[str, str], places: Path, tmp_path: Path) -> None:
    name, line = declared
    before, after = Shell(name, (line,)).after(tmp_path, directly(places), "deactivate")
    assert after == before


def environment_of(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    assert (done.returncode, done.stderr) == (0, "")
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)


ENV = "\\env; printf 'PS1=%s\\n' \"$PS1\""


@pytest.mark.parametrize("name", SHELLS)
def test_an_active_shell_belongs_to_the_profile(name: str, places: Path) -> None:
    prefix = places / "vlass.test"
    lines = ["PS1='$ '", "export PYTHONPATH=/other PYTHONHOME=/other PREFECT_API_URL=http://other/api", "set -eu"]
    shell = Shell(name, tuple(lines))
    found = environment_of(shell.run(directly(places, "vlass.test"), ENV))
    assert found["CAPO_PROFILE"] == "vlass.test"
    assert found["PREFECT_PROFILE"] == "vlass-test"
    assert found["PATH"].split(":", 1)[0] == str(prefix / "bin")
    assert (found["VIRTUAL_ENV"], found["VIRTUAL_ENV_PROMPT"]) == (str(prefix), "vlass.test")
    assert found["PS1"] == "(vlass.test) $ "
    assert {"PYTHONPATH", "PYTHONHOME", "PREFECT_API_URL"} & set(found) == set()
    profiles = tomllib.loads(Path(found["PREFECT_PROFILES_PATH"]).read_text())
    assert profiles == {
        "active": "vlass-test",
        "profiles": {
            "vlass-test": {
                "PREFECT_API_URL": "http://vlass.test:4200/api",
                "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
            }
        },
    }


@pytest.mark.parametrize("name", SHELLS)
def test_activating_another_profile_leaves_nothing_of_the_first(name: str, places: Path, tmp_path: Path) -> None:
    shell = Shell(name, ("PS1='$ '", by_name(places)))
    _, switched = shell.after(tmp_path, "activate_profile dsoc-test", "activate_profile naasc-dev")
    _, at_once = shell.after(tmp_path, "activate_profile naasc-dev")
    assert switched == at_once
    assert "dsoc-test" not in switched.replace(str(places / "dsoc-test" / "share"), "")


@pytest.mark.parametrize("name", SHELLS)
def test_prompts_are_left_alone_where_the_user_wants_that(name: str, places: Path) -> None:
    shell = Shell(name, ("PS1='$ '", "VIRTUAL_ENV_DISABLE_PROMPT=1"))
    assert environment_of(shell.run(directly(places), ENV))["PS1"] == "$ "


@pytest.mark.parametrize("name", SHELLS)
@pytest.mark.parametrize("wanted", ["nope", "", "dsoc-test/../dsoc-test", "naasc"])
def test_a_wrong_name_says_what_there_is(name: str, wanted: str, places: Path) -> None:
    done = Shell(name, (by_name(places), "set -u")).run(f"activate_profile '{wanted}'; echo $?")
    assert done.stdout == "1\n"
    assert f'no installation of profile "{wanted}" in {places}' in done.stderr
    assert "one of: dsoc-test naasc-dev vlass.test" in done.stderr


@pytest.mark.parametrize("name", SHELLS)
def test_installations_are_looked_for_where_it_is_said(name: str, places: Path, tmp_path: Path) -> None:
    elsewhere = installations(tmp_path, ["naasc-prod"])
    looked = variable("PPI_INSTALLATIONS", f"/nowhere::{elsewhere}:{places}", exported=True)
    shell = Shell(name, ("PS1=", looked, by_name(places)))
    for wanted, root in (("naasc-prod", elsewhere), ("dsoc-test", places)):
        found = environment_of(shell.run(f"activate_profile {wanted}", ENV))
        assert found["VIRTUAL_ENV"] == str(root / wanted)


@pytest.mark.parametrize("name", SHELLS)
def test_an_installation_that_is_not_whole_is_not_activated(name: str, tmp_path: Path) -> None:
    places = installations(tmp_path, NAMES)
    (places / "naasc-dev" / MARKER).unlink()
    shell = Shell(name, (by_name(places),))
    before, after = shell.after(tmp_path, f"{directly(places, 'naasc-dev')} 2>/dev/null || :")
    assert after == before
    done = shell.run(directly(places, "naasc-dev"))
    assert (done.returncode, "is not whole. Next: ppi install naasc-dev --prefix" in done.stderr) == (1, True)
    assert "one of: dsoc-test vlass.test" in shell.run("activate_profile naasc-dev").stderr


@pytest.mark.parametrize("name", SHELLS)
def test_a_variable_that_cannot_be_set_is_told_before_anything_is(name: str, places: Path, tmp_path: Path) -> None:
    shell = Shell(name, ("readonly CAPO_PROFILE=mine", by_name(places)))
    before, after = shell.after(tmp_path, "activate_profile dsoc-test 2>/dev/null || :")
    assert after == before
    assert "CAPO_PROFILE is read-only in this shell" in shell.run("activate_profile dsoc-test").stderr


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A virtual environment of Python's own."""
    place = tmp_path_factory.mktemp("stock") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
    return sourced(place / "bin" / "activate")


@pytest.mark.parametrize("name", SHELLS)
def test_a_virtual_environment_beneath_is_active_again(
    name: str, places: Path, stock: str, tmp_path: Path
) -> None:
    shell = Shell(name, ("PS1='$ '", stock, by_name(places)))
    before, after = shell.after(tmp_path, "activate_profile dsoc-test", "deactivate")
    assert after == before
    bare, ended = Shell(name, ("export PS1='$ '", by_name(places))).after(
        tmp_path, stock, "activate_profile dsoc-test", "deactivate_profile", "deactivate"
    )
    assert ended == bare


@pytest.mark.parametrize("name", SHELLS)
def test_a_virtual_environment_on_top_goes_first(name: str, places: Path, stock: str, tmp_path: Path) -> None:
    shell = Shell(name, ("export PS1='$ '", by_name(places)))
    steps = ["activate_profile dsoc-test", stock, "deactivate", "deactivate_profile"]
    before, after = shell.after(tmp_path, *steps)
    assert after == before


def test_another_shell_says_so(places: Path) -> None:
    done = subprocess.run(
        ["dash", "-c", f"{directly(places)} || echo not"], capture_output=True, text=True, check=True
    )
    assert done.stdout == "not\n"
    assert "Next: use bash or zsh" in done.stderr

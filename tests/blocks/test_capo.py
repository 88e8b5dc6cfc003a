"""The CAPO reader, against a table of cases from the facts, and against itself."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from pydantic_settings import BaseSettings

from blocks.capo import SHIPPED, Boolean, Properties, boolean, directories, parse, profile_name, profiles, read
from blocks.errors import ProfileError
from blocks.installation import MARKER, installed_profile
from blocks.names import slug

FILE = Path("/capo/t.properties")


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "prefix"))
    for name in ("CAPO_PATH", "CAPO_PROFILE", "PPI_TEST"):
        monkeypatch.delenv(name, raising=False)


def put(directory: Path, text: str, profile: str = "t") -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / f"{profile}.properties"
    file.write_text(text, encoding="utf-8")
    return file


def values(properties: Properties) -> dict[str, str]:
    return {key: entry.value for key, entry in properties.values.items()}


LINES = {
    "equals": ("a.b = 1", {"a.b": "1"}),
    "colon": ("a.b: 1", {"a.b": "1"}),
    "no blanks": ("a.b=1", {"a.b": "1"}),
    "the first separator counts": ("a = b = c : d", {"a": "b = c : d"}),
    "a URL after a colon": ("u: sqlite:////x", {"u": "sqlite:////x"}),
    "keys without case": ("A.bC = D", {"a.bc": "D"}),
    "blanks around a line": ("  \t a = b \t ", {"a": "b"}),
    "comments": ("# a = 1\n ; b = 2\n! c = 3\n\n   \n", {}),
    "a comment sign in a value": ("p = x#y;z!", {"p": "x#y;z!"}),
    "an empty value": ("a =", {"a": ""}),
    "a back-slash is itself": ("a = b\\\nc = d", {"a": "b\\", "c": "d"}),
    "an unset variable": ("a = ${env:PPI_TEST}", {"a": ""}),
    "an unset variable and more": ("a = ${env:PPI_TEST}/x", {"a": "/x"}),
    "a variable not at the start": ("a = x${env:HOME}", {"a": "x${env:HOME}"}),
    "a variable without a name": ("a = ${env:}", {"a": "${env:}"}),
}


@pytest.mark.parametrize(("text", "expected"), LINES.values(), ids=LINES)
def test_lines(text: str, expected: dict[str, str]) -> None:
    properties, problems = parse(text, FILE)
    assert {entry.key: entry.value for entry in properties} == expected
    assert problems == ()


def test_only_the_first_variable_is_expanded_and_only_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PPI_TEST", "${env:HOME}")
    properties, _ = parse("a = ${env:PPI_TEST}-${env:PPI_TEST}", FILE)
    assert properties[0].value == "${env:HOME}-${env:PPI_TEST}"


@pytest.mark.parametrize(
    "line", ["[section]", "hunter2", "= hunter2", ": hunter2", "ppi.metadata.password hunter2 = x"]
)
def test_lines_that_are_no_properties_are_told_but_not_shown(line: str) -> None:
    properties, problems = parse(f"a = 1\n{line}\n", FILE)
    assert len(properties) == 1
    assert str(problems[0]).startswith(f"line ({FILE}:2): not of the form key = value")
    assert not {"section", "hunter2"} & set(re.findall(r"\w+", str(problems[0])))


def test_a_key_given_twice_is_a_problem_in_whatever_case() -> None:
    _, problems = parse("a.b = 1\nc = 2\nA.B: 3\n", FILE)
    assert [str(problem) for problem in problems] == [
        f"A.B ({FILE}:3): given twice in one file, first in line 1. Next: remove one of them"
    ]


def test_origin_and_representation() -> None:
    properties, _ = parse("# first\nPPI.x.Password = hunter2", FILE)
    origin = properties[0].origin
    assert (origin.file, origin.line, origin.key) == (FILE, 2, "PPI.x.Password")
    assert str(origin) == f"{FILE}:2"
    assert "hunter2" not in repr(properties[0])


KEYS = st.from_regex(r"[A-Za-z][A-Za-z0-9._-]{0,20}", fullmatch=True)
PRINTABLE = st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp", "Zs"))
VALUES = st.text(PRINTABLE | st.just(" ")).map(str.strip).filter(lambda text: not text.startswith("${env:"))
FILLERS = st.lists(st.sampled_from(["", "   ", "# a = 1", "; b : 2", "!c"]), max_size=2)
SEPARATORS = st.sampled_from(["=", " = ", ":", " : ", "\t=\t"])
PAIRS = st.lists(st.tuples(KEYS, VALUES, SEPARATORS, FILLERS), unique_by=lambda pair: pair[0].lower())


@settings(deadline=None)
@given(PAIRS)
def test_what_was_written_is_read(pairs: list[tuple[str, str, str, list[str]]]) -> None:
    lines, numbers = [], []
    for key, value, separator, fillers in pairs:
        lines += [*fillers, f"{key}{separator}{value}"]
        numbers.append(len(lines))
    properties, problems = parse("\n".join(lines), FILE)
    assert problems == ()
    assert [(entry.origin.key, entry.value) for entry in properties] == [(key, value) for key, value, *_ in pairs]
    assert [entry.origin.line for entry in properties] == numbers


@settings(deadline=None)
@given(st.text())
def test_each_line_of_any_text_is_taken_told_or_passed_over(text: str) -> None:
    properties, problems = parse(text, FILE)
    told = {entry.origin.line for entry in properties} | {entry.origin.line for entry in problems if entry.origin}
    content = {
        number
        for number, line in enumerate(text.split("\n"), start=1)
        if line.strip() and line.strip()[0] not in "#;!"
    }
    assert told == content


HOUSE = f"{SHIPPED}:/home/casa/capo:/home/ssa/capo"
PATHS = {
    "built in": (None, None, HOUSE),
    "variable": (None, "/v:/w", "/v:/w"),
    "argument over variable": ("/a", "/v", "/a"),
    "empty elements": ("::/a::/b:", None, "/a:/b"),
    "an empty variable is none": (None, "", HOUSE),
    "an empty argument is none": ("", "/v", "/v"),
}


@pytest.mark.parametrize(("argument", "variable", "expected"), PATHS.values(), ids=PATHS)
def test_search_path(
    argument: str | None, variable: str | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if variable is not None:
        monkeypatch.setenv("CAPO_PATH", variable)
    assert directories(argument) == (*map(Path, expected.split(":")), Path.home() / ".capo")


def test_a_relative_element_is_shown_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert directories("capo")[0] == tmp_path / "capo"


def mark(prefix: Path, text: str) -> Path:
    """Make a directory an installation of a profile."""
    marker = prefix / MARKER
    marker.parent.mkdir(parents=True)
    marker.write_text(text, encoding="utf-8")
    return marker


def test_profile_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=r"none was named, .* Next: give -P NAME, or set CAPO_PROFILE"):
        profile_name()
    mark(tmp_path / "prefix", "naasc-dev\n")
    assert profile_name() == "naasc-dev"
    monkeypatch.setenv("CAPO_PROFILE", "vlass.w7")
    assert profile_name() == "vlass.w7"
    assert profile_name("dsoc-test") == "dsoc-test"
    monkeypatch.setenv("CAPO_PROFILE", "")
    assert (profile_name(""), profile_name()) == ("naasc-dev", "naasc-dev")


def test_what_is_no_installation_is_of_no_profile(tmp_path: Path) -> None:
    assert installed_profile() is None
    (tmp_path / "file").touch()
    assert installed_profile(tmp_path / "file") is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [("", "does not hold the name"), ("../x\n", "does not hold the name"), ("a\nb", "does not")],
)
def test_an_installation_whose_marker_says_nothing_is_not_guessed(text: str, reason: str, tmp_path: Path) -> None:
    marker = mark(tmp_path / "prefix", text)
    with pytest.raises(ProfileError, match=rf"{re.escape(str(marker))}: {reason}.*Next: move .* install anew"):
        profile_name()


def test_a_marker_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    marker = mark(tmp_path / "prefix", "")
    marker.write_bytes(b"\xff")
    with pytest.raises(ProfileError, match="cannot be read: UnicodeDecodeError"):
        installed_profile()
    marker.unlink()
    marker.mkdir()
    with pytest.raises(ProfileError, match="cannot be read: IsADirectoryError"):
        installed_profile()


def test_profiles_on_the_search_path(tmp_path: Path) -> None:
    first, second = put(tmp_path / "1", "", "b"), put(tmp_path / "2", "", "b")
    home = put(Path.home() / ".capo", "", "a.test")
    for other in ("b.txt", ".hidden.properties", "a b.properties", "properties"):
        (tmp_path / "1" / other).touch()
    found = profiles(f"{tmp_path}/1:{tmp_path}/missing:{tmp_path}/2")
    assert found == {"a.test": (home,), "b": (first, second)}
    assert list(found) == ["a.test", "b"]


def test_a_directory_that_is_named_twice_lists_its_files_once_and_last(tmp_path: Path) -> None:
    first, second = put(tmp_path / "1", "", "b"), put(tmp_path / "2", "", "b")
    assert profiles(f"{tmp_path}/1:{tmp_path}/2:{tmp_path}/1") == {"b": (second, first)}


def test_a_directory_that_cannot_be_listed_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ProfileError, match=rf"{tmp_path}/file: cannot be listed: Not a directory\. Next: "):
        profiles(str(tmp_path / "file"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("vlass.test", "vlass-test"), ("dsoc-test", "dsoc-test"), ("A__b..C", "a-b-c"), ("x.", "x")],
)
def test_slugs_are_what_prefect_takes(name: str, expected: str) -> None:
    assert slug(name) == expected


@pytest.mark.parametrize("name", ["../t", "a/b", "..", "a..b", ".hidden", "-x", "a b", "a\n", "a\0", "~", "ä"])
def test_names_that_could_leave_the_directory(name: str) -> None:
    with pytest.raises(ProfileError, match="a name is letters"):
        read(name)


def test_later_directories_override_and_origins_follow(tmp_path: Path) -> None:
    first = put(tmp_path / "1", "a = 1\nB = 1\nc = 1")
    second = put(tmp_path / "2", "b = 2\n\nc = 2")
    home = put(Path.home() / ".capo", "C = home")
    properties = read("t", f"{tmp_path}/1:{tmp_path}/missing:{tmp_path}/2")
    assert properties.files == (first, second, home)
    assert values(properties) == {"a": "1", "b": "2", "c": "home"}
    assert [str(properties.values[key].origin) for key in "abc"] == [f"{first}:1", f"{second}:1", f"{home}:1"]
    assert properties.problems == ()


def test_a_directory_named_twice_counts_where_it_is_last(tmp_path: Path) -> None:
    put(tmp_path / "1", "a = 1")
    put(tmp_path / "2", "a = 2")
    properties = read("t", f"{tmp_path}/1:{tmp_path}/2:{tmp_path}/1")
    assert values(properties) == {"a": "1"}
    assert len(properties.files) == 2


def test_a_profile_without_a_file_names_where_was_looked(tmp_path: Path) -> None:
    put(tmp_path / "1", "a = 1", profile="other")
    with pytest.raises(ProfileError) as caught:
        read("t", f"{tmp_path}/1:{tmp_path}/2")
    searched = f"{tmp_path}/1, {tmp_path}/2, {Path.home()}/.capo"
    assert f"t.properties: no such file in any directory searched: {searched}. Next: " in str(caught.value)


def unreadable(kind: str, file: Path) -> None:
    if kind == "directory":
        file.mkdir(parents=True)
    elif kind == "not UTF-8":
        file.parent.mkdir()
        file.write_bytes(b"a = \xff")
    elif kind == "dangling link":
        file.parent.mkdir()
        file.symlink_to("nowhere")
    else:
        file.parent.touch()


UNREADABLE = {
    "directory": "Is a directory",
    "not UTF-8": "byte 4 is not UTF-8",
    "dangling link": "it is a link to a file that does not exist",
    "element of the path is a file": "Not a directory",
}


@pytest.mark.parametrize(("kind", "reason"), UNREADABLE.items(), ids=UNREADABLE)
def test_a_file_that_cannot_be_read_is_a_problem_even_beside_one_that_can(
    kind: str, reason: str, tmp_path: Path
) -> None:
    good = put(tmp_path / "1", "a = 1")
    bad = tmp_path / "2" / "t.properties"
    unreadable(kind, bad)
    properties = read("t", f"{tmp_path}/1:{tmp_path}/2")
    assert properties.files == (good,)
    assert [str(problem) for problem in properties.problems] == [
        f"{bad}: cannot be read: {reason}. Next: make it a readable UTF-8 file, or remove it"
    ]


def test_line_ends_and_byte_order_mark(tmp_path: Path) -> None:
    put(tmp_path, "").write_bytes(b"\xef\xbb\xbfa = 1\r\nb = 2\r\n")
    assert values(read("t", str(tmp_path))) == {"a": "1", "b": "2"}


class Switch(BaseSettings):
    on: Boolean


@pytest.mark.parametrize("text", ["1", "on", "yes", "true", "TRUE", "Yes", " on "])
def test_true(text: str) -> None:
    assert boolean(text) is True
    assert Switch.model_validate({"on": text}).on is True


@pytest.mark.parametrize("text", ["0", "off", "no", "false", "FALSE", "No"])
def test_false(text: str) -> None:
    assert boolean(text) is False
    assert Switch.model_validate({"on": text}).on is False


@pytest.mark.parametrize("text", ["", "y", "t", "2", "enabled"])
def test_neither_true_nor_false(text: str) -> None:
    with pytest.raises(ValueError, match="is neither"):
        boolean(text)
    with pytest.raises(ValidationError, match="is neither"):
        Switch.model_validate({"on": text})

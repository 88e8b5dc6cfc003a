"""The CAPO reader against a small model of it, written from the facts alone and in the plainest way."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from blocks.capo import read

KEYS = st.sampled_from(["ppi.a", "PPI.A", "ppi.ngas.Servers", "Ppi.Ngas.servers", "edu.nrao.x", "k", "K", "z-1_2"])
NAMES = ["PPI_SET", "PPI_EMPTY", "PPI_UNSET"]
VARIABLES = {"PPI_SET": "${env:PPI_EMPTY}=deep:", "PPI_EMPTY": ""}
PIECES = st.sampled_from(
    [
        "",
        "a",
        " ",
        "=",
        ":",
        "#",
        ";",
        "!",
        "\\",
        "${env:",
        "}",
        "${env:}",
        *(f"${{env:{name}}}" for name in NAMES),
    ]
)
VALUES = st.lists(PIECES, max_size=5).map("".join)
SEPARATORS = st.tuples(
    st.sampled_from(["", " ", "\t"]), st.sampled_from(["=", ":"]), st.sampled_from(["", " "])
).map("".join)
LINES = st.one_of(
    st.tuples(KEYS, SEPARATORS, VALUES).map("".join),
    st.sampled_from(["", "  ", "# k = comment", " ; k = comment", "!k: comment", "[section]", "k", "= v"]),
)
FILES = st.none() | st.lists(LINES, max_size=6)
DIRECTORIES = ("argument-1", "argument-2", "home/.capo")


def model(files: list[list[str] | None]) -> tuple[dict[str, tuple[str, int, int]], int]:
    """Return value, file and line by key, and how many lines are wrong."""
    values: dict[str, tuple[str, int, int]] = {}
    wrong = 0
    for number, lines in enumerate(files):
        seen = set()
        for index, line in enumerate(lines or [], start=1):
            text = line.strip()
            if text == "" or text.startswith(("#", ";", "!")):
                continue
            cut = min((text.find(sign) for sign in "=:" if sign in text), default=0)
            key, value = text[:cut].strip().lower(), text[cut + 1 :].strip()
            if not key or " " in key or key in seen:
                wrong += 1
                continue
            seen.add(key)
            values[key] = (expanded(value), number, index)
    return values, wrong


def expanded(value: str) -> str:
    if not value.startswith("${env:") or "}" not in value:
        return value
    name, _, rest = value.removeprefix("${env:").partition("}")
    return VARIABLES.get(name, "") + rest if name else value


@settings(deadline=None)
@given(st.tuples(FILES, FILES, FILES))
def test_the_reader_does_as_the_model(files: tuple[list[str] | None, ...]) -> None:
    if all(lines is None for lines in files):
        return
    with TemporaryDirectory() as root, patch.dict(os.environ, VARIABLES | {"HOME": f"{root}/home"}):
        os.environ.pop("PPI_UNSET", None)
        paths = [Path(root) / name / "t.properties" for name in DIRECTORIES]
        for path, lines in zip(paths, files, strict=True):
            path.parent.mkdir(parents=True)
            if lines is not None:
                path.write_text("\n".join(lines), encoding="utf-8")
        found = read("t", f"{root}/argument-1::{root}/argument-2:")
    values, wrong = model(list(files))
    entries = found.values.items()
    assert {key: (e.value, paths.index(e.origin.file), e.origin.line) for key, e in entries} == values
    assert len(found.problems) == wrong
    assert found.files == tuple(path for path, lines in zip(paths, files, strict=True) if lines is not None)

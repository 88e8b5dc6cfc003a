"""Reading CAPO properties: the observatory's own files stay the one source of what differs between environments.

Search path, overrides and `${env:NAME}` are those of the observatory's readers; before their directories comes the
one with the profiles that PPI is shipped with, which they so override. On purpose, what those pass over
in silence is an error here: a profile without a file, a file that cannot be read, a key that is given twice.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator

from blocks.errors import Origin, Problem, ProfileError
from blocks.installation import installed_profile
from blocks.names import checked, is_name

__all__ = [
    "SHIPPED",
    "Boolean",
    "Properties",
    "Property",
    "boolean",
    "directories",
    "parse",
    "profile_name",
    "profiles",
    "read",
]

SHIPPED = Path(__file__).absolute().parents[1] / "deployments" / "capo"
"""The profiles that PPI is shipped with."""

BUILT_IN_PATH = "/home/casa/capo:/home/ssa/capo"

_LINE = re.compile(r"(?P<key>[^=:\s]+)\s*[=:]\s*(?P<value>.*)")
_FROM_ENVIRONMENT = re.compile(r"\$\{env:([^}]+)\}")
_TRUE, _FALSE = frozenset({"1", "on", "yes", "true"}), frozenset({"0", "off", "no", "false"})


@dataclass(frozen=True)
class Property:
    """One value, `${env:NAME}` expanded, and where it was read. The value is left out of the representation."""

    value: str = field(repr=False)
    origin: Origin

    @property
    def key(self) -> str:
        """The key in the form in which keys are compared."""
        return self.origin.key.lower()


@dataclass(frozen=True)
class Properties:
    """What the files of one profile say.

    Parameters
    ----------
    profile
        The profile's name.
    files
        The files that exist, in the order in which they override one another (the last one wins).
    lines
        Every property of every file, in that order.
    problems
        What is wrong with the files themselves.
    """

    profile: str
    files: tuple[Path, ...]
    lines: tuple[Property, ...]
    problems: tuple[Problem, ...]

    @property
    def values(self) -> dict[str, Property]:
        """The property that holds for each key (in lower case)."""
        return {line.key: line for line in self.lines}


def boolean(text: str) -> bool:
    """Read a truth value as CAPO writes it.

    Raises
    ------
    ValueError
        It is none of 1, on, yes, true, 0, off, no, false (in any case).
    """
    word = text.strip().lower()
    if word not in _TRUE | _FALSE:
        raise ValueError(f"'{text}' is neither 1, on, yes or true nor 0, off, no or false")
    return word in _TRUE


Boolean = Annotated[bool, BeforeValidator(lambda value: boolean(value) if isinstance(value, str) else value)]
"""The type of a field that holds a CAPO truth value."""


def directories(search_path: str | None = None) -> tuple[Path, ...]:
    """Return where properties files are looked for: argument, else CAPO_PATH, else built in; then ~/.capo.

    The built-in ones begin with the shipped profiles.
    """
    given = search_path or os.environ.get("CAPO_PATH")
    elements = (Path(element).absolute() for element in (given or BUILT_IN_PATH).split(":") if element.strip())
    return (*(() if given else (SHIPPED,)), *elements, Path.home() / ".capo")


def profile_name(name: str | None = None) -> str:
    """Return the profile to use: argument, else CAPO_PROFILE, else that of the installation that PPI runs from.

    Raises
    ------
    ProfileError
        Nothing names one, or what is named cannot be the name of a file.
    """
    chosen = name or os.environ.get("CAPO_PROFILE") or installed_profile()
    if not chosen:
        reason = "none was named, and this installation is for no particular one"
        raise ProfileError("", (Problem("profile", reason, "give -P NAME, or set CAPO_PROFILE"),))
    return checked(chosen)


def profiles(search_path: str | None = None) -> dict[str, tuple[Path, ...]]:
    """Return each profile that has a file, with its files in the order in which they override one another.

    Raises
    ------
    ProfileError
        A directory exists, but cannot be listed.
    """
    found: dict[str, list[Path]] = {}
    for directory in dict.fromkeys(reversed(directories(search_path))):
        for file in _properties_files(directory):
            found.setdefault(file.stem, []).insert(0, file)
    return {name: tuple(found[name]) for name in sorted(found)}


def _properties_files(directory: Path) -> list[Path]:
    try:
        files = [file for file in directory.iterdir() if file.suffix == ".properties"]
    except FileNotFoundError:
        return []
    except OSError as error:
        reason = f"cannot be listed: {error.strerror or type(error).__name__}"
        todo = "make it a readable directory, or take it out of CAPO_PATH"
        raise ProfileError("", (Problem(str(directory), reason, todo),)) from error
    return [file for file in files if is_name(file.stem)]


def read(name: str | None = None, search_path: str | None = None) -> Properties:
    """Read all files of a profile.

    Parameters
    ----------
    name
        The profile; by default what CAPO_PROFILE says, else the installation.
    search_path
        Directories, separated by colons; by default what CAPO_PATH says.

    Raises
    ------
    ProfileError
        No profile is named, or no directory has a file of it. Other faults are in the result's `problems`.
    """
    profile = profile_name(name)
    searched = directories(search_path)
    texts, problems = _read_texts([directory / f"{profile}.properties" for directory in searched])
    if not texts and not problems:
        raise _no_file(profile, searched)
    lines: list[Property] = []
    for file, text in texts.items():
        found, wrong = parse(text, file)
        lines += found
        problems += wrong
    return Properties(profile, tuple(texts), tuple(lines), tuple(problems))


def _no_file(profile: str, searched: tuple[Path, ...]) -> ProfileError:
    where = ", ".join(map(str, searched))
    reason = f"no such file in any directory searched: {where}"
    todo = "check the name, put the file into one of them, or name its directory in CAPO_PATH"
    return ProfileError(profile, (Problem(f"{profile}.properties", reason, todo),))


def _read_texts(files: list[Path]) -> tuple[dict[Path, str], list[Problem]]:
    texts: dict[Path, str] = {}
    problems: dict[Path, Problem] = {}
    for file in files:
        try:
            text = file.read_text(encoding="utf-8-sig")
        except FileNotFoundError:
            if file.is_symlink():
                problems[file] = _unreadable(file, "it is a link to a file that does not exist")
        except UnicodeDecodeError as error:
            problems[file] = _unreadable(file, f"byte {error.start} is not UTF-8")
        except OSError as error:
            problems[file] = _unreadable(file, error.strerror or type(error).__name__)
        else:
            texts.pop(file, None)  # a directory that is named twice counts where it is named last
            texts[file] = text
    return texts, list(problems.values())


def _unreadable(file: Path, reason: str) -> Problem:
    return Problem(str(file), f"cannot be read: {reason}", "make it a readable UTF-8 file, or remove it")


def parse(text: str, file: Path) -> tuple[tuple[Property, ...], tuple[Problem, ...]]:
    """Take a properties file apart.

    Returns
    -------
    properties, problems
        The properties in their order, each key once (the first time); and the lines that cannot be used.
    """
    found: dict[str, Property] = {}
    problems: list[Problem] = []
    for number, line in enumerate(text.split("\n"), start=1):
        stripped = line.strip()
        if not stripped or stripped[0] in "#;!":
            continue
        match = _LINE.fullmatch(stripped)
        if match is None:
            problems.append(_no_key(Origin(file, number, "")))
            continue
        entry = Property(_expanded(match["value"]), Origin(file, number, match["key"]))
        if entry.key in found:
            problems.append(_twice(entry.origin, found[entry.key].origin))
        found.setdefault(entry.key, entry)
    return tuple(found.values()), tuple(problems)


def _no_key(origin: Origin) -> Problem:
    # The line itself is not shown: it may be a password on its own.
    return Problem(
        "line", "not of the form key = value (or key: value)", "write it so, or begin it with #", origin
    )


def _twice(again: Origin, first: Origin) -> Problem:
    return Problem(again.key, f"given twice in one file, first in line {first.line}", "remove one of them", again)


def _expanded(value: str) -> str:
    """Expand `${env:NAME}` where the value starts with it; an unset variable is empty."""
    match = _FROM_ENVIRONMENT.match(value)
    return os.environ.get(match[1], "") + value[match.end() :] if match else value

"""`ppi profile list`, `show` and `diff`."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from blocks import capo
from blocks.compare import differences
from blocks.errors import Origin, Problem, ProfileError
from blocks.profile import Profile
from cli._console import out, print_json, whole
from cli._environment import EMBEDDED, loaded
from cli._notes import why_this_one

__all__ = ["diff", "list_all", "show"]


@dataclass(frozen=True)
class _Listed:
    """A line of the list; the embedded environment has no file before its first start."""

    name: str
    files: tuple[str, ...]
    site: str = ""
    environment: str = ""
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()

    @property
    def state(self) -> str:
        if self.problems:
            return f"broken: {_counted(self.problems, 'problem')}"
        return _counted(self.warnings, "warning") if self.warnings else "ok"


def list_all(named: str | None, as_json: bool) -> None:
    """Print a line for each profile, and which one is current and why."""
    listed = [_listed(name, tuple(map(str, files))) for name, files in capo.profiles().items()]
    if EMBEDDED not in {each.name for each in listed}:
        listed.append(_Listed(EMBEDDED, (), "LOCAL", EMBEDDED))
    current, reason = why_this_one(named)
    if as_json:
        print_json({"current": current, "profiles": [_as_json(each, current) for each in listed]})
        return
    console = out()
    console.print(_table(listed, current))
    console.print(f"Current: {current or 'none'} ({reason}).")
    for each in listed:
        for problem in (*each.problems, *each.warnings):
            console.print(f"{each.name}: {problem}")


def _listed(name: str, files: tuple[str, ...]) -> _Listed:
    try:
        profile = Profile.load(name)
    except ProfileError as error:
        return _Listed(name, files, problems=error.problems)
    return _Listed(name, files, profile.site, profile.environment, warnings=profile.warnings)


def _table(listed: list[_Listed], current: str | None) -> Table:
    table = whole("", "profile", "site", "environment", "state", "files, the last one wins")
    for each in listed:
        files = "\n".join(each.files) or "(written when it is first used)"
        star = "*" if each.name == current else ""
        table.add_row(star, each.name, each.site, each.environment, each.state, files)
    return table


def _as_json(listed: _Listed, current: str | None) -> dict[str, Any]:
    return {
        "name": listed.name,
        "site": listed.site or None,
        "environment": listed.environment or None,
        "current": listed.name == current,
        "broken": bool(listed.problems),
        "problems": [str(problem) for problem in listed.problems],
        "warnings": [str(problem) for problem in listed.warnings],
        "files": list(listed.files),
    }


def show(profile: Profile, as_json: bool) -> None:
    """Print every value of a profile and where it was read; a person is told its warnings when it is entered."""
    settings = profile.describe()
    if as_json:
        shown = [{"key": key, "value": value, "origin": _origin(origin)} for key, value, origin in settings]
        warnings = [str(problem) for problem in profile.warnings]
        print_json({"profile": profile.name, "settings": shown, "warnings": warnings})
        return
    table = whole("key", "value", "from")
    for key, value, origin in settings:
        table.add_row(key, value, _written(key, origin))
    console = out()
    console.print(f"Profile {profile.name}", style="bold")
    console.print(table)


def _written(key: str, origin: Origin | None) -> str:
    if origin is None:
        return "default"
    other = f", as {origin.key}" if origin.key.lower() != key.lower() else ""
    return f"{origin}{other}"


def _origin(origin: Origin | None) -> dict[str, Any] | None:
    return {"file": str(origin.file), "line": origin.line, "key": origin.key} if origin else None


def diff(a: str, b: str, as_json: bool) -> None:
    """Print the keys in which two profiles differ, with both values."""
    with ExitStack() as stack:
        # The embedded environment comes last: its start changes where profiles are looked for.
        order = sorted((a, b), key=lambda name: name == EMBEDDED)
        found = {name: stack.enter_context(loaded(name)) for name in order}
        differing = differences(found[a], found[b])
    if as_json:
        print_json([{"key": each.key, a: each.here, b: each.there} for each in differing])
        return
    table = whole("key", a, b)
    for each in differing:
        table.add_row(*each)
    out().print(table if differing else f"{a} and {b} are the same.")


def _counted(things: tuple[Problem, ...], word: str) -> str:
    return f"{len(things)} {word}{'s' if len(things) != 1 else ''}"

"""Real shells, what stands in them, and installations that hold nothing but what activates them."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from blocks.installation import MARKER
from blocks.profile import Profile
from deployments import activation

VARIABLES = (
    "CAPO_PROFILE",
    "PATH",
    "PREFECT_API_URL",
    "PREFECT_PROFILE",
    "PREFECT_PROFILES_PATH",
    "PS1",
    "PYTHONHOME",
    "PYTHONPATH",
    "VIRTUAL_ENV",
    "VIRTUAL_ENV_PROMPT",
)
COMMANDS = {"bash": ["bash", "--norc", "--noprofile"], "zsh": ["zsh", "-f"]}
OPTIONS = {
    "bash": (
        *(f"set -o {name}" for name in ("allexport", "errexit", "nounset", "noglob", "noclobber", "pipefail")),
        *(f"set -o {name}" for name in ("posix", "errtrace", "functrace")),
        *(f"shopt -s {name}" for name in ("expand_aliases", "nullglob", "failglob", "nocasematch", "extglob")),
        "IFS=:",
        "IFS=aeiot/",
        "unset IFS",
        "trap ': $_' ERR",
    ),
    "zsh": (
        *(f"setopt {name}" for name in ("all_export", "err_exit", "no_unset", "no_clobber", "sh_word_split")),
        *(f"setopt {name}" for name in ("ksh_arrays", "glob_subst", "ksh_glob", "null_glob", "extended_glob")),
        *(
            f"setopt {name}"
            for name in ("no_aliases", "warn_create_global", "rc_quotes", "err_return", "csh_null_glob")
        ),
        *(f"setopt {name}" for name in ("ksh_typeset", "posix_builtins", "no_match", "prompt_subst", "no_glob")),
        "IFS=:",
        "IFS=aeiot/",
    ),
}
SNAPSHOT = {
    "bash": 'snapshot () { { set -o; shopt || :; alias -p; declare -p; declare -fp; trap -p; } >| "$1"; }\n',
    "zsh": 'snapshot () { { set -o; alias -L; typeset -p; typeset -f; trap } >| "$1" }\n',
}
"""Writes down all that there is in a shell: options, aliases, variables, functions, traps."""
_OF_THE_MOMENT = re.compile(
    r"^(?:declare|typeset|export)(?: -\S+)* "
    r"(?:_|BASH_\w+|BASHOPTS|BASHPID|COLUMNS|EPOCH\w+|FUNCNAME|LINENO|LINES|PIPESTATUS|RANDOM|SECONDS|SRANDOM|ZSH_\w+"
    r"|[?!#$*@0-9-]|status|pipestatus|argv|TTYIDLE)(?:=.*)?$",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Shell:
    """A shell as somebody may have it before anything is activated.

    Parameters
    ----------
    name
        `bash` or `zsh`.
    lines
        What sets it up: variables, functions, aliases, options, in that order.
    """

    name: str
    lines: tuple[str, ...] = ()
    inherited: dict[str, str] = field(default_factory=lambda: {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"})

    def run(self, *lines: str) -> subprocess.CompletedProcess[str]:
        """Run a script; `snapshot FILE` is there in it."""
        script = "\n".join((SNAPSHOT[self.name], *self.lines, *lines, ""))
        return subprocess.run(
            [*COMMANDS[self.name], "-c", script],
            env=self.inherited,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            timeout=60,
            check=False,
        )

    def after(self, folder: Path, *lines: str) -> tuple[str, str]:
        """Return what stands in the shell before some lines and after them."""
        files = folder / "before", folder / "after"
        for file in files:
            file.unlink(missing_ok=True)
        done = self.run(f"snapshot {files[0]}", *lines, f"snapshot {files[1]}")
        assert files[1].exists(), (done.returncode, done.stdout, done.stderr)
        before, after = (_steady(file) for file in files)
        return before, after


def _steady(file: Path) -> str:
    return _OF_THE_MOMENT.sub("", file.read_text("utf-8", "surrogateescape"))


def quoted(text: str) -> str:
    """Quote a text so that neither shell reads anything into it, as zsh does into `=ls`."""
    return "'" + text.replace("'", "'\\''") + "'"


def variable(name: str, value: str, *, exported: bool) -> str:
    """Return the line that sets a variable."""
    return f"{'export ' if exported else ''}{name}={quoted(value)}"


def sourced(path: Path) -> str:
    return f". {quoted(str(path))}"


def installations(folder: Path, names: Iterable[str]) -> Path:
    """Make directories that can be activated; return where they lie."""
    capo, places = folder / "capo", folder / "in st'all"
    capo.mkdir()
    for name in names:
        (capo / f"{name}.properties").write_text(
            "ppi.processing.rootDirectory = /area\n"
            "ppi.metadata.url = sqlite:////alma.db\n"
            "ppi.ngas.servers = ngas:7777\n"
            f"ppi.prefect.apiUrl = http://{name}:4200/api\n"
        )
        (places / name / "bin").mkdir(parents=True)
        activation.write(places / name, Profile.load(name, str(capo)))
        (places / name / MARKER).write_text(f"{name}\n")
    return places

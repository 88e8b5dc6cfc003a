"""Make the virtual environment that PPI runs in, with the locked dependencies and CASA's measures tables.

``python -m deployments.virtual_environment DIRECTORY`` is what ``make setup`` runs, with an editable PPI; `ppi
install` takes the same steps with a built one. Nothing but the standard library is there yet when this runs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from deployments import measures
from tasks.errors import Failed, PpiError, Refused

__all__ = ["CHECKOUT", "LOCKS", "create", "fill", "run"]

CHECKOUT = Path(__file__).absolute().parents[1]
"""Where this PPI lies: with its locks and sources, unless it is itself an installed one."""
LOCKS = (CHECKOUT / "requirements.lock", CHECKOUT / "casadata.lock")
"""What is installed beside PPI, by version and hash: each is whole, so that nothing is looked for besides."""

_PYTHON = (3, 11)
_LINES_OF_A_FAILURE = 5
_FONTS = "import matplotlib.font_manager"
"""Importing it writes the font cache, which costs a CASA child half a second when it is not there."""


def create(directory: Path) -> None:
    """Make a virtual environment with nothing in it but pip; what is in the directory already is kept.

    Raises
    ------
    Refused
        This Python is not the one that the lock is for.
    Failed
        It could not be made.
    """
    if sys.version_info[:2] != _PYTHON:
        found, wanted = (".".join(map(str, version)) for version in (sys.version_info[:2], _PYTHON))
        why = f"PPI needs Python {wanted}, and this is {found}"
        raise Refused(f"a virtual environment in {directory}", why, "install it, and name it: make PYTHON=…")
    run(Path(sys.executable), "-m", "venv", str(directory))


def fill(directory: Path, *package: str, tell: Callable[[str], None]) -> None:
    """Install the locked dependencies, PPI, measures tables and a font cache.

    Parameters
    ----------
    directory
        An environment that `create` made.
    package
        What pip takes to install PPI.
    tell
        Called with each step as it begins.

    Raises
    ------
    Failed
        A step went wrong; the environment is of no use.
    """
    python, shared = directory / "bin" / "python", directory / "share" / "ppi"
    shared.mkdir(parents=True, exist_ok=True)
    dependencies, data = map(str, LOCKS)
    tell("the locked dependencies")
    _pip(python, "install", "--no-deps", "--require-hashes", "--requirement", dependencies)
    tell("PPI")
    _pip(python, "install", "--no-deps", "--no-build-isolation", *package)
    tell("CASA's measures tables")
    download = directory / "casadata"
    shutil.rmtree(download, ignore_errors=True)
    _pip(python, "download", "--no-deps", "--require-hashes", "--requirement", data, "--dest", str(download))
    measures.cut(next(download.glob("casadata-*.whl")), shared / "measures")
    shutil.rmtree(download)
    tell("matplotlib's font cache")
    run(python, "-c", _FONTS, MPLCONFIGDIR=str(shared / "matplotlib"))


def run(python: Path, *arguments: str, **variables: str) -> None:
    """Run Python on something; of what it says only the end of a failure is of interest.

    A child holds what the caller made inheritable: a lock outlives a killed caller while a child works.

    Raises
    ------
    Failed
        It exited with another status than 0.
    """
    command = [str(python), "-I", *arguments]
    child = os.environ | variables
    done = subprocess.run(command, capture_output=True, text=True, check=False, close_fds=False, env=child)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()[-_LINES_OF_A_FAILURE:]
        todo = "mend that (is the package index within reach, the disk full?) and run again"
        raise Failed(" ".join(command), "\n  ".join((f"it exited with {done.returncode}", *said)), todo)


def _pip(python: Path, command: str, *arguments: str) -> None:
    run(python, "-m", "pip", "--disable-pip-version-check", command, "--quiet", *arguments)


def _set_up(directory: Path) -> int:
    """Make the environment of a checkout; return an exit code."""
    try:
        create(directory)
        fill(directory, "--editable", str(CHECKOUT), tell=lambda what: _say(f"installing {what}"))
    except PpiError as error:
        _say(str(error))
        return error.exit_code
    return 0


def _say(text: str) -> None:
    sys.stderr.write(f"setup: {text}\n")


if __name__ == "__main__":
    sys.exit(_set_up(Path(sys.argv[1])))

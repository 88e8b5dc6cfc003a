"""HTCondor for a private pool: the system's where it is installed, else Debian's, unpacked once below PPI's home.

Paths are written into the programs, so an installation is of the place where it was made, and of no other. It is
made in a folder beside that is renamed when all of it is there: a killed one leaves nothing that looks whole.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

from deployments.local.condor import packages
from deployments.local.condor.relocate import relocate
from tasks import disk
from tasks.errors import Refused

__all__ = ["Progress", "Release", "found", "installed", "require_plain"]

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many of it are done, and how many there are."""

_STEPS: Final = ("fetching", "unpacking", "relocating", "settling")
_MARKER: Final = "packages.json"
_DRAFT: Final = ".draft-"
_PLAIN: Final = re.compile(r"[\w/.+@=-]+")


@dataclass(frozen=True)
class Release:
    """Where the parts of an installed HTCondor are.

    Parameters
    ----------
    prefix
        What its `bin` and `sbin` are in.
    """

    prefix: Path

    @property
    def programs(self) -> Path:
        """The folder of ``condor_submit`` and its kin."""
        return self.prefix / "bin"

    @property
    def daemons(self) -> Path:
        """The folder of ``condor_master`` and its kin."""
        return self.prefix / "sbin"

    @property
    def helpers(self) -> Path:
        """The folder of what the daemons start."""
        return self._first("libexec/condor", "lib/condor/libexec", "libexec")

    @property
    def libraries(self) -> Path:
        """The folder of what is loaded at run time."""
        return self._first("lib/condor", "lib64/condor", "lib")

    def _first(self, *names: str) -> Path:
        found = (self.prefix / name for name in names if (self.prefix / name).is_dir())
        return next(found, self.prefix / names[0])


def installed(home: Path, on_progress: Progress = lambda what, done, total: None) -> Release:
    """Return the system's HTCondor, else the one below a folder, which is installed if it is not there.

    Of processes that need it at once one installs it, and the others wait for it.

    Parameters
    ----------
    home
        Where installations are kept.

    Raises
    ------
    PpiError
        It could not be had; see `packages.fetch`.
    """
    if release := found(home):
        return release
    place = _place(home)
    require_plain(place)
    with disk.explained("installing HTCondor"):
        home.mkdir(parents=True, exist_ok=True)
        on_progress("waiting for its turn", 0, len(_STEPS))
        with disk.locked(home / "install.lock", wait=True):
            if not place.exists():
                _install(place, on_progress)
    on_progress("installed", len(_STEPS), len(_STEPS))
    return Release(place / "usr")


def found(home: Path) -> Release | None:
    """Return the system's HTCondor, else the one installed below a folder, else None."""
    if master := shutil.which("condor_master", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"):
        return Release(Path(master).resolve().parents[1])
    place = _place(home)
    return Release(place / "usr") if place.exists() else None


def require_plain(path: Path) -> None:
    """See that a path can stand in HTCondor's configuration and in a search path as it is.

    Raises
    ------
    Refused
        It has spaces or signs that mean something there.
    """
    if not _PLAIN.fullmatch(str(path)):
        why = "HTCondor takes no path with spaces, quotes, colons, commas and the like"
        raise Refused(f"the directory {path}", why, "use another, or set PPI_HOME")


def _place(home: Path) -> Path:
    """Return where what we want is installed: elsewhere it would be of other packages, or would not run."""
    wanted = " ".join((*packages.WANTED, str(home.absolute())))
    return home.absolute() / sha256(wanted.encode()).hexdigest()[:12]


def _install(place: Path, on_progress: Progress) -> None:
    """Install into a folder of its own; we are the only one, so that what others left is of no use."""
    for left in place.parent.glob(f"{_DRAFT}*"):
        shutil.rmtree(left)
    draft = Path(mkdtemp(prefix=_DRAFT, dir=place.parent))
    try:
        draft.chmod(0o755)
        _fill(draft, place, on_progress)
        disk.settle(draft, place)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _fill(draft: Path, place: Path, on_progress: Progress) -> None:
    def tell(step: str) -> None:
        on_progress(step, _STEPS.index(step), len(_STEPS))

    scratch = draft / "apt"
    tell("fetching")
    packages.fetch(scratch)
    tell("unpacking")
    names = packages.unpack(scratch, draft)
    tell("relocating")
    relocate(draft, place)
    shutil.rmtree(scratch)
    tell("settling")
    disk.write_whole(draft / _MARKER, json.dumps(names, indent=1).encode())

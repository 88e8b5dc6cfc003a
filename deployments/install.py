"""Install a profile: a directory of its own with PPI, its locked dependencies, and the profile's name.

The marker, which names the profile, is written last: what has none is never taken for an installation. A virtual
environment cannot be exchanged under the programs that run from it, so one that is whole is left as it is.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from blocks.installation import MARKER, installed_profile
from blocks.profile import Profile
from deployments import activation
from deployments.virtual_environment import CHECKOUT, LOCKS, create, fill, run
from tasks import disk
from tasks.errors import Failed, Refused, Transient

__all__ = ["Built", "Installed", "build", "install"]

_UNFINISHED = ".unfinished"
"""Names the profile of an installation that is not whole, and is locked for as long as one works on it."""
_RECORD = "share/ppi/installation.json"
_SOURCES = (
    "LICENSE",
    "README.md",
    "pyproject.toml",
    "prefect.yaml",
    "blocks",
    "cli",
    "deployments",
    "flows",
    "tasks",
)
_SPACE = 4 * 10**9
"""What the download and the environment take together, with some to spare."""


@dataclass(frozen=True)
class Installed:
    """An installation that is whole.

    Parameters
    ----------
    profile, prefix
        Whose it is, and where.
    version, content
        PPI's version, and a checksum of its sources and locks.
    anew
        Whether it was made just now; otherwise it was there.
    """

    profile: str
    prefix: Path
    version: str
    content: str
    anew: bool


@dataclass(frozen=True)
class Built:
    """PPI as a wheel.

    Parameters
    ----------
    wheel
        The file.
    version, content
        As in `Installed`.
    """

    wheel: Path
    version: str
    content: str


def install(profile: Profile, prefix: Path, tell: Callable[[str], None] = lambda step: None) -> Installed:
    """Make an installation of a profile, unless the same one is there.

    Parameters
    ----------
    profile
        Whose it shall be.
    prefix
        The directory: empty, not there, an installation of this profile, or the leftovers of a killed one.
    tell
        Called with what is done next.

    Raises
    ------
    Refused
        This PPI is no checkout; the directory cannot be one, is something else's, another profile's, or has an
        installation of other sources or dependencies.
    Transient
        Somebody else makes it just now.
    Failed
        A step went wrong; the next call does it anew.
    """
    place = Path(os.path.abspath(prefix))  # noqa: PTH100 - takes ".." out, and leaves links as they are
    _require_checkout()
    _require_usable(place, profile.name)
    with tempfile.TemporaryDirectory() as folder:
        tell("building PPI")
        built = build(Path(folder))
        anew = installed_profile(place) is None and _make(profile, place, built, tell)
    _require_same(place, profile.name, built)
    activation.write(place, profile)
    return Installed(profile.name, place, built.version, built.content, anew)


def _require_checkout() -> None:
    missing = [name for name in (*_SOURCES, *(lock.name for lock in LOCKS)) if not (CHECKOUT / name).exists()]
    if missing:
        why = f"PPI in {CHECKOUT} is no checkout: {', '.join(missing)} not there"
        todo = "in a checkout: make setup, then .venv/bin/ppi install …"
        raise Refused("an installation can be made from a checkout only", why, todo)


def _require_usable(place: Path, name: str) -> None:
    """Refuse a directory whose content is not ours to replace, or that no PATH could name."""
    if ":" in str(place) or not str(place).isprintable():
        raise Refused(f"installing in {place}", "PATH cannot hold that name", "give another --prefix")
    owner = installed_profile(place) or _unfinished(place)
    if owner is None:
        _require_empty(place)
    elif owner != name:
        why = f"that directory is of profile {owner}, and this is {name}"
        raise Refused(f"installing in {place}", why, f"give {name} a directory of its own")


def _require_empty(place: Path) -> None:
    if place.exists() and not (place.is_dir() and {each.name for each in place.iterdir()} <= {_UNFINISHED}):
        raise Refused(f"installing in {place}", "there is something else", "give an empty or new directory")
    there = next(folder for folder in (place, *place.parents) if folder.exists())
    if (free := shutil.disk_usage(there).free) < _SPACE:
        why = f"{free / 1e9:.1f} GB are free, and {_SPACE / 1e9:.0f} GB are needed"
        raise Refused(f"installing in {place}", why, "free some space, or give another --prefix")


def _unfinished(place: Path) -> str | None:
    sign = place / _UNFINISHED
    return sign.read_text() or None if sign.is_file() else None


def build(folder: Path) -> Built:
    """Build PPI's wheel in a folder, from a copy there, since builds leave traces that later ones would take up.

    Raises
    ------
    Failed
        It could not be built.
    """
    copy = folder / "sources"
    copy.mkdir()
    for source in (CHECKOUT / name for name in _SOURCES):
        if source.is_dir():
            shutil.copytree(source, copy / source.name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy)
    options = ("--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder))
    run(Path(sys.executable), "-m", "pip", "wheel", *options, str(copy))
    (wheel,) = folder.glob("*.whl")
    return Built(wheel, wheel.name.split("-")[1], _content(wheel))


def _content(wheel: Path) -> str:
    """Return a checksum of all that decides what an installation does: PPI's files and the locks."""
    with zipfile.ZipFile(wheel) as archive:
        (record,) = (name for name in archive.namelist() if name.endswith(".dist-info/RECORD"))
        lines = archive.read(record).splitlines()
    files = sorted(line for line in lines if b".dist-info/" not in line)
    return hashlib.sha256(b"\n".join((*files, *(lock.read_bytes() for lock in LOCKS)))).hexdigest()


def _make(profile: Profile, place: Path, built: Built, tell: Callable[[str], None]) -> bool:
    """Make the installation, and nothing if somebody else just did; return whether it was made."""
    with _claimed(place, profile.name):
        if installed_profile(place):
            return False
        _clear(place)
        tell("making a virtual environment")
        create(place)
        activation.write(place, profile)
        fill(place, str(built.wheel), tell=lambda what: tell(f"installing {what}"))
        record = {"version": built.version, "content": built.content}
        (place / _RECORD).write_text(json.dumps(record))
        _bring_to_disk(place)
        disk.write_whole(place / MARKER, f"{profile.name}\n".encode())
        (place / _UNFINISHED).unlink()
    return True


@contextmanager
def _claimed(place: Path, name: str) -> Iterator[None]:
    """Hold the directory; so do the children that work in it, also when this process is killed."""
    place.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        try:
            descriptor = stack.enter_context(disk.locked(place / _UNFINISHED, wait=False))
        except BlockingIOError as error:
            raise Transient(f"installing in {place}", "another process does it", "wait for its end") from error
        os.set_inheritable(descriptor, True)
        os.pwrite(descriptor, name.encode(), 0)
        yield


def _clear(place: Path) -> None:
    """Remove what a killed installation left."""
    for leftover in place.iterdir():
        if leftover.name == _UNFINISHED:
            continue
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover)
        else:
            leftover.unlink()


def _bring_to_disk(place: Path) -> None:
    """Bring its whole file system to disk: one file after the other, so many take half a minute and more."""
    done = subprocess.run(["sync", "--file-system", str(place)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"installing in {place}", done.stderr.strip(), "check that disk, then run again")


def _require_same(place: Path, name: str, built: Built) -> None:
    """Refuse to call another PPI the one that was asked for."""
    owner, record = installed_profile(place), _record(place)
    if (owner, record.get("content")) == (name, built.content):
        return
    version = record.get("version", "of an unknown version")
    why = f"PPI {version} is there for {owner}, of other sources or dependencies than this checkout's"
    todo = f"when nothing runs from it, {shlex.join(['mv', str(place), f'{place}.old'])}, then run again"
    raise Refused(f"installing {name} in {place}", why, todo)


def _record(place: Path) -> dict[str, str]:
    """Return what an installation says of itself, which is nothing where that was damaged."""
    try:
        record = json.loads((place / _RECORD).read_bytes())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}

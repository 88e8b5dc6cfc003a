"""Installing a profile: what is refused, what is made anew, and that nothing half-made is taken for whole.

pip is replaced by a stand-in that writes what pip would; `tests/system/test_system_install.py` has the real one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from blocks.installation import MARKER, installed_profile
from blocks.profile import Profile
from deployments import install as module
from deployments import resource, virtual_environment
from deployments.install import Installed, build, install
from tasks import disk
from tasks.errors import Failed, Refused, Transient

ROOT = Path(__file__).parents[2]


@dataclass
class Pip:
    """Writes a wheel of one file, and an environment of one program.

    Parameters
    ----------
    source
        What the wheel is built of.
    interrupted
        Called when the environment is half made.
    meanwhile
        Called when the wheel is built.
    made
        How often it was.
    """

    source: str = "a"
    interrupted: Callable[[Path], None] = lambda place: None
    meanwhile: Callable[[], object] = lambda: None
    made: list[Path] = field(default_factory=list)

    def run(self, _python: Path, *arguments: str) -> None:
        folder = Path(arguments[arguments.index("--wheel-dir") + 1])
        with zipfile.ZipFile(folder / "ppi-1.2.3-py3-none-any.whl", "w") as archive:
            archive.writestr(
                "ppi-1.2.3.dist-info/RECORD", f"cli/main.py,{self.source},1\nppi-1.2.3.dist-info/METADATA,b,2\n"
            )
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()

    def create(self, place: Path) -> None:
        (place / "bin").mkdir()
        for name in ("activate", "activate.csh", "Activate.ps1"):
            (place / "bin" / name).write_text("echo stock")

    def fill(self, place: Path, *_package: str, tell: Callable[[str], None]) -> None:
        tell("something")
        assert installed_profile(place) is None
        assert "stock" not in (place / "bin" / "activate").read_text()
        self.made.append(place)
        self.interrupted(place)
        (place / "bin" / "ppi").write_text(self.source)


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> Pip:
    stand_in = Pip()
    for name in ("run", "create", "fill"):
        monkeypatch.setattr(module, name, getattr(stand_in, name))
    return stand_in


@pytest.fixture
def make_profile(tmp_path: Path) -> Callable[..., Profile]:
    def make(name: str = "dsoc-test", **properties: str) -> Profile:
        given = {
            "processing.rootDirectory": "/area",
            "metadata.url": "sqlite:////alma.db",
            "ngas.servers": "ngas:7777",
        } | {key.replace("_", "."): value for key, value in properties.items()}
        capo = tmp_path / "capo"
        capo.mkdir(exist_ok=True)
        lines = (f"ppi.{key} = {value}\n" for key, value in given.items())
        (capo / f"{name}.properties").write_text("".join(lines))
        return Profile.load(name, str(capo))

    return make


MakeProfile = Callable[..., Profile]


def contents(place: Path) -> dict[str, bytes]:
    return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}


@pytest.mark.parametrize("already", [False, True])
def test_an_installation_knows_its_profile(
    already: bool, pip: Pip, make_profile: MakeProfile, tmp_path: Path
) -> None:
    place, told = tmp_path / "there" / "dsoc-test", list[str]()
    if already:
        place.mkdir(parents=True)
    done = install(make_profile(), place, told.append)
    assert (done.profile, done.prefix, done.version, done.anew) == ("dsoc-test", place, "1.2.3", True)
    assert installed_profile(place) == "dsoc-test"
    assert {path.name for path in (place / "bin").iterdir()} == {"activate", "ppi"}
    assert told == ["building PPI", "making a virtual environment", "installing something"]


def test_the_same_again_changes_nothing(pip: Pip, make_profile: MakeProfile, tmp_path: Path) -> None:
    done = install(make_profile(), tmp_path / "a")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "a").rglob("*")}
    again = install(make_profile(), tmp_path / "x" / ".." / "a")
    assert again == Installed(done.profile, done.prefix, done.version, done.content, anew=False)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "a").rglob("*")} == before
    assert len(pip.made) == 1


def test_another_prefect_server_is_taken_over(pip: Pip, make_profile: MakeProfile, tmp_path: Path) -> None:
    install(make_profile(), tmp_path / "a")
    install(make_profile(prefect_apiUrl="http://other:4200/api"), tmp_path / "a")
    assert "http://other:4200/api" in (tmp_path / "a/share/ppi/profiles.toml").read_text()
    assert len(pip.made) == 1


def test_no_secret_is_installed(pip: Pip, make_profile: MakeProfile, tmp_path: Path) -> None:
    secrets = {"prefect_username": "us3r", "prefect_password": "s3cr3t", "metadata_password": "s3cr3t"}
    install(make_profile(prefect_apiUrl="http://a:4200/api", **secrets), tmp_path / "a")
    assert [name for name, content in contents(tmp_path / "a").items() if b"s3cr3t" in content] == []


def test_other_sources_are_another_installation(pip: Pip, make_profile: MakeProfile, tmp_path: Path) -> None:
    install(make_profile(), tmp_path / "a")
    before = contents(tmp_path / "a")
    pip.source = "changed"
    with pytest.raises(Refused, match=r"other sources or dependencies.*Next: when nothing runs from it, mv "):
        install(make_profile(), tmp_path / "a")
    assert contents(tmp_path / "a") == before


@pytest.mark.parametrize("record", [b"", b"[]", b"\xff", None])
def test_an_installation_whose_record_is_damaged_is_not_called_the_same(
    record: bytes | None, pip: Pip, make_profile: MakeProfile, tmp_path: Path
) -> None:
    install(make_profile(), tmp_path / "a")
    path = tmp_path / "a/share/ppi/installation.json"
    path.unlink() if record is None else path.write_bytes(record)
    with pytest.raises(Refused, match=r"PPI of an unknown version is there.*Next: when nothing runs from it, mv "):
        install(make_profile(), tmp_path / "a")


def test_another_profile_needs_another_directory(pip: Pip, make_profile: MakeProfile, tmp_path: Path) -> None:
    install(make_profile(), tmp_path / "a")
    before = contents(tmp_path / "a")
    with pytest.raises(Refused, match="is of profile dsoc-test, and this is naasc-test"):
        install(make_profile("naasc-test"), tmp_path / "a")
    assert contents(tmp_path / "a") == before


@pytest.mark.parametrize("name", ["a file", "a folder", "a home"])
def test_what_is_something_else_is_left_alone(
    name: str, pip: Pip, make_profile: MakeProfile, tmp_path: Path
) -> None:
    place = tmp_path / name
    if name == "a file":
        place.write_text("precious")
    else:
        (place / "share").mkdir(parents=True)
    with pytest.raises(Refused, match="there is something else"):
        install(make_profile(), place)
    assert pip.made == []


@pytest.mark.parametrize("name", ["a:b", "a\nb"])
def test_a_directory_that_no_path_could_name_is_refused(
    name: str, pip: Pip, make_profile: MakeProfile, tmp_path: Path
) -> None:
    with pytest.raises(Refused, match="PATH cannot hold that name"):
        install(make_profile(), tmp_path / name)
    assert not (tmp_path / name).exists()


def test_a_full_disk_is_told_before(
    pip: Pip, make_profile: MakeProfile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage: Any = type("Usage", (), {"free": 10**9})
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(Refused, match=r"1\.0 GB are free, and 4 GB are needed"):
        install(make_profile(), tmp_path / "a" / "b")
    assert not (tmp_path / "a").exists()


def test_only_a_checkout_can_install(
    pip: Pip, make_profile: MakeProfile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHECKOUT", tmp_path)
    with pytest.raises(Refused, match=r"is no checkout: .*Next: in a checkout"):
        install(make_profile(), tmp_path / "a")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Failed("pip", "it exited with 1")])
def test_what_was_interrupted_is_made_anew(
    error: BaseException, pip: Pip, make_profile: MakeProfile, tmp_path: Path
) -> None:
    def stop(place: Path) -> None:
        (place / "leftover").mkdir()
        (place / "leftover" / "link").symlink_to(tmp_path)
        raise error

    place = tmp_path / "a"
    pip.interrupted = stop
    with pytest.raises(type(error)):
        install(make_profile(), place)
    assert installed_profile(place) is None
    with pytest.raises(Refused, match="is of profile dsoc-test, and this is naasc-test"):
        install(make_profile("naasc-test"), place)
    pip.interrupted = lambda place: None
    assert install(make_profile(), place).anew
    assert installed_profile(place) == "dsoc-test"
    assert not (place / "leftover").exists()
    assert [path.name for path in place.iterdir() if path.name.startswith(".")] == []


def test_what_was_killed_before_it_said_whose_it_is_is_made_anew(
    pip: Pip, make_profile: MakeProfile, tmp_path: Path
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / ".unfinished").touch()
    assert install(make_profile(), tmp_path / "a").anew


def test_what_may_not_have_come_to_disk_is_no_installation(
    pip: Pip, make_profile: MakeProfile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "sync").write_text("#!/bin/sh\necho 'Input/output error' >&2; exit 1\n")
    (programs / "sync").chmod(0o755)
    with monkeypatch.context() as patched:
        patched.setenv("PATH", f"{programs}:{os.environ['PATH']}")
        with pytest.raises(Failed, match=r"Input/output error\. Next: check that disk"):
            install(make_profile(), tmp_path / "a")
    assert installed_profile(tmp_path / "a") is None
    assert install(make_profile(), tmp_path / "a").anew


def test_two_profiles_at_once_leave_the_first_alone(pip: Pip, make_profile: MakeProfile, tmp_path: Path) -> None:
    pip.meanwhile = lambda: install(make_profile(), tmp_path / "a")
    with pytest.raises(Refused, match="is there for dsoc-test"):
        install(make_profile("naasc-test"), tmp_path / "a")
    assert installed_profile(tmp_path / "a") == "dsoc-test"
    assert not (tmp_path / "a" / ".unfinished").exists()


def test_two_at_once_are_one(pip: Pip, make_profile: MakeProfile, tmp_path: Path) -> None:
    def another(place: Path) -> None:
        pip.interrupted = lambda place: None
        with pytest.raises(Transient, match="another process does it"):
            install(make_profile(), place)

    pip.interrupted = another
    assert install(make_profile(), tmp_path / "a").anew


def test_a_child_that_works_on_holds_the_directory(pip: Pip, make_profile: MakeProfile, tmp_path: Path) -> None:
    children = list[subprocess.Popen[bytes]]()

    def killed(place: Path) -> None:
        children.append(subprocess.Popen(["sleep", "60"], close_fds=False))
        raise Failed("as if it were killed")

    pip.interrupted = killed
    with pytest.raises(Failed):
        install(make_profile(), tmp_path / "a")
    pip.interrupted = lambda place: None
    (child,) = children
    try:
        assert disk.is_locked(tmp_path / "a" / ".unfinished")
        with pytest.raises(Transient):
            install(make_profile(), tmp_path / "a")
    finally:
        child.kill()
        child.wait()
    assert install(make_profile(), tmp_path / "a").anew


def test_the_record_says_what_is_installed(pip: Pip, make_profile: MakeProfile, tmp_path: Path) -> None:
    done = install(make_profile(), tmp_path / "a")
    record = json.loads((tmp_path / "a/share/ppi/installation.json").read_bytes())
    assert record == {"version": done.version, "content": done.content}
    assert (tmp_path / "a" / MARKER).read_text() == "dsoc-test\n"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    """PPI's own wheel, as an installation gets it."""
    folder = tmp_path_factory.mktemp("wheel")
    with zipfile.ZipFile(build(folder).wheel) as archive:
        yield archive


def test_the_wheel_has_all_that_the_rooms_have(wheel: zipfile.ZipFile) -> None:
    ours = {
        path.relative_to(ROOT).as_posix(): path.read_bytes()
        for room in ("blocks", "cli", "deployments", "flows", "tasks")
        for path in (ROOT / room).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    installed = {name: wheel.read(name) for name in wheel.namelist() if ".dist-info/" not in name}
    assert sorted(installed) == sorted(ours)
    assert installed == ours
    assert installed["deployments/prefect.yaml"] == (ROOT / "prefect.yaml").read_bytes()


def test_what_is_shipped_is_found(tmp_path: Path) -> None:
    assert resource("prefect.yaml").read_bytes() == (ROOT / "prefect.yaml").read_bytes()
    assert resource("capo").is_dir()


def test_the_steps_need_the_standard_library_only() -> None:
    code = "import sys, deployments.virtual_environment; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    foreign = {name.partition(".")[0] for name in done.stdout.split()} - sys.stdlib_module_names
    assert foreign <= {"deployments", "tasks", "__main__"}


def test_another_python_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual_environment, "_PYTHON", (3, 7))
    with pytest.raises(Refused, match=r"PPI needs Python 3\.7, and this is 3\."):
        virtual_environment.create(tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_the_end_of_what_a_failure_said_is_told() -> None:
    code = "import sys; print(*range(99), sep='\\n', file=sys.stderr); sys.exit(7)"
    with pytest.raises(Failed, match=r"it exited with 7\n  94\n  95\n  96\n  97\n  98\. Next: mend that"):
        virtual_environment.run(Path(sys.executable), "-c", code)


def test_a_childs_python_takes_nothing_from_the_callers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "site.py").write_text("raise SystemExit(3)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    virtual_environment.run(Path(sys.executable), "-c", f"import os; assert os.getpid() != {os.getpid()}")

"""A real installation, killed once and then made: it knows its profile, and refuses to work for another."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from environments import MOUS, Environment, MakeEnvironment

from blocks.installation import MARKER

ROOT = Path(__file__).parents[2]
SECONDS = 600
pytestmark = pytest.mark.timeout(2 * SECONDS)
CAPO = """\
ppi.profile.environment = test
ppi.processing.rootDirectory = {area}
ppi.metadata.url = sqlite:////alma.db
ppi.ngas.servers = 127.0.0.1:1
ppi.prefect.apiUrl = http://127.0.0.1:1/api
"""


def bare(capo: Path) -> dict[str, str]:
    """An environment that says nothing about PPI but where its profiles are.

    pip leaves out compiling: half a minute, for modules of which few are used here.
    """
    pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_")} | {"PIP_COMPILE": "0"}
    return {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "CAPO_PATH": str(capo), **pip}


def command(prefix: Path) -> list[str]:
    return [sys.executable, "-m", "cli", "install", "dsoc-test", "--prefix", str(prefix), "--json"]


def killed(prefix: Path, variables: dict[str, str]) -> list[psutil.Process]:
    """Kill an installation while pip works for it; return what goes on working."""
    running = subprocess.Popen(
        command(prefix), cwd=ROOT, env=variables, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    assert running.stderr
    for line in running.stderr:
        if "locked dependencies" in line:
            break
    time.sleep(2)
    children = psutil.Process(running.pid).children(recursive=True)
    running.send_signal(signal.SIGKILL)
    running.wait()
    running.stderr.close()
    return children


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation of dsoc-test, which was killed once on the way."""
    folder = tmp_path_factory.mktemp("install")
    place, capo = folder / "in stalled" / "dsoc-test", folder / "capo"
    capo.mkdir()
    (capo / "dsoc-test.properties").write_text(CAPO.format(area=folder / "area"))
    children = killed(place, bare(capo))
    try:
        meanwhile = subprocess.run(
            command(place), cwd=ROOT, env=bare(capo), capture_output=True, text=True, check=False
        )
        assert (meanwhile.returncode, "another process does it" in meanwhile.stderr) == (5, True), meanwhile.stderr
    finally:
        for child in children:
            child.kill()
        psutil.wait_procs(children, 30)
    assert not (place / MARKER).exists()
    half = subprocess.run(["bash", "-c", f". '{place}/bin/activate'"], capture_output=True, text=True, check=False)
    assert (half.returncode, "is not whole" in half.stderr) == (1, True)
    made = subprocess.run(
        command(place), cwd=ROOT, env=bare(capo), capture_output=True, text=True, check=False, timeout=SECONDS
    )
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["anew"] is True
    again = subprocess.run(command(place), cwd=ROOT, env=bare(capo), capture_output=True, text=True, check=True)
    assert json.loads(again.stdout) == json.loads(made.stdout) | {"anew": False}
    return place


def test_an_installation_stands_on_its_own(prefix: Path) -> None:
    code = "import cli.main, deployments as d; print(cli.main.__file__, d.resource('prefect.yaml').is_file())"
    done = subprocess.run(
        [prefix / "bin" / "python", "-c", code], cwd="/", env={}, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(f"{prefix}/lib/python3.11/site-packages/cli/main.py True")
    dependencies = subprocess.run(
        [prefix / "bin" / "python", "-m", "pip", "check"], capture_output=True, text=True, check=False
    )
    assert dependencies.returncode == 0, dependencies.stdout


def ppi(prefix: Path, environment: Environment, *arguments: str) -> subprocess.CompletedProcess[str]:
    variables = {name: value for name, value in environment.variables.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [prefix / "bin" / "ppi", *arguments], env=variables, capture_output=True, text=True, check=False, cwd="/"
    )


def test_its_tools_guess_their_profile(prefix: Path, make_environment: MakeEnvironment) -> None:
    environment = make_environment("dsoc-test")
    done = ppi(prefix, environment, "plan", MOUS, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["observation"] == MOUS


def test_it_restores_for_no_other_profile(prefix: Path, make_environment: MakeEnvironment) -> None:
    environment = make_environment("naasc-test")
    done = ppi(prefix, environment, "restore", MOUS, "-P", "naasc-test")
    assert done.returncode == 3, done.stderr
    assert "dsoc-test" in done.stderr
    assert "naasc-test" in done.stderr
    assert not environment.destination.exists()
    assert environment.retrieved() == []


@pytest.mark.parametrize("shell", [["bash", "--norc", "-c"], ["zsh", "-f", "-c"]])
def test_an_activated_shell_has_its_own_prefect(shell: list[str], prefix: Path, tmp_path: Path) -> None:
    script = f". '{prefix}/share/ppi/profiles.sh'; activate_profile dsoc-test; command -v ppi; prefect config view"
    variables = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    done = subprocess.run([*shell, script], env=variables, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[0] == str(prefix / "bin" / "ppi")
    assert "PREFECT_PROFILE='dsoc-test'" in done.stdout
    assert "PREFECT_API_URL='http://127.0.0.1:1/api' (from profile)" in done.stdout


def test_an_installation_installs_nothing(prefix: Path, tmp_path: Path) -> None:
    capo = prefix.parents[1] / "capo"
    done = subprocess.run(
        [prefix / "bin" / "ppi", "install", "dsoc-test", "--prefix", str(tmp_path / "a")],
        env=bare(capo),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "is no checkout" in done.stderr) == (3, True), done.stderr

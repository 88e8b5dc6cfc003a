"""Mixing environments, in every way that a person could: each is refused at a run's start, with all names."""

from __future__ import annotations

import json
import os
import site
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from environments import MOUS, Environment
from serving import Runs, worker

from blocks.installation import MARKER
from tasks.errors import Refused

ROOT = Path(__file__).parents[2]
NO_MOUS = "no-observation"
PASSED = f"{NO_MOUS!r} is"
"""How a run ends that was let in: what it was given is not the name of an observation."""
ROOMS = ("blocks", "cli", "deployments", "flows", "tasks")


@dataclass(frozen=True)
class Observatory:
    """Some environments on one Prefect server, with a worker each, of which some are wrong."""

    folder: Path
    api: str

    @property
    def runs(self) -> Runs:
        return Runs(self.api)

    def environment(self, name: str) -> Environment:
        return Environment(name, self.folder / "capo", self.folder / name, self.folder / "no-archive")

    def write(self, name: str, environment: str, **properties: str) -> Environment:
        made = self.environment(name)
        lines = {
            "ppi.profile.site": "MIX",
            "ppi.profile.environment": environment,
            "ppi.prefect.apiUrl": self.api,
            "ppi.processing.rootDirectory": str(made.area),
            "ppi.metadata.url": f"sqlite:///{self.folder / 'nowhere.db'}",
            "ppi.ngas.servers": "127.0.0.1:9",
        } | {f"ppi.{key.replace('_', '.')}": value for key, value in properties.items()}
        made.capo.mkdir(exist_ok=True)
        text = "".join(f"{key} = {value}\n" for key, value in lines.items())
        (made.capo / f"{name}.properties").write_text(text)
        return made

    def deploy(self, name: str) -> None:
        done = self.environment(name).ppi("deploy")
        assert done.returncode == 0, done.stderr

    def edit(self, name: str, **parts: object) -> None:
        """Edit a deployment, as anybody may who reaches the server."""
        self.runs.ask("PATCH", f"deployments/{self.runs.deployment(name)['id']}", **parts)

    def start(self, name: str = "restore-ous/mix-test", **given: object) -> str:
        return self.runs.start(name, **{"mous": NO_MOUS, **given})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory, prefect_api: str) -> Iterator[Observatory]:
    """`mix-test` is as it should be; the worker of `mix-test` also takes the runs of `mix-lent`."""
    made = Observatory(tmp_path_factory.mktemp("mixed"), prefect_api)
    for name, environment in {
        "mix-test": "test", "mix-lent": "test", "mix-bare": "test", "vlass.mix": "test", "vlass.far": "prod",
    }.items():  # fmt: skip
        made.write(name, environment)
        made.deploy(name)
    with ExitStack() as workers:
        own = made.environment("mix-test")
        workers.enter_context(worker(own, prefect_api))
        workers.enter_context(worker(own, prefect_api, pool="mix-lent"))
        workers.enter_context(worker(made.environment("mix-bare"), prefect_api, CAPO_PROFILE=None))
        yield made


def test_what_is_of_one_profile_is_let_in_and_what_is_not_is_refused_with_all_names(mixed: Observatory) -> None:
    own, flow = mixed.runs.deployment("restore-ous/mix-test"), "restore-ous/mix-test"
    mixed.runs.ask(
        "POST", "deployments/", **{part: own[part] for part in ("flow_id", "entrypoint", "work_pool_name")},
        name="mine", parameters={"profile": "mix-test"},
    )  # fmt: skip
    let_in = [mixed.start(), mixed.start(profile="vlass.mix")]
    refused = {
        "the deployment is mix-test": mixed.start(profile="vlass.far"),
        "the deployment is mix-test; the worker is of mix-test": mixed.start(profile="mix-lent"),
        "the deployment is mine": mixed.start("restore-ous/mine"),
        "the worker is of mix-test": mixed.start("restore-ous/mix-lent"),
        "its process is given what its profile does not know: env.CAPO_PROFILE": mixed.start(
            flow, job_variables={"env": {"CAPO_PROFILE": "mix-test"}}
        ),
        "its process is given what its profile does not know: working_dir": mixed.start(
            flow, job_variables={"working_dir": str(mixed.folder)}
        ),
    }
    bare = mixed.start("restore-ous/mix-bare")
    for run in (*let_in, bare):
        assert PASSED in mixed.runs.message(run)
    assert "ppi serve worker -P mix-bare" in mixed.runs.logged(bare, "names no profile")
    for reason, run in refused.items():
        message = mixed.runs.message(run)
        assert message.startswith("Flow run encountered an exception: Refused: restore-ous with profile "), message
        assert f": {reason}" in message
        for what in ("profile", "installation", "deployment", "worker", "work pool", "server", "blocks"):
            assert f"{what} " in message.partition("(")[2], what
        assert "Next: " in message
    assert not (mixed.folder / "mix-test").exists()


def test_an_edited_deployment_is_refused_until_it_is_deployed_again(mixed: Observatory) -> None:
    name = "restore-ous/mix-test"
    mixed.edit(name, parameters={"profile": "mix-lent"})
    parameter = mixed.start()
    mixed.edit(name, parameters={"profile": "mix-test"}, work_pool_name="mix-lent")
    pool = mixed.start()
    assert "the deployment is mix-test; the worker is of mix-test" in mixed.runs.message(parameter)
    assert "the work pool is mix-lent, not mix-test" in mixed.runs.message(pool)
    mixed.edit(name, work_pool_name="mix-test", pull_steps=[
        {"prefect.deployments.steps.set_working_directory": {"directory": str(mixed.folder)}}
    ], job_variables={"env": {"CAPO_PATH": "/elsewhere"}})  # fmt: skip
    for variables in ({}, {"env": {}}):
        run = mixed.start(job_variables=variables)
        assert "does not know: env.CAPO_PATH, pull steps" in mixed.runs.message(run)
    file = ROOT / "flows" / "restore_ous.py"
    mixed.edit(name, pull_steps=[], job_variables={}, entrypoint=f"{file}:restore_ous")
    assert "does not know: the file of its entry point" in mixed.runs.message(mixed.start())
    mixed.deploy("mix-test")
    assert PASSED in mixed.runs.message(mixed.start())


def test_an_edited_work_pool_is_refused_until_it_is_deployed_again(mixed: Observatory) -> None:
    template = mixed.runs.ask("GET", "work_pools/mix-test")["base_job_template"]
    template["variables"]["properties"]["env"]["default"] = {"CAPO_PROFILE": "mix-lent"}
    mixed.runs.ask("PATCH", "work_pools/mix-test", base_job_template=template)
    assert "does not know: env of the work pool" in mixed.runs.message(mixed.start())
    mixed.deploy("mix-test")
    assert PASSED in mixed.runs.message(mixed.start())


def test_blocks_older_than_the_properties_files_are_flagged_or_refused(mixed: Observatory) -> None:
    mixed.write("mix-test", "test", ngas_timeoutSeconds="7", ngas_password="planted-secret")
    run = mixed.start()
    assert PASSED in mixed.runs.message(run)
    flagged = mixed.runs.logged(run, "differ from them")
    assert "ppi.ngas.password, ppi.ngas.timeoutSeconds. Next: ppi deploy mix-test" in flagged
    assert "planted-secret" not in json.dumps(mixed.runs.log(run))

    mixed.write("mix-test", "test", processing_rootDirectory=str(mixed.folder / "moved"))
    message = mixed.runs.message(mixed.start())
    assert "Refused: the blocks of profile mix-test" in message
    assert "differ from them in ppi.processing.rootDirectory, ppi.processing.storeDirectory. Next: " in message

    (mixed.folder / "capo" / "mix-test.properties").write_text("ppi.ngas.servers\n")
    run = mixed.start()
    assert PASSED in mixed.runs.message(run)
    assert mixed.runs.logged(run, "cannot be compared with the blocks")
    mixed.write("mix-test", "test")


def test_blocks_of_another_profile_are_refused(mixed: Observatory) -> None:
    def block(name: str) -> dict[str, str]:
        path = f"block_types/slug/ppi-profile/block_documents/name/{name}?include_secrets=true"
        found: dict[str, str] = mixed.runs.ask("GET", path)
        return found

    own, another = block("mix-test"), block("mix-lent")
    mixed.runs.ask("PATCH", f"block_documents/{own['id']}", data=another["data"], merge_existing_data=False)
    message = mixed.runs.message(mixed.start())
    assert "'mix-lent', not 'mix-test'" in message
    mixed.runs.ask("DELETE", f"block_documents/{own['id']}")
    assert "Next: ppi deploy mix-test" in mixed.runs.message(mixed.start())
    mixed.deploy("mix-test")


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation of `mix-test`: its own software, with this one's libraries."""
    prefix = tmp_path_factory.mktemp("installed") / "mix-test"
    venv.create(prefix, symlinks=True)
    (packages,) = prefix.glob("lib/python*/site-packages")
    (packages / "libraries.pth").write_text("\n".join(site.getsitepackages()))
    for room in ROOMS:
        (packages / room).symlink_to(ROOT / room)
    (prefix / MARKER).parent.mkdir(parents=True)
    (prefix / MARKER).write_text("mix-test\n")
    return prefix


def _installed(prefix: Path, mixed: Observatory, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    variables = mixed.environment("mix-test").variables | {"PYTHONPATH": ""} | more
    command = [str(prefix / "bin" / "python"), "-m", "cli", *arguments]
    return subprocess.run(
        command, env=variables, cwd=mixed.folder, capture_output=True, text=True, timeout=300, check=False
    )


def test_an_installation_does_no_work_of_another_profile(mixed: Observatory, installation: Path) -> None:
    for arguments in (["restore", MOUS], ["deploy"]):
        refused = _installed(installation, mixed, *arguments, "-P", "mix-lent")
        assert refused.returncode == Refused.exit_code, refused.stderr
        assert "the installation is for mix-test (profile mix-lent, installation mix-test" in refused.stderr
    assert not (mixed.folder / "mix-lent").exists()
    assert _installed(installation, mixed, "deploy").returncode == 0

    lent = _installed(installation, mixed, "restore", NO_MOUS, "-P", "vlass.mix")
    assert PASSED in lent.stderr
    far = _installed(installation, mixed, "restore", NO_MOUS, "-P", "vlass.far")
    assert "the installation is for mix-test" in far.stderr
    assert _installed(installation, mixed, "deploy", "vlass.mix").returncode == Refused.exit_code

    foreign = _installed(installation, mixed, "restore", NO_MOUS, PYTHONPATH=str(ROOT))
    assert f"the software is that in {ROOT}, and not the installation's" in foreign.stderr


def test_a_worker_of_another_installation_is_refused(mixed: Observatory, installation: Path) -> None:
    environment, python = mixed.write("mix-else", "test"), str(installation / "bin" / "python")
    mixed.deploy("mix-else")
    with worker(environment, mixed.api, python=python, PYTHONPATH=None):
        message = mixed.runs.message(mixed.start("restore-ous/mix-else"))
    assert "the installation is for mix-test" in message


def test_records_never_go_to_another_server(mixed: Observatory) -> None:
    code = f"from flows.restore_ous import restore_ous; restore_ous({NO_MOUS!r}, 'mix-test')"
    another = mixed.api.replace("127.0.0.1", "localhost")
    variables = mixed.environment("mix-test").variables | {"PREFECT_API_URL": another, "DO_NOT_TRACK": "1"}
    refused = subprocess.run(
        [sys.executable, "-c", code], env=variables, capture_output=True, text=True, timeout=120, check=False
    )
    assert f"the Prefect server is {another}, not {mixed.api}" in refused.stderr
    assert os.fspath(mixed.folder / "mix-test") not in refused.stderr

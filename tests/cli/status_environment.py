"""An environment for `ppi status`: its area, its catalog, its crews, and a pool that says what a test wants."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from click.testing import Result
from typer.testing import CliRunner

from cli.main import app
from tasks.alma.ids import EntityId
from tasks.catalog.catalog import Catalog
from tasks.catalog.connection import Database
from tasks.catalog.model import Execution, Record, Stage
from tasks.cluster.board import Board, Entry, write
from tasks.cluster.tag import Owner, Tag
from tasks.workspace.layout import Area, Tree

PROFILE = """\
ppi.processing.rootDirectory = {area}
ppi.metadata.url = sqlite:////nowhere
ppi.ngas.servers = one:7777
ppi.prefect.apiUrl = http://prefect-test:4200/api
ppi.cluster.kind = {kind}
ppi.cluster.condorPrograms = {programs}
"""
CONDOR_Q = """\
#!/bin/sh
here=$(dirname "$0")
printf '%s\\n' "$@" > "$here/asked"
test -e "$here/fails" && { cat "$here/fails" >&2; exit 1; }
cat "$here/queue.json"
"""
MOUS, OTHER = EntityId("uid://A001/X1284/X265f"), EntityId("uid://A001/X1284/X9912")
BLOCK = EntityId("uid://A002/Xc72427/X2dfe")
PROJECT, FLOW_RUN, CREW = "2017.1.00886.L", "0f9f1c3e-5d5e-4f4b-9c35-7b7c3b1f2a10", "process-4f2a"


@dataclass(frozen=True)
class Environment:
    """A profile in a test's own folder.

    Parameters
    ----------
    root
        That folder.
    """

    root: Path

    @property
    def area(self) -> Area:
        return Area(self.root / "area")

    @property
    def logs(self) -> Path:
        return self.area.root / "jobs"

    def write(self, kind: str = "htcondor") -> None:
        programs = self.root / "programs"
        programs.mkdir(exist_ok=True)
        (programs / "condor_q").write_text(CONDOR_Q)
        (programs / "condor_q").chmod(0o755)
        (programs / "queue.json").touch()
        text = PROFILE.format(area=self.area.root, kind=kind, programs=programs)
        (self.root / "site-test.properties").write_text(text)

    def asked(self) -> str:
        """Return what the pool was asked last."""
        return (self.root / "programs" / "asked").read_text()

    def pool_is_away(self, words: str = "Error: Can't find address for schedd") -> None:
        (self.root / "programs" / "fails").write_text(words)

    def ppi(self, *arguments: str) -> Result:
        return CliRunner().invoke(app, ["status", *arguments])

    def told(self, *arguments: str) -> list[dict[str, Any]]:
        ran = self.ppi("--json", *arguments)
        assert ran.exit_code == 0, ran.output
        found: list[dict[str, Any]] = json.loads(ran.stdout)
        return found

    def catalog(self) -> Catalog:
        self.area.make()
        return Catalog(Database(f"sqlite:///{self.area.root / 'catalog.db'}"), "site-test")

    @contextmanager
    def running(self, mous: EntityId = MOUS, seconds: float = 90) -> Iterator[Record]:
        """Have a run of a flow that has planned and gathered, and now processes."""
        catalog, now = self.catalog(), datetime.now(UTC)
        begun = now - timedelta(seconds=seconds)
        whole = Execution(
            flow="restore-ous", profile="site-test", observation=mous, started=begun, flow_run=FLOW_RUN,
            host="archive-test", account="almapipe", project=PROJECT,
        )  # fmt: skip
        stages = (
            Stage(name="plan", started=begun, wall_seconds=0.5),
            Stage(name="gather", started=begun, wall_seconds=12.5),
            Stage(name="process", started=now - timedelta(seconds=30)),
        )
        with self.area.held(mous):
            record = catalog.begin(whole).model_copy(update={"stages": stages})
            catalog.write(record)
            yield record

    def attempt(self, mous: EntityId = MOUS) -> Tree:
        self.area.make()
        place = f"SOUS_x/GOUS_x/MOUS_{mous.file_form}"
        return self.area.attempt(mous, "k", PROJECT, lambda stamp: f"{PROJECT}_{stamp.timestamp()}/{place}")

    def casa_log(self, content: str, tree: Tree, block: EntityId = BLOCK) -> Path:
        log = tree.new_attempt(block.file_form) / "casa.log"
        log.write_text(content)
        return log

    def crew(self, *entries: Entry, crew: str = CREW, stage: str = "process", flow_run: str = FLOW_RUN) -> Path:
        """Have a crew that says what its jobs do."""
        directory = self.logs / crew
        directory.mkdir(parents=True, exist_ok=True)
        content = Board(
            crew=crew, profile="site-test", project=PROJECT, observation=MOUS, flow="restore-ous",
            flow_run=flow_run, stage=stage, written=datetime.now(UTC), entries=entries,
        )  # fmt: skip
        write(directory, content)
        return directory

    def queue(self, *jobs: dict[str, Any]) -> None:
        """Have these jobs in the pool's queue."""
        (self.root / "programs" / "queue.json").write_text(json.dumps(jobs))


def entry(number: int = 1, step: str = "restore", item: str = BLOCK, **known: Any) -> Entry:
    """Return a crew's words on its job 17.0, or a later one."""
    now = datetime.now(UTC)
    return Entry(name=f"w-{number}", job=f"{16 + number}.0", step=step, item=item, since=now, **known)


def job(number: int = 1, status: int = 2, flow_run: str = FLOW_RUN, **ad: Any) -> dict[str, Any]:
    """Return the ClassAd of job 17.0, or of a later one."""
    tag = Tag(
        "site-test", PROJECT, MOUS, "restore-ous", "process", flow_run, CREW,
        Owner("archive-test", "m", os.getpid(), 1),
    )  # fmt: skip
    said = {name: json.loads(value) for name, value in tag.attributes().items()}
    now = int(datetime.now(UTC).timestamp())
    return {
        **said, "ClusterId": 16 + number, "ProcId": 0, "JobStatus": status, "PPIName": f"w-{number}",
        "QDate": now - 65, "EnteredCurrentStatus": now - 60, "RequestMemory": 2048, **ad,
    }  # fmt: skip

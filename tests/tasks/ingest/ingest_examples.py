"""What the tests of the ingest share: a delivery, the environment that it is in, and an ingest without Prefect."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from blocks.profile import Broker, Cluster, Metadata, Ngas, Processing, Profile
from deployments.local.ngas_index import Index
from tasks.alma.ids import EntityId
from tasks.casa.launch import Exit
from tasks.casa.record import BlockRecord
from tasks.casa.verdict import Outcome, Verdict
from tasks.ingest import tasks as steps
from tasks.ingest.jobs import Placed
from tasks.workspace.layout import Area
from tasks.workspace.provenance import Image, Provenance

MOUS, PROJECT, KEY = EntityId("uid://A001/X1284/X265f"), "2017.1.00886.L", "0123456789abcdef"
BLOCK = EntityId("uid://A002/Xc7111c/X3979")
VIS = f"{BLOCK.file_form}.ms"
FITS, OTHER = "oussid.s38.spw25.cube.I.pbcor.fits", "aux/list.txt"
PREFIX = MOUS.file_form
TAR, LAST = f"{PREFIX}.{VIS}.tar", f"{PREFIX}.provenance.json"
NAMES = sorted(
    [
        TAR,
        LAST,
        *(f"{PREFIX}.{end}" for end in (f"images.{FITS}", "images.tar", "log.tar", "report.html", "script.tar")),
    ]
)
_FILES = {
    f"calibrated/{VIS}/table.dat": "the table",
    f"calibrated/{VIS}/ANTENNA/table.f0": "the column",
    f"calibrated/{VIS}.flagversions/FLAG_VERSION_LIST": "Pipeline_Final",
    "calibration/x.caltables.tgz": "it came from the archive",
    f"images/{FITS}": "SIMPLE  =",
    f"images/{OTHER}": "",
    f"log/{BLOCK.file_form}/casa.log": "INFO",
    "script/PPR.xml": "<SciPipeRequest/>",
    "qa/report.html": "<html>",
    "qa/x.weblog.tgz": "it came from the archive",
}


def block(**changes: Any) -> BlockRecord:
    ended = Exit(status=0, signal=None, timed_out=False, wall_seconds=1, cpu_seconds=1, peak_rss_bytes=1)
    made = BlockRecord(
        uid=BLOCK, vis=VIS, session="session_1", verdict=Verdict(outcome=Outcome.SUCCESS), proof=None, steps=(),
        exit=ended,
    )  # fmt: skip
    return made.model_copy(update=changes)


def provenance(**changes: Any) -> Provenance:
    moment = datetime(2026, 5, 4, 14, 3, 11, tzinfo=UTC)
    images = tuple(
        Image(name=name, size=len(text), sha256=hashlib.sha256(text.encode()).hexdigest())
        for name, text in ((FITS, _FILES[f"images/{FITS}"]), (OTHER, ""))
    )
    made = Provenance(
        observation=MOUS, project=PROJECT, profile="site-test", flow_run="made" * 9, key=KEY, started=moment,
        finished=moment, ppi_version="0.1.0", casa_version="6.7.0", calibrated_with="6.7.0", executor="pipeline",
        recipe="hifa_restoredata/1", ppr_sha256="beef", inputs=(), blocks=(block(),), images=images, stages=(),
        verdict=Verdict(outcome=Outcome.SUCCESS),
    )  # fmt: skip
    return made.model_copy(update=changes)


def deliver(area: Area, **changes: Any) -> Path:
    """Put a delivery into its place."""
    place = area.destination(PROJECT, MOUS)
    for name, text in _FILES.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (place / "provenance.json").write_text(provenance(**changes).model_dump_json())
    return place


@dataclass
class Site:
    """An environment with an archive of its own."""

    folder: Path
    address: str

    @property
    def area(self) -> Area:
        return Area(self.folder / "area")

    @property
    def root(self) -> Path:
        return self.folder / "archive"

    @property
    def profile(self) -> Profile:
        return Profile(
            name="site-test",
            processing=Processing(root_directory=self.area.root),
            metadata=Metadata(url="sqlite:////no-such-file"),
            ngas=Ngas(servers=(self.address,), timeout_seconds=5),
            cluster=Cluster(),
            broker=Broker(url="amqp://127.0.0.1:1/"),
        )

    def ingest(self) -> tuple[list[Placed], bool]:
        """Do what the flow does, without Prefect."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(steps, "current", lambda name: self.profile)
            consignment = steps.look_at.fn("site-test", MOUS, None)
            with steps.noted(self.profile, consignment, "a run"):
                lots = [steps.archive_lot.fn("site-test", consignment, lot) for lot in consignment.lots]
                last, is_news = steps.archive_last.fn("site-test", consignment, "a run")
            return [*(placed for lot in lots for placed in lot), last], is_news

    def versions(self) -> dict[str, int]:
        """Return how many versions of each file the archive has."""
        entries = Index(self.root).like("%")
        return {entry.file_id: entry.file_version for entry in entries}

    def forget(self) -> None:
        """Begin anew with an empty archive and no catalog."""
        for name in ("catalog.db", "catalog.db-wal", "catalog.db-shm"):
            (self.area.root / name).unlink(missing_ok=True)
        (self.root / "index.sqlite").unlink(missing_ok=True)
        shutil.rmtree(self.root / "volume1", ignore_errors=True)
        Index(self.root)

"""`ppi ingest`, as a process: what it shows, and what it refuses before it begins."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from archive_commands import Site

from deployments.local.ngas_server import requests_of, serving
from tasks.alma.ids import EntityId
from tasks.casa.launch import Exit
from tasks.casa.record import BlockRecord
from tasks.casa.verdict import Outcome, Verdict
from tasks.workspace.layout import Area
from tasks.workspace.provenance import Provenance

MOUS, VIS = EntityId("uid://A001/X1284/X265f"), "uid___A002_Xc7111c_X3979.ms"
TARS = [f"{MOUS.file_form}.{VIS}.tar", f"{MOUS.file_form}.report.html", f"{MOUS.file_form}.provenance.json"]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with serving(tmp_path / "archive") as address:
        made = Site(tmp_path, address)
        made.write_profile()
        yield made


def deliver(site: Site, outcome: Outcome = Outcome.SUCCESS) -> Path:
    place = Area(site.folder / "area").destination("2017.1.00886.L", MOUS)
    for name in (f"calibrated/{VIS}/table.dat", f"calibrated/{VIS}.flagversions/LIST", "qa/report.html"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(name)
    moment = datetime(2026, 5, 4, tzinfo=UTC)
    ended = Exit(status=0, signal=None, timed_out=False, wall_seconds=1, cpu_seconds=1, peak_rss_bytes=1)
    verdict = Verdict(outcome=outcome, reasons=() if outcome is Outcome.SUCCESS else ("lost data",))
    block = BlockRecord(
        uid="uid://A002/Xc7111c/X3979", vis=VIS, session="one", verdict=verdict, proof=None, steps=(), exit=ended
    )
    provenance = Provenance(
        observation=MOUS, project="2017.1.00886.L", profile="site-test", flow_run=None, key="abcd", started=moment,
        finished=moment, ppi_version="1", casa_version="1", calibrated_with="1", executor="casatasks", recipe="r",
        ppr_sha256="0", inputs=(), blocks=(block,), stages=(), verdict=verdict,
    )  # fmt: skip
    (place / "provenance.json").write_text(provenance.model_dump_json())
    return place


def test_a_dry_run_shows_what_would_be_sent_and_does_nothing(site: Site) -> None:
    place = deliver(site)
    ran = site.ppi("ingest", MOUS, "--dry-run")
    assert ran.returncode == 0, ran.stderr
    for name in TARS:
        assert name in ran.stdout
    assert ran.stdout.count("would be archived") == len(TARS)
    told = site.told("ingest", MOUS.file_form, "--dry-run")
    assert [file["file_id"] for file in told["files"]] == TARS
    assert (told["delivery"], told["key"]) == (str(place), "abcd")
    assert not any(file["was_there"] for file in told["files"])
    assert requests_of(site.root, "ARCHIVE") == []
    assert [path.name for path in (site.folder / "area").iterdir()] == ["delivered"]


def test_what_is_not_delivered_or_not_proven_ends_at_once(site: Site) -> None:
    ran = site.ppi("ingest", MOUS)
    assert ran.returncode == 4
    assert "restore it first" in ran.stderr
    deliver(site, Outcome.FAILED)
    ran = site.ppi("ingest", MOUS)
    assert ran.returncode == 3
    assert "lost data" in ran.stderr
    assert site.ppi("ingest", "X265f").returncode == 3
    assert json.dumps(requests_of(site.root)) == "[]"

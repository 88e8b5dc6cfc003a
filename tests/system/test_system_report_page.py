"""The report's account of the files, in a real browser: all of it seen without scrolling to the side."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from browser import browsing, keep, page_of

from tasks.casa.verdict import Outcome, Verdict
from tasks.report import render
from tasks.workspace.provenance import Input, Provenance, StageTime

MB = 1_000_000
LONG = "member.uid___A001_X1284_X265f." + "hifa_calimage_renorm_" * 6 + "pipeline_manifest.xml"


def _input(name: str, **more: object) -> Input:
    return Input.model_validate(
        {"name": name, "file_id": name, "version": 1, "size": 3_172 * MB, "checksum": "crc32:3456789012"} | more
    )


def _record() -> Provenance:
    started = datetime(2026, 5, 4, 14, 3, 11, tzinfo=UTC)
    fetched = {"server": "nmngas01.aoc.nrao.example:7777", "seconds": 71.5, "attempts": 1}
    inputs = (
        _input("uid___A002_Xc7350a_X1c2.asdm.sdm.tar", **fetched),
        _input("uid___A002_Xc7350a_X1c3.asdm.sdm.tar", **fetched | {"attempts": 3, "resumed_from": 1_200 * MB}),
        _input("uid___A002_Xc7350a_X1c4.asdm.sdm.tar", **fetched | {"method": "copy"}),
        _input(LONG, checksum=None, size=12_345),
        _input("x" * 300, checksum="crc32c:4294967295", **fetched),
    )
    return Provenance(
        observation="uid://A001/X1284/X265f", project="2017.1.00886.L", profile="local", flow_run=None, key="f00d",
        started=started, finished=started + timedelta(seconds=400), ppi_version="0.1.0", casa_version="6.7.0.31",
        calibrated_with="5.1.1-5", executor="casatasks", recipe="hifa_restoredata", ppr_sha256="beef",
        inputs=inputs, blocks=(), stages=(StageTime(stage="gather", seconds=155.0),),
        verdict=Verdict(outcome=Outcome.SUCCESS),
    )  # fmt: skip


@pytest.mark.parametrize(("name", "width"), [("wide", 1400), ("narrow", 900)])
def test_the_files_and_how_they_came_are_seen_without_scrolling_to_the_side(
    tmp_path: Path, name: str, width: int
) -> None:
    page_file = tmp_path / "report.html"
    page_file.write_text(render(_record(), {}))
    with browsing() as browser:
        page = page_of(browser)
        page.set_viewport_size({"width": width, "height": 1000})
        page.goto(page_file.as_uri())
        table = page.get_by_role("group", name="Files from the archive")
        table.scroll_into_view_if_needed()
        keep(page, f"report-files-{name}")
        assert table.evaluate("box => box.scrollWidth - box.clientWidth") == 0
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        said = " ".join(table.inner_text().split())
        assert "stream, resumed from 1.2 GB, 3 attempts nmngas01" in said
        assert "copy nmngas01" in said
        assert "size only: no checksum archived store" in said
        card = " ".join(page.locator("details", has=table).inner_text().split())
        assert "Over the wire 8.3 GB Copied by the archive 3.2 GB" in card
        assert "Wall time of the stage 2 min 35 s Mean rate of the stage 74.1 MB/s" in card

"""Writes a simulated measurement set as an ASDM; runs inside a CASA child.

CASA's exportasdm writes files that importasdm accepts, but it takes a measurement set for one scan: it makes an
execution block of every row of OBSERVATION. So it is given one such row for each scan, and the tables that it then
repeats are merged here into one execution block with numbered scans, intents and the archive's ids. The binary
files stay as they were written.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from casatasks import exportasdm
from lxml import etree

from deployments.local.observatory.edit import edited
from deployments.local.observatory.request import BlockRequest
from deployments.local.observatory.sky import FIELDS, Scan, scans
from tasks import xml
from tasks.casa.recipes.tables import opened

__all__ = ["write_asdm"]

_UID = re.compile(r"uid___(A\d+)_(X[0-9a-f]+)_(X[0-9a-f]+)")
_NOTE = "Simulated by PPI's small observatory: not an observation."


@dataclass(frozen=True)
class _Table:
    """One XML table of an ASDM, in memory until saved."""

    path: Path
    root: etree._Element

    @classmethod
    def load(cls, asdm: Path, name: str) -> _Table:
        """Read a table by its name."""
        path = asdm / f"{name}.xml"
        return cls(path, xml.parse(path.read_bytes(), str(path)))

    @property
    def rows(self) -> list[etree._Element]:
        """Its rows, in order."""
        return list(self.root.iterchildren("row"))

    def replace(self, rows: Iterable[etree._Element]) -> None:
        """Take these rows in place of its own."""
        for row in self.rows:
            self.root.remove(row)
        self.root.extend(list(rows))

    def save(self) -> None:
        """Write it back."""
        self.root.getroottree().write(str(self.path), xml_declaration=True, encoding="ISO-8859-1")


def write_asdm(vis: Path, asdm: Path, request: BlockRequest) -> None:
    """Write `vis` as the ASDM folder `asdm`, which must not exist.

    Parameters
    ----------
    vis
        As `simulate` makes it; not changed.
    """
    plan = scans(request.shape)
    copy = vis.with_suffix(".export.ms")
    shutil.copytree(vis, copy)
    _one_observation_a_scan(copy)
    _export(copy, asdm, request.block)
    shutil.rmtree(copy)
    _name_windows(vis, asdm)
    _set_ids(asdm, request.block)
    _merge(asdm, request, plan)


def _one_observation_a_scan(vis: Path) -> None:
    with edited(vis) as main:
        scan, time, interval = (main.getcol(name) for name in ("SCAN_NUMBER", "TIME", "INTERVAL"))
        main.putcol("OBSERVATION_ID", scan - 1)
    with edited(vis / "OBSERVATION") as observation:
        common = {name: observation.getcell(name, 0) for name in ("OBSERVER", "PROJECT", "TELESCOPE_NAME")}
        observation.addrows(int(scan.max()) - observation.nrows())
        for row in range(observation.nrows()):
            here = scan == row + 1
            # One second more, or the last integration is given an execution block of its own.
            span = np.array([(time - interval / 2)[here].min(), (time + interval / 2)[here].max() + 1])
            for name, value in {**common, "TIME_RANGE": span, "RELEASE_DATE": 0.0}.items():
                observation.putcell(name, row, value)
    with edited(vis / "POINTING") as pointing:
        pointing.removerows(list(range(pointing.nrows())))


def _export(vis: Path, asdm: Path, block: str) -> None:
    archive, range_id, _ = _parts(block)
    exportasdm(
        vis=str(vis),
        asdm=str(asdm),
        datacolumn="data",
        archiveid=archive,
        rangeid=range_id,
        subscanduration="24h",
        sbduration="86400s",
        apcorrected=False,
        verbose=False,
    )


def _parts(block: str) -> tuple[str, str, str]:
    match = _UID.fullmatch(block)
    if match is None:
        raise ValueError(f"{block} is not the name of an execution block")
    archive, range_id, local = match.groups()
    return archive, range_id, local


def _name_windows(vis: Path, asdm: Path) -> None:
    with opened(f"{vis}/SPECTRAL_WINDOW") as windows:
        names = list(windows.getcol("NAME"))
    table = _Table.load(asdm, "SpectralWindow")
    for row, name in zip(table.rows, names, strict=True):
        etree.SubElement(row, "name").text = f" {name} "
    table.save()


def _set_ids(asdm: Path, block: str) -> None:
    """Give the container its own uid (exportasdm calls it X1), and each reference the part id that it needs."""
    archive, range_id, local = _parts(block)
    exported, own = f"uid://{archive}/{range_id}/X1", f"uid://{archive}/{range_id}/{local}"
    for path in sorted(asdm.glob("*.xml")):
        table = _Table.load(asdm, path.stem)
        for element in table.root.iter("Entity", "ContainerEntity", "EntityRef"):
            if element.get("entityId") == exported:
                element.set("entityId", own)
            if element.tag == "EntityRef":
                element.set("partId", "X00000000")
        table.save()


def _merge(asdm: Path, request: BlockRequest, plan: tuple[Scan, ...]) -> None:
    blocks = _Table.load(asdm, "ExecBlock")
    if len(blocks.rows) != len(plan):
        raise ValueError(f"exportasdm wrote {len(blocks.rows)} execution blocks for {len(plan)} scans")
    in_time = sorted(blocks.rows, key=lambda row: int(_get(row, "startTime")))
    scan_of = {_get(row, "execBlockId"): number for number, row in enumerate(in_time, 1)}
    start, end = int(_get(in_time[0], "startTime")), int(_get(in_time[-1], "endTime"))
    _merge_block(blocks, request, start, end)
    _merge_summary(asdm, request, end - start)
    counts = {
        "ExecBlock": 1,
        "SBSummary": 1,
        "Scan": _merge_scans(asdm, scan_of, plan),
        "Subscan": _merge_subscans(asdm, scan_of),
    }
    _merge_main(asdm, scan_of)
    _count_rows(asdm, counts, request)


def _merge_block(blocks: _Table, request: BlockRequest, start: int, end: int) -> None:
    row = blocks.rows[0]
    _set(row, startTime=start, endTime=end, execBlockNum=1, configName="simulated")
    _set(row, execBlockId="ExecBlock_0", sBSummaryId="SBSummary_0", observingLog=f'1 1 "{_NOTE}"')
    _refer(row, "projectUID", request.project, "ObsProject")
    _refer(row, "sessionReference", request.mous, "OUSStatus", f"X{request.session_part:08x}")
    blocks.replace([row])
    blocks.save()


def _merge_summary(asdm: Path, request: BlockRequest, length: int) -> None:
    table = _Table.load(asdm, "SBSummary")
    row = table.rows[0]
    _set(row, sbDuration=length, observingMode='1 1 "Simulated"', scienceGoal='1 1 "Simulated"')
    _refer(row, "sbSummaryUID", request.sched_block, "SchedBlock")
    _refer(row, "projectUID", request.project, "ObsProject")
    _refer(row, "obsUnitSetUID", request.mous, "OUSStatus")
    table.replace([row])
    table.save()


def _merge_scans(asdm: Path, scan_of: dict[str, int], plan: tuple[Scan, ...]) -> int:
    table = _Table.load(asdm, "Scan")
    rows = sorted(table.rows, key=lambda row: scan_of[_get(row, "execBlockId")])
    for row, scan in zip(rows, plan, strict=True):
        intents = FIELDS[scan.field].scan_intents
        count = len(intents)
        _set(row, scanNumber=scan.number, execBlockId="ExecBlock_0", numSubscan=1, numIntent=count)
        _set(row, scanIntent=f"1 {count} {' '.join(intents)}")
        _set(row, calDataType=f"1 {count}" + " FULL_RESOLUTION_CROSS" * count)
        _set(row, calibrationOnLine=f"1 {count}" + " false" * count)
    table.replace(rows)
    table.save()
    return len(rows)


def _merge_subscans(asdm: Path, scan_of: dict[str, int]) -> int:
    """Keep one subscan a scan, which its spectral windows share."""
    table = _Table.load(asdm, "Subscan")
    first: dict[int, etree._Element] = {}
    for row in table.rows:
        first.setdefault(scan_of[_get(row, "execBlockId")], row)
    for number, row in first.items():
        _set(row, scanNumber=number, subscanNumber=1, execBlockId="ExecBlock_0")
    table.replace(row for _, row in sorted(first.items()))
    table.save()
    return len(first)


def _merge_main(asdm: Path, scan_of: dict[str, int]) -> None:
    table = _Table.load(asdm, "Main")
    for row in table.rows:
        _set(row, scanNumber=scan_of[_get(row, "execBlockId")], subscanNumber=1, execBlockId="ExecBlock_0")
    table.replace(sorted(table.rows, key=lambda row: (int(_get(row, "time")), _get(row, "configDescriptionId"))))
    table.save()


def _count_rows(asdm: Path, counts: dict[str, int], request: BlockRequest) -> None:
    table = _Table.load(asdm, "ASDM")
    _set(table.root, TimeOfCreation=f"{request.start:%Y-%m-%dT%H:%M:%S}.000000000")
    for entry in table.root.iterchildren("Table"):
        name = _get(entry, "Name")
        if name in counts:
            _set(entry, NumberRows=counts[name])
    table.save()


def _get(row: etree._Element, name: str) -> str:
    return (row.findtext(name) or "").strip()


def _element(row: etree._Element, name: str) -> etree._Element:
    element = row.find(name)
    if element is None:
        raise ValueError(f"exportasdm wrote a row without {name}")
    return element


def _set(row: etree._Element, **values: object) -> None:
    for name, value in values.items():
        _element(row, name).text = f" {value} "


def _refer(row: etree._Element, name: str, entity: str, kind: str, part: str = "X00000000") -> None:
    element = _element(row, name)
    element.clear()
    attributes = {"entityId": entity, "partId": part, "entityTypeName": kind, "documentVersion": "1"}
    etree.SubElement(element, "EntityRef", attributes)

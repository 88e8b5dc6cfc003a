"""What an execution block's ASDM promises, read from its XML tables.

importasdm drops the rows of a missing or truncated binary file without a word, so the number of rows that the
tables promise is what a measurement set is held against.
"""

from __future__ import annotations

from pathlib import Path

from lxml import etree

from tasks import xml
from tasks.errors import Missing, Refused

__all__ = ["promised_rows"]


def promised_rows(asdm: Path) -> int:
    """Return the rows that the measurement set must have when cross- and auto-correlations are imported.

    The sum over Main.xml of integrations × baselines × data descriptions, where baselines follow from the
    antennas of the row and the correlation mode of its configuration.

    Raises
    ------
    Missing
        Main.xml or ConfigDescription.xml is not there.
    Refused
        They cannot be read, or a row lacks what is needed.
    """
    configurations = {
        _text(row, "configDescriptionId"): (
            int(_text(row, "numDataDescription")),
            _text(row, "correlationMode"),
        )
        for row in _rows(asdm, "ConfigDescription")
    }
    total = 0
    for row in _rows(asdm, "Main"):
        configuration = _text(row, "configDescriptionId")
        if configuration not in configurations:
            raise Refused(f"{asdm}/Main.xml", f"it names {configuration}, which ConfigDescription.xml has not")
        descriptions, mode = configurations[configuration]
        total += int(_text(row, "numIntegration")) * _baselines(int(_text(row, "numAntenna")), mode) * descriptions
    return total


def _baselines(antennas: int, mode: str) -> int:
    cross = antennas * (antennas - 1) // 2
    counts = {"CROSS_ONLY": cross, "AUTO_ONLY": antennas, "CROSS_AND_AUTO": cross + antennas}
    if mode not in counts:
        raise Refused("the ASDM's ConfigDescription.xml", f"unknown correlation mode {mode!r}")
    return counts[mode]


def _rows(asdm: Path, table: str) -> list[etree._Element]:
    path = asdm / f"{table}.xml"
    if not path.is_file():
        raise Missing(str(path), "an ASDM must have this table", "fetch the execution block again")
    return list(xml.parse(path.read_bytes(), str(path)).iter("{*}row"))


def _text(row: etree._Element, name: str) -> str:
    text = row.findtext(f"{{*}}{name}")
    if text is None:
        raise Refused("an ASDM table", f"a row has no {name}")
    return text.strip()

"""What an execution block's ASDM promises, read from its XML tables.

importasdm drops the rows of a missing or truncated binary file without a word, so the number of rows that the
tables promise is what a measurement set is held against.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lxml import etree

from tasks import xml
from tasks.errors import Missing, Refused

__all__ = ["promised_rows"]

_TODO = "have the archive's copy of the execution block checked"


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
        row.text("configDescriptionId"): (row.number("numDataDescription"), row.text("correlationMode"))
        for row in _rows(asdm / "ConfigDescription.xml")
    }
    total = 0
    for row in _rows(asdm / "Main.xml"):
        configuration = row.text("configDescriptionId")
        if configuration not in configurations:
            raise Refused(str(row.table), f"it names {configuration}, which ConfigDescription.xml has not")
        descriptions, mode = configurations[configuration]
        total += row.number("numIntegration") * _baselines(row.number("numAntenna"), mode) * descriptions
    return total


@dataclass(frozen=True)
class _Row:
    table: Path
    element: etree._Element

    def text(self, column: str) -> str:
        text = self.element.findtext(f"{{*}}{column}")
        if text is None:
            raise Refused(str(self.table), f"a row has no {column}", _TODO)
        return text.strip()

    def number(self, column: str) -> int:
        text = self.text(column)
        try:
            return int(text)
        except ValueError:
            raise Refused(str(self.table), f"a row's {column} is no whole number: {text!r}", _TODO) from None


def _baselines(antennas: int, mode: str) -> int:
    cross = antennas * (antennas - 1) // 2
    counts = {"CROSS_ONLY": cross, "AUTO_ONLY": antennas, "CROSS_AND_AUTO": cross + antennas}
    if mode not in counts:
        raise Refused("the ASDM's ConfigDescription.xml", f"unknown correlation mode {mode!r}")
    return counts[mode]


def _rows(table: Path) -> list[_Row]:
    if not table.is_file():
        raise Missing(str(table), "an ASDM must have this table", "fetch the execution block again")
    return [_Row(table, element) for element in xml.parse(table.read_bytes(), str(table)).iter("{*}row")]

"""What an ASDM promises."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tasks.casa.asdm import promised_rows
from tasks.errors import Missing, Refused

CONFIGURATIONS = (
    ("CD_0", 4, "CROSS_AND_AUTO"),
    ("CD_1", 1, "AUTO_ONLY"),
    ("CD_2", 2, "CROSS_ONLY"),
)


def asdm(
    folder: Path, rows: list[tuple[str, int, int]], modes: tuple[tuple[str, int, str], ...] = CONFIGURATIONS
) -> Path:
    configurations = "".join(
        f"<row><configDescriptionId> {name} </configDescriptionId>"
        f"<numDataDescription> {number} </numDataDescription><correlationMode> {mode} </correlationMode></row>"
        for name, number, mode in modes
    )
    main = "".join(
        f"<row><configDescriptionId>{name}</configDescriptionId><numIntegration> {integrations} </numIntegration>"
        f"<numAntenna>{antennas}</numAntenna></row>"
        for name, integrations, antennas in rows
    )
    (folder / "ConfigDescription.xml").write_text(f'<T xmlns="http://x">{configurations}</T>')
    (folder / "Main.xml").write_text(f"<T>{main}</T>")
    return folder


@pytest.mark.parametrize(
    ("rows", "promised"),
    [
        ([("CD_0", 10, 8)], 10 * 36 * 4),
        ([("CD_1", 7, 5)], 7 * 5),
        ([("CD_2", 3, 4)], 3 * 6 * 2),
        ([("CD_0", 10, 8), ("CD_1", 7, 5), ("CD_2", 3, 4)], 1440 + 35 + 36),
        ([], 0),
    ],
)
def test_rows_are_integrations_times_baselines_times_descriptions(
    tmp_path: Path, rows: list[tuple[str, int, int]], promised: int
) -> None:
    assert promised_rows(asdm(tmp_path, rows)) == promised


def test_a_table_that_is_not_there_is_missing(tmp_path: Path) -> None:
    with pytest.raises(Missing, match=r"ConfigDescription\.xml"):
        promised_rows(tmp_path)


def test_an_unknown_mode_is_refused(tmp_path: Path) -> None:
    folder = asdm(tmp_path, [("CD_0", 1, 2)], (("CD_0", 1, "SIDEWAYS"),))
    with pytest.raises(Refused, match="SIDEWAYS"):
        promised_rows(folder)


def test_a_row_of_an_unknown_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="CD_9"):
        promised_rows(asdm(tmp_path, [("CD_9", 1, 2)]))


@pytest.mark.parametrize("text", ["1e1", "", "ten"])
@pytest.mark.parametrize(
    ("table", "column"),
    [("Main", "numIntegration"), ("Main", "numAntenna"), ("ConfigDescription", "numDataDescription")],
)
def test_a_number_that_is_none_is_refused_by_table_and_column(
    tmp_path: Path, table: str, column: str, text: str
) -> None:
    path = asdm(tmp_path, [("CD_0", 3, 2)]) / f"{table}.xml"
    path.write_text(re.sub(f"<{column}>.*?</{column}>", f"<{column}>{text}</{column}>", path.read_text()))
    with pytest.raises(Refused, match=rf"{table}\.xml.*{column}.*'{text}'"):
        promised_rows(tmp_path)


def test_a_row_without_a_column_is_refused_by_table_and_column(tmp_path: Path) -> None:
    path = asdm(tmp_path, [("CD_0", 3, 2)]) / "Main.xml"
    path.write_text(path.read_text().replace("numAntenna", "antennas"))
    with pytest.raises(Refused, match=r"Main\.xml.*no numAntenna"):
        promised_rows(tmp_path)


def test_entities_are_refused(tmp_path: Path) -> None:
    folder = asdm(tmp_path, [])
    (folder / "Main.xml").write_text('<!DOCTYPE T [<!ENTITY e SYSTEM "file:///etc/passwd">]><T>&e;</T>')
    with pytest.raises(Refused, match="entities"):
        promised_rows(folder)

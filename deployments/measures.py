"""Cut CASA's measures tables out of the casadata wheel: 7.5 MB of its 845 MB are what CASA needs here."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

__all__ = ["cut"]

_IN_WHEEL = "casadata/__data__/"
_WANTED = (
    *(f"geodetic/{table}/" for table in ("IERSeop2000", "IERSeop97", "IERSpredict", "TAI_UTC", "Observatories")),
    "alma/asdm/",
)
_EXPECTED_BY_CASA = ("catalogs", "demo", "ephemerides", "gui", "nrao")
"""Folders that may be empty, but without which CASA logs SEVERE at its start."""


def cut(wheel: Path, destination: Path) -> None:
    """Write the wanted tables to a folder that appears when it is whole."""
    unfinished = destination.with_name(f".{destination.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            relative = member.filename.removeprefix(_IN_WHEEL)
            if relative.startswith(_WANTED) and not member.is_dir():
                target = unfinished / relative
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(member))
    for name in _EXPECTED_BY_CASA:
        (unfinished / name).mkdir()
    shutil.rmtree(destination, ignore_errors=True)
    unfinished.rename(destination)

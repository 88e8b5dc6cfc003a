"""The clean environment of a CASA child: its own HOME, log and temporary folder, one thread, and no network.

Nothing of the worker's own environment goes in, so that neither a setting nor a secret of it can.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tasks.errors import Missing

__all__ = ["CASA_LOG", "bare_environment", "child_environment", "measures_directory"]

CASA_LOG = "casa.log"
_SHARED = Path(sys.prefix) / "share" / "ppi"
"""What ``make setup`` puts beside the packages: measures tables, and a font cache that costs half a second."""
_KEEP_MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(2**29), "MALLOC_MMAP_THRESHOLD_": str(2**25)}
"""CASA frees its buffers and asks for them again all the time: page faults were a quarter of its CPU time."""
_SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
_SITE_CONFIG = """\
measurespath = {measures!r}
datapath = [{measures!r}]
measures_auto_update = False
data_auto_update = False
skipnetworkcheck = True
logfile = {log!r}
nologger = True
nogui = True
agg = True
log2term = False
cachedir = {home!r}
"""


def measures_directory(configured: Path | None = None) -> Path:
    """Return the folder of the measures tables (IERS, leap seconds, observatories).

    Parameters
    ----------
    configured
        The profile's own; by default the cut that ``make setup`` puts beside the installed packages.

    Raises
    ------
    Missing
        There are no tables there.
    """
    directory = configured or _SHARED / "measures"
    if not (directory / "geodetic" / "TAI_UTC").is_dir():
        raise Missing(
            f"CASA's measures tables at {directory}",
            "geodetic/TAI_UTC is not there",
            "run `make setup`, or name their folder in ppi.casa.measuresDirectory",
        )
    return directory


def bare_environment(directory: Path, measures: Path) -> dict[str, str]:
    """Make the private folders of a CASA child in its directory and return an environment with nothing of ours."""
    home, temporary = directory / ".home", directory / ".tmp"
    for folder in (home, temporary):
        folder.mkdir(mode=0o700, exist_ok=True)
    site = home / "casasiteconfig.py"
    site.write_text(_SITE_CONFIG.format(measures=str(measures), log=str(directory / CASA_LOG), home=str(home)))
    return {
        "PATH": _SYSTEM_PATH,
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "MPLCONFIGDIR": str(home),
        "MPLBACKEND": "Agg",
        "CASASITECONFIG": str(site),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }


def child_environment(directory: Path, measures: Path) -> dict[str, str]:
    """Return the whole environment of a CASA child that runs one of our recipes; see `bare_environment`."""
    bare, fonts = bare_environment(directory, measures), _SHARED / "matplotlib"
    return bare | {
        "MPLCONFIGDIR": str(fonts) if fonts.is_dir() else bare["MPLCONFIGDIR"],
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), _SYSTEM_PATH)),
        "PYTHONPATH": str(Path(__file__).parents[2]),
        **_KEEP_MEMORY,
    }

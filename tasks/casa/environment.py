"""The clean environment of a CASA child: its own HOME, log and temporary folder, one thread, and no network.

Nothing of the worker's own environment goes in, so that neither a setting nor a secret of it can.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tasks.errors import Missing

__all__ = ["CASA_LOG", "child_environment", "measures_directory"]

CASA_LOG = "casa.log"
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
    directory = configured or Path(sys.prefix) / "share" / "ppi" / "measures"
    if not (directory / "geodetic" / "TAI_UTC").is_dir():
        raise Missing(
            f"CASA's measures tables at {directory}",
            "geodetic/TAI_UTC is not there",
            "run `make setup`, or name their folder in ppi.casa.measuresDirectory",
        )
    return directory


def child_environment(directory: Path, measures: Path) -> dict[str, str]:
    """Make the private folders of a CASA child in its directory and return its whole environment."""
    home, temporary = directory / ".home", directory / ".tmp"
    for folder in (home, temporary):
        folder.mkdir(mode=0o700, exist_ok=True)
    site = home / "casasiteconfig.py"
    site.write_text(_SITE_CONFIG.format(measures=str(measures), log=str(directory / CASA_LOG), home=str(home)))
    return {
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin")),
        "PYTHONPATH": str(Path(__file__).parents[2]),
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

"""Run the embedded environment: its observatory is built once, its file server lives as long as the command."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from deployments.local.ngas_server import serving
from deployments.local.observatory.build import Observatory, build
from deployments.local.observatory.shape import Shape
from tasks import disk

__all__ = ["PROFILE", "home", "running"]

PROFILE = "local"
_SERVER = "PPI_LOCAL_NGAS"
_PROPERTIES = """\
# The embedded environment. Written by PPI at each of its starts; everything in it is simulated.
ppi.profile.site = LOCAL
ppi.profile.environment = local
ppi.processing.rootDirectory = {area}
ppi.metadata.url = {database}
ppi.ngas.servers = ${{env:{server}}}
ppi.ngas.timeoutSeconds = 10
"""


def home() -> Path:
    """Return where the embedded environment is kept: PPI_HOME, or `ppi` in the user's cache directory."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("PPI_HOME") or cache / "ppi")


@contextmanager
def running(
    on_progress: Callable[[str, int, int], None] = lambda what, done, total: None,
    shape: Shape | None = None,
) -> Iterator[Observatory]:
    """Build the observatory if it is not there, serve its archive, and make the profile `local` findable.

    Parameters
    ----------
    on_progress
        Called with (what, done, total) while the observatory is built.
    shape
        Size of its execution blocks; by default small ones.
    """
    observatory = build(home() / "observatories", shape, on_progress=on_progress)
    with serving(observatory.archive_root) as address:
        os.environ[_SERVER] = address
        os.environ["CAPO_PATH"] = str(_write_profile(observatory))
        yield observatory


def _write_profile(observatory: Observatory) -> Path:
    capo = home() / "capo"
    capo.mkdir(parents=True, exist_ok=True)
    text = _PROPERTIES.format(area=home() / "area", database=observatory.database_url, server=_SERVER)
    disk.write_whole(capo / f"{PROFILE}.properties", text.encode())
    return capo

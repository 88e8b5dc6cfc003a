"""Run the embedded environment: its observatory is built once, its file server lives as long as the command.

While `ppi serve -P local` runs, other commands find its file server, its Prefect server and its reports. A faulty
archive is one of its own, a copy that lives as long as the command too, and so is all that is made of it. So is a
cluster.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from deployments.local.condor import pool
from deployments.local.condor.install import Release
from deployments.local.illness import Ill
from deployments.local.named_faults import NamedFault
from deployments.local.ngas_server import serving, serving_cluster
from deployments.local.observatory.build import Observatory, build
from deployments.local.observatory.shape import Shape
from tasks import disk
from tasks.errors import Refused, Transient

__all__ = ["PORT", "PROFILE", "ailing", "clustered", "home", "running", "served"]

PROFILE = "local"
PORT = 4200
"""Where its Prefect server is, if it is to be served; its reports are at the next port."""
_TIMEOUT_SECONDS, _IMPATIENT_SECONDS = 10, 2
_NGAS, _PREFECT, _REPORTS = "PPI_LOCAL_NGAS", "PPI_LOCAL_PREFECT", "PPI_LOCAL_REPORTS"
_PROPERTIES = """\
# The embedded environment. Written by PPI at each of its starts; everything in it is simulated.
ppi.profile.site = LOCAL
ppi.profile.environment = local
ppi.processing.rootDirectory = {root}/area
ppi.sweep.since = 2100-01-01
ppi.metadata.url = {database}
ppi.prefect.apiUrl = ${{env:{prefect}}}
ppi.reports.url = ${{env:{reports}}}
ppi.ngas.servers = ${{env:{ngas}}}
ppi.ngas.timeoutSeconds = {timeout}
"""
_SMALL = {
    "ppi.cluster.maxWorkers": "4",
    "ppi.cluster.transfer.memory": "1 GB",
    "ppi.cluster.transfer.disk": "1 GB",
    "ppi.cluster.casa.memory": "2 GB",
    "ppi.cluster.casa.disk": "1 GB",
    "ppi.cluster.light.memory": "1 GB",
    "ppi.cluster.light.disk": "1 GB",
}
"""What jobs ask for of which there is little to do."""


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

    Where `ppi serve -P local` runs, it is that one's archive, Prefect server and reports.

    Parameters
    ----------
    on_progress
        Called with (what, done, total) while the observatory is built.
    shape
        Size of its execution blocks; by default small ones.
    """
    observatory = build(home() / "observatories", shape, on_progress=on_progress)
    with _addresses(observatory) as addresses:
        _adopt(observatory, addresses)
        yield observatory


@contextmanager
def ailing(
    fault: NamedFault, on_progress: Callable[[str, int, int], None] = lambda what, done, total: None
) -> Iterator[Ill]:
    """As `running`, but with a fault in the archive, nothing fetched yet, and a client of little patience.

    The archive is a copy, and nothing that is made of it outlives the block.

    Parameters
    ----------
    fault
        It hits an execution block of the first member observing unit set, where it is of one file.
    """
    observatory = build(home() / "observatories", on_progress=on_progress)
    hit = f"{observatory.sets[0].blocks[0].uid.file_form}.asdm.sdm.tar"
    with TemporaryDirectory(prefix="ppi-fault-", ignore_cleanup_errors=True) as folder:
        root = Path(folder)
        archive = shutil.copytree(observatory.archive_root, root / "ngas")
        with serving_cluster(archive, fault.nodes) as nodes:
            ill = Ill(nodes, hit)
            fault.put(ill)
            known = ",".join(nodes[number].address for number in fault.known)
            _adopt(observatory, {_NGAS: known, _PREFECT: "", _REPORTS: ""}, root, _IMPATIENT_SECONDS)
            yield ill


@contextmanager
def clustered(
    release: Release, on_progress: Callable[[str, int, int], None] = lambda what, done, total: None
) -> Iterator[pool.LocalPool]:
    """As `running`, but with work done by jobs of an HTCondor pool of its own.

    Commands that run meanwhile find the profile without it, since it lives as long as the block.

    Parameters
    ----------
    release
        The HTCondor to use.
    """
    observatory = build(home() / "observatories", on_progress=on_progress)
    with TemporaryDirectory(prefix="ppi-pool-", ignore_cleanup_errors=True) as folder:
        place = Path(folder)
        with pool.running(place / "pool", release) as cluster, _addresses(observatory) as addresses:
            _adopt(observatory, addresses, capo=place, further={**cluster.properties, **_SMALL})
            yield cluster


@contextmanager
def served(
    port: int, on_progress: Callable[[str, int, int], None] = lambda what, done, total: None
) -> Iterator[Callable[[], None]]:
    """Serve the embedded environment for other commands too: as `running`, with places for a server and reports.

    Parameters
    ----------
    port
        That of the Prefect server; the reports are at the next.

    Yields
    ------
    Callable
        To be called when these are up: from then on other commands use them.

    Raises
    ------
    Transient
        It is served already.
    Refused
        Something else is at one of the ports.
    """
    with _sole():
        _require_free(port, port + 1)
        observatory = build(home() / "observatories", on_progress=on_progress)
        with serving(observatory.archive_root) as ngas:
            prefect, reports = f"http://127.0.0.1:{port}/api", f"http://127.0.0.1:{port + 1}"
            addresses = {_NGAS: ngas, _PREFECT: prefect, _REPORTS: reports}
            _adopt(observatory, addresses)
            yield lambda: _announce(addresses)


@contextmanager
def _addresses(observatory: Observatory) -> Iterator[Mapping[str, str]]:
    if found := _announced():
        yield found
        return
    with serving(observatory.archive_root) as ngas:
        yield {_NGAS: ngas, _PREFECT: "", _REPORTS: ""}


def _adopt(
    observatory: Observatory,
    addresses: Mapping[str, str],
    root: Path | None = None,
    timeout: int = _TIMEOUT_SECONDS,
    capo: Path | None = None,
    further: Mapping[str, str] | None = None,
) -> None:
    """Make the profile findable.

    Its area is below a root, by default the environment's home, and so is its file, unless that has a place of its
    own.
    """
    place = root or home()
    lines = "".join(f"{key} = {value}\n" for key, value in (further or {}).items())
    text = _profile(observatory, place, timeout) + lines
    files = capo or place / "capo"
    files.mkdir(parents=True, exist_ok=True)
    disk.write_whole(files / f"{PROFILE}.properties", text.encode())
    os.environ.update(addresses, CAPO_PATH=str(files))


def _lock() -> Path:
    return home() / "serve.lock"


def _announcement() -> Path:
    return home() / "serve.json"


@contextmanager
def _sole() -> Iterator[None]:
    """Be the only one that serves; what an earlier one has announced counts for nothing."""
    if found := _announced():
        why = f"it is served already ({found[_PREFECT]})"
        raise Transient("the embedded environment", why, "use it, or end that `ppi serve`")
    with disk.exclusive(_lock(), "the embedded environment"):
        _announcement().unlink(missing_ok=True)
        yield


def _announce(addresses: Mapping[str, str]) -> None:
    disk.write_whole(_announcement(), json.dumps(addresses).encode())


def _announced() -> Mapping[str, str]:
    """Return where things are while somebody serves them; nothing while nobody does, or not yet."""
    if not disk.is_locked(_lock()) or not _announcement().exists():
        return {}
    found: dict[str, str] = json.loads(_announcement().read_bytes())
    return found


def _require_free(*ports: int) -> None:
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                why = f"it cannot be had ({error.strerror})"
                raise Refused(f"port {port}", why, "give another with --port; the next one is used too") from error


def _profile(observatory: Observatory, root: Path, timeout: int) -> str:
    names = {"ngas": _NGAS, "prefect": _PREFECT, "reports": _REPORTS}
    return _PROPERTIES.format(root=root, database=observatory.database_url, timeout=timeout, **names)

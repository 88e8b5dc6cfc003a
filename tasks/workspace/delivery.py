"""The delivery: what the observer gets, put together beside its place and renamed into it when it is whole.

::

    calibrated/     the measurement sets, with their flag versions
    calibration/    what the archive holds of the calibration, as it was used
    log/            CASA's logs, one folder an execution block
    script/         the PPR and the pipeline's scripts
    qa/             report.html, the pictures, and the archive's weblog
    provenance.json
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from tasks import disk
from tasks.casa.environment import CASA_LOG
from tasks.casa.request import STEPS
from tasks.workspace import stored
from tasks.workspace.layout import Tree
from tasks.workspace.provenance import Provenance

__all__ = ["PROVENANCE", "Staging", "delivered"]

PROVENANCE = "provenance.json"
_ROOMS = ("calibrated", "calibration", "log", "script", "qa")
_BY_ENDING = {
    ".py": "script", ".pprequest.xml": "script", ".weblog.tgz": "qa", ".casa_commands.log": "log",
}  # fmt: skip


def delivered(destination: Path, key: str) -> Provenance | None:
    """Return the provenance of a finished delivery with this key, or None.

    Raises
    ------
    Failed
        There is a delivery whose provenance cannot be read.
    """
    path = destination / PROVENANCE
    if not path.exists():
        return None
    provenance = stored.read(Provenance, path)
    return provenance if provenance.key == key else None


@dataclass(frozen=True)
class Staging:
    """A delivery in the making; each step may be repeated after an interruption.

    Parameters
    ----------
    destination
        Where it will be.
    key
        The key of what is delivered, which keeps two makings apart.
    """

    destination: Path
    key: str

    @property
    def root(self) -> Path:
        """Where it is put together, beside the destination."""
        return self.destination.with_name(f".{self.destination.name}.{self.key[:12]}.unfinished")

    def begin(self) -> None:
        """Make the folders."""
        for room in _ROOMS:
            (self.root / room).mkdir(mode=0o755, parents=True, exist_ok=True)

    def take_block(self, finished: Path, vis: str) -> None:
        """Move a finished execution block's measurement set, and link its log and picture."""
        for name in (vis, f"{vis}.flagversions"):
            disk.settle(finished / name, self.root / "calibrated" / name)
        log = self.root / "log" / finished.name
        log.mkdir(exist_ok=True)
        for name in (CASA_LOG, STEPS, "stdout.txt", "stderr.txt"):
            _link(finished / name, log / name)
        _link(finished / f"{vis}.png", self.root / "qa" / f"{vis}.png")

    def take_products(self, tree: Tree) -> None:
        """Link the calibration products and the PPR."""
        for path in sorted(tree.products.iterdir()):
            ending = next((end for end in _BY_ENDING if path.name.endswith(end)), "")
            _link(path, self.root / _BY_ENDING.get(ending, "calibration") / path.name)
        for path in sorted(tree.working.glob("PPR_*.xml")):
            _link(path, self.root / "script" / path.name)

    def finish(self, provenance: Provenance, report: str) -> None:
        """Write the report and the provenance, and put the delivery into its place; an older one is replaced."""
        disk.write_whole(self.root / "qa" / "report.html", report.encode())
        disk.write_whole(self.root / PROVENANCE, provenance.model_dump_json(indent=1).encode())
        disk.remove(self.destination)
        disk.settle(self.root, self.destination)


def _link(source: Path, destination: Path) -> None:
    destination.unlink(missing_ok=True)
    if source.exists():
        shutil.copyfile(source, destination)

"""The delivery: what the observer gets, put together in the attempt and renamed into its place when it is whole.

::

    calibrated/     the measurement sets, with their flag versions
    images/         what the pipeline made of them, where images were asked for
    calibration/    what the archive holds of the calibration, as it was used
    log/            CASA's logs, one folder an execution block
    script/         the PPR and the pipeline's scripts
    qa/             report.html, the pictures, and the archive's weblog
    provenance.json
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tasks import disk
from tasks.casa.environment import CASA_LOG
from tasks.casa.request import STEPS
from tasks.workspace import stored
from tasks.workspace.layout import Tree
from tasks.workspace.provenance import Provenance

__all__ = ["PROVENANCE", "REPLACED", "Staging", "delivered"]

PROVENANCE = "provenance.json"
REPLACED = "replaced"
"""The folder of an attempt in which the delivery goes whose place its own takes."""
_ROOMS = ("calibrated", "calibration", "log", "script", "qa")
_BY_ENDING = {
    ".py": "script", ".pprequest.xml": "script", ".weblog.tgz": "qa", ".casa_commands.log": "log",
}  # fmt: skip


def delivered(destination: Path, key: str) -> Provenance | None:
    """Return the provenance of a finished delivery that has this key, or covers it; or None.

    Raises
    ------
    Failed
        There is a delivery whose provenance cannot be read.
    """
    path = destination / PROVENANCE
    if not path.exists():
        return None
    provenance = stored.read(Provenance, path)
    return provenance if key in (provenance.key, *provenance.covers) else None


@dataclass(frozen=True)
class Staging:
    """A delivery in the making; each step may be repeated after an interruption.

    Parameters
    ----------
    tree
        The attempt that it is made of.
    destination
        Where it will be.
    """

    tree: Tree
    destination: Path

    @property
    def root(self) -> Path:
        """Where it is put together."""
        return self.tree.delivery

    def begin(self) -> None:
        """Make the folders."""
        self.destination.parent.mkdir(parents=True, exist_ok=True)
        for room in _ROOMS:
            (self.root / room).mkdir(parents=True, exist_ok=True)

    def take_block(self, vis: str) -> None:
        """Move a finished execution block's measurement set, and copy its log and picture."""
        finished = self.tree.finished(Path(vis).stem)
        for name in (vis, f"{vis}.flagversions"):
            disk.settle(finished / name, self.root / "calibrated" / name)
        log = self.root / "log" / finished.name
        log.mkdir(exist_ok=True)
        for name in (CASA_LOG, STEPS, "stdout.txt", "stderr.txt"):
            _copy(finished / name, log / name)
        _copy(finished / f"{vis}.png", self.root / "qa" / f"{vis}.png")

    def take_images(self) -> None:
        """Move what the pipeline exported."""
        disk.settle(self.tree.exported, self.root / "images")

    def take_products(self, names: Iterable[str], request: Path) -> None:
        """Copy the calibration products and the PPR."""
        for name in names:
            ending = next((end for end in _BY_ENDING if name.endswith(end)), "")
            _copy(self.tree.products / name, self.root / _BY_ENDING.get(ending, "calibration") / name)
        _copy(request, self.root / "script" / request.name)

    def finish(self, provenance: Provenance, report: str) -> None:
        """Write the report and the provenance, and put the delivery into its place; an older one is replaced."""
        disk.write_whole(self.root / "qa" / "report.html", report.encode())
        disk.write_whole(self.root / PROVENANCE, provenance.model_dump_json(indent=1).encode())
        disk.flush(self.root)
        replaced = self.root.with_name(REPLACED)
        disk.remove(replaced)
        if self.destination.exists():
            self.destination.rename(replaced)
        disk.settle(self.root, self.destination)


def _copy(source: Path, destination: Path) -> None:
    destination.unlink(missing_ok=True)
    shutil.copyfile(source, destination)

"""Builds the embedded environment's small observatory: archive, metadata database, and a description of both.

The whole is made once for a version, which is a hash of everything that decides its content, in a folder beside
that is renamed into place when it is complete. So a build that was killed leaves nothing that looks like one, and
a second call finds the first's work.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import mkdtemp

from pydantic import BaseModel, ConfigDict

from deployments.local.ngas_server import archive
from deployments.local.observatory.catalogue import Entry, StoredProduct, fill
from deployments.local.observatory.children import MadeBlock, make_blocks
from deployments.local.observatory.products import image_name, products, site_directory
from deployments.local.observatory.programme import PROGRAMME, Calibration, UnitSet
from deployments.local.observatory.request import BlockRequest
from deployments.local.observatory.shape import Shape
from tasks import disk
from tasks.alma.ids import EntityId
from tasks.casa.environment import measures_directory

__all__ = ["ArchivedBlock", "ArchivedSet", "Observatory", "Progress", "build"]

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many of it are done, and how many there are."""

_DESCRIPTION = "observatory.json"
_DATABASE = "metadata.sqlite"
_ARCHIVE = "ngas"
_REPOSITORY = Path(__file__).parents[3]
_SOURCES = (
    "deployments/local/observatory",
    "deployments/local/ngas_index.py",
    "tasks/alma/tables.py",
    "tasks/casa/recipes/digest.py",
    "tasks/ppr",
)
_README = """\
The small observatory of PPI's embedded environment, version {version}.

Everything in this folder is SIMULATED. Nothing in it was observed by ALMA or any other telescope, whatever its ids
and project codes say. It was made by deployments/local/observatory, shape {shape}, seed {seed}; delete it when you
like: it is made anew when it is needed.
"""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class ArchivedBlock(_Frozen):
    """An execution block.

    Parameters
    ----------
    session
        Its number, from 1.
    rows
        What its measurement set must have.
    fluxes
        Jy by field, as its calibration found them; empty where there is none.
    """

    uid: EntityId
    session: int
    rows: int
    fluxes: dict[str, float]


class ArchivedSet(_Frozen):
    """A member observing unit set, and what it is an example of."""

    mous: EntityId
    project_code: str
    calibration: Calibration
    standing: str
    blocks: tuple[ArchivedBlock, ...]


class Observatory(_Frozen):
    """A built observatory.

    Parameters
    ----------
    folder
        Where it is.
    version
        Hash of everything that decides its content.
    sets
        What it has observed; the first is the one to restore.
    """

    folder: Path
    version: str
    shape: Shape
    seed: int
    sets: tuple[ArchivedSet, ...]

    @property
    def database_url(self) -> str:
        """SQLAlchemy's URL of the metadata database."""
        return f"sqlite:///{self.folder / _DATABASE}"

    @property
    def archive_root(self) -> Path:
        """Folder that the file server is to serve."""
        return self.folder / _ARCHIVE


def build(
    root: Path,
    shape: Shape | None = None,
    seed: int = 1,
    *,
    on_progress: Progress = lambda stage, done, total: None,
    measures: Path | None = None,
) -> Observatory:
    """Return the observatory of a shape and seed under `root`, after building it if it is not there.

    Parameters
    ----------
    root
        Folder of all versions.
    shape
        Size of the execution blocks to restore; the others are small.
    measures
        CASA's measures tables; by default those of the installation.

    Raises
    ------
    Missing
        There are no measures tables.
    Failed
        CASA failed; names its log.
    """
    shape = shape or Shape()
    version = _version(shape, seed)
    folder = root.resolve() / f"observatory-{version[:16]}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with disk.locked(folder.with_suffix(".lock"), wait=True):
        if not (folder / _DESCRIPTION).exists():
            for abandoned in folder.parent.glob(f"{folder.name}.*.building"):
                shutil.rmtree(abandoned, ignore_errors=True)
            unfinished = Path(mkdtemp(prefix=f"{folder.name}.", suffix=".building", dir=folder.parent))
            _build(unfinished, version, shape, seed, measures_directory(measures), on_progress)
            unfinished.rename(folder)
    description = json.loads((folder / _DESCRIPTION).read_bytes())
    return Observatory.model_validate({**description, "folder": folder})


def _version(shape: Shape, seed: int) -> str:
    running = hashlib.sha256(f"{shape} {seed} casatools {importlib.metadata.version('casatools')}".encode())
    for source in _SOURCES:
        path = _REPOSITORY / source
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            running.update(f"\n{file.relative_to(_REPOSITORY)}\n".encode() + file.read_bytes())
    return running.hexdigest()


def _build(folder: Path, version: str, shape: Shape, seed: int, measures: Path, on_progress: Progress) -> None:
    requests = {
        block: _request(unit_set, block, unit_set.shape or shape, seed)
        for unit_set in PROGRAMME
        for block in unit_set.blocks
    }
    work = folder / "work"
    making, storing = (functools.partial(on_progress, stage) for stage in ("execution blocks", "archive"))
    making(0, len(requests))
    made = make_blocks(requests, work, measures, lambda done: making(done, len(requests)))
    entries = []
    for number, unit_set in enumerate(PROGRAMME):
        storing(number, len(PROGRAMME))
        entries.append(Entry(unit_set, unit_set.shape or shape, _archive(folder, unit_set, made)))
    fill(folder / _DATABASE, entries)
    shutil.rmtree(work)
    (folder / "README.txt").write_text(_README.format(version=version, shape=shape, seed=seed))
    _describe(folder, version, shape, seed, made)
    storing(len(PROGRAMME), len(PROGRAMME))


def _request(unit_set: UnitSet, block: EntityId, shape: Shape, seed: int) -> BlockRequest:
    calibrated = unit_set.calibration is Calibration.PIPELINE
    session = unit_set.session_of(block)
    starts = {uid: start for uid, start, _ in unit_set.sessions[session - 1].starts(shape)}
    return BlockRequest(
        block=block.file_form,
        mous=unit_set.mous,
        project=unit_set.project.uid,
        sched_block=unit_set.sched_block,
        session_part=session - 1,
        start=starts[block],
        seed=seed,
        shape=shape,
        calibrate=calibrated,
        image=image_name(unit_set) if calibrated and block == unit_set.blocks[0] else None,
        site_directory=site_directory(unit_set),
    )


def _archive(folder: Path, unit_set: UnitSet, made: Mapping[EntityId, MadeBlock]) -> tuple[StoredProduct, ...]:
    """Write a unit set's products and put them and its raw execution blocks into the archive."""
    own = folder / "work" / unit_set.mous.file_form
    own.mkdir()
    stored = (
        (product, archive(folder / _ARCHIVE, product.path, product.file_id))
        for product in products(unit_set, made, own)
    )
    return tuple(StoredProduct(product.file_id, product.file_class, entry.file_size) for product, entry in stored)


def _describe(folder: Path, version: str, shape: Shape, seed: int, made: Mapping[EntityId, MadeBlock]) -> None:
    sets = tuple(
        ArchivedSet(
            mous=unit_set.mous,
            project_code=unit_set.project.code,
            calibration=unit_set.calibration,
            standing=unit_set.standing,
            blocks=tuple(_describe_block(unit_set, block, made[block]) for block in unit_set.blocks),
        )
        for unit_set in PROGRAMME
    )
    description = Observatory(folder=folder, version=version, shape=shape, seed=seed, sets=sets)
    (folder / _DESCRIPTION).write_text(description.model_dump_json(exclude={"folder"}, indent=1))


def _describe_block(unit_set: UnitSet, block: EntityId, made: MadeBlock) -> ArchivedBlock:
    return ArchivedBlock(
        uid=block, session=unit_set.session_of(block), rows=made.result.rows, fluxes=made.result.fluxes
    )

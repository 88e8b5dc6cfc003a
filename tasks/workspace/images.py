"""What the pipeline makes of the measurement sets that it restored: images, their manifest and their weblog.

It exports them into ``products/``, where the archive's calibration lies as links to the store that all
environments share, and some versions export the calibration over it. So copies are lent to it, and what it made
is taken out.

::

    working/images/
        files/          what was exported
        images.json     what that is; written last
"""

from __future__ import annotations

import filecmp
import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from tasks import disk
from tasks.alma.ids import EntityId
from tasks.casa import fits
from tasks.errors import Failed, Refused
from tasks.ppr import manifest
from tasks.workspace import stored
from tasks.workspace.layout import Tree
from tasks.workspace.provenance import Image

__all__ = ["Imaged", "exporting", "finished", "take"]

_RECORD = "images.json"


class Imaged(BaseModel):
    """What was exported.

    Parameters
    ----------
    images
        The images, and what was exported with them.
    caveats
        What their user should know.
    """

    model_config = ConfigDict(frozen=True)

    images: tuple[Image, ...]
    caveats: tuple[str, ...] = ()


def finished(tree: Tree) -> Imaged | None:
    """Return what was exported, or None where it is not finished or not all there any more."""
    record = tree.images / _RECORD
    if not record.exists():
        return None
    imaged = stored.read(Imaged, record)
    whole = any(_holds(place, imaged) for place in (tree.exported, tree.delivery / "images"))
    return imaged if whole else None


@contextmanager
def exporting(tree: Tree) -> Iterator[Path]:
    """Lend out copies of the products; afterwards these are as they were, whatever became of the copies.

    Yields
    ------
    The directory of this attempt, for `take`; what lies in ``products/`` at the end will be in it.
    """
    directory, aside = tree.new_attempt("images"), tree.working / "attempts" / "products"
    disk.remove(aside)
    tree.products.rename(aside)
    try:
        shutil.copytree(aside, tree.products, copy_function=shutil.copyfile)
        yield directory
    finally:
        tree.products.rename(directory / tree.exported.name)
        aside.rename(tree.products)


def take(directory: Path, tree: Tree, observation: EntityId) -> Imaged:
    """Take what was exported: whole, with all the images that its manifest names, its record written last.

    Raises
    ------
    Failed
        There is no image, or one is missing or not whole; all of it is left for inspection.
    """
    files = directory / tree.exported.name
    for path in files.iterdir():
        if _is_as_lent(path, tree.products / path.name):
            path.unlink()
    manifests = sorted(files.glob("*pipeline_manifest.xml"))
    if faults := (*_image_faults(files), *(fault for path in manifests for fault in _absent(path))):
        raise Failed(f"the images of {observation}", todo=f"look into {files}", reasons=faults)
    unlisted = "the pipeline left no manifest of its images: whether one is missing is not known"
    imaged = Imaged(images=_listed(files), caveats=() if manifests else (unlisted,))
    disk.write_whole(directory / _RECORD, imaged.model_dump_json(indent=1).encode())
    disk.settle(directory, tree.images)
    return imaged


def _is_as_lent(path: Path, product: Path) -> bool:
    return product.is_file() and filecmp.cmp(path, product, shallow=False)


def _image_faults(files: Path) -> tuple[str, ...]:
    images = sorted(files.rglob("*.fits"))
    if not images:
        return ("the pipeline exported no image (*.fits)",)
    return tuple(f"{path.name}: {why}" for path in images if (why := fits.fault(path)))


def _absent(path: Path) -> tuple[str, ...]:
    """Say which images a manifest names that are not there."""
    try:
        names = manifest.read_images(path.read_bytes())
    except Refused as error:
        return (f"{path.name}: {error.why}",)
    return tuple(f"{name} is not there, but {path.name} names it" for name in names if not _is_beside(path, name))


def _is_beside(path: Path, name: str) -> bool:
    return name in {each.name for each in path.parent.iterdir()}


def _listed(files: Path) -> tuple[Image, ...]:
    return tuple(_image(path, files) for path in sorted(files.rglob("*")) if path.is_file())


def _image(path: Path, files: Path) -> Image:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return Image(name=path.relative_to(files).as_posix(), size=path.stat().st_size, sha256=digest)


def _holds(place: Path, imaged: Imaged) -> bool:
    paths = [(place / image.name, image.size) for image in imaged.images]
    return all(path.is_file() and path.stat().st_size == size for path, size in paths)

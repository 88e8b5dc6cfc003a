"""What of a delivery is archived, under which names, and whether it may be.

::

    calibrated/<eb>.ms, .flagversions   <mous>.<eb>.ms.tar            one each, made while it is sent
    images/*.fits                       <mous>.images.<name>          one each
    images/ otherwise                   <mous>.images.tar
    log/, script/                       <mous>.log.tar, <mous>.script.tar
    qa/report.html                      <mous>.report.html            with its pictures
    provenance.json                     <mous>.provenance.json        the last: where it is, the others are

What came from the archive is there already: ``calibration/``, and the weblog.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from tasks.alma.ids import EntityId
from tasks.casa.verdict import Outcome, worst
from tasks.catalog.archived import Delivery
from tasks.errors import Failed, Missing, Refused
from tasks.ngas.content import Content, Packed, Source
from tasks.usage import Work
from tasks.workspace import stored
from tasks.workspace.delivery import PROVENANCE
from tasks.workspace.layout import Area
from tasks.workspace.provenance import Provenance

__all__ = ["STAGE", "Consignment", "Lot", "Product", "look_at"]

STAGE: Final = "archive"
"""The stage in which it is done."""
_LONGEST: Final = 256
"""Characters of a name in the archive that the catalog takes."""
_PROVEN: Final = (Outcome.SUCCESS, Outcome.CAVEATS)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Product(_Frozen):
    """What is one file in the archive.

    Parameters
    ----------
    path
        What it is of the delivery.
    file_id
        What the archive is to call it.
    size
        Bytes.
    members
        For a tar, what goes into it, beside each other.
    sha256
        Its hash when it was delivered, where that is known.
    """

    path: str
    file_id: str
    size: int
    members: tuple[str, ...] = ()
    sha256: str | None = None

    def content(self, delivery: Path) -> Content:
        """Look at what is to be archived.

        Raises
        ------
        Missing, Refused, Failed
            It is not there, is none, or is not what was delivered.
        """
        if self.members:
            return Packed.of((delivery / self.path).parent, self.members)
        source = Source.of(delivery / self.path)
        if self.sha256 and self.sha256 != _sha256(source.path):
            raise Failed(f"{source.path} is not archived", "it is not what was delivered", "restore it again")
        return source


class Lot(_Frozen):
    """What is archived as one piece of work.

    Parameters
    ----------
    name
        What people know it by.
    products
        What it is.
    """

    name: str
    products: tuple[Product, ...]

    @property
    def size(self) -> int:
        """Bytes of all."""
        return sum(product.size for product in self.products)

    @property
    def work(self) -> Work:
        """The piece of work."""
        return Work(STAGE, "archive", self.name, size=self.size)


class Consignment(_Frozen):
    """A delivery that is to be archived.

    Parameters
    ----------
    delivery
        Which.
    lots
        What is archived, in any order.
    last
        What is archived after all that.
    """

    delivery: Delivery
    lots: tuple[Lot, ...]
    last: Lot

    @property
    def products(self) -> tuple[Product, ...]:
        """All that is archived."""
        return tuple(product for lot in (*self.lots, self.last) for product in lot.products)


def look_at(area: Area, mous: EntityId, profile: str, key: str | None = None) -> Consignment:
    """Look at what was delivered of an observation.

    Parameters
    ----------
    area
        Where.
    profile
        Whose area that is.
    key
        That of the delivery, if it must be a certain one.

    Raises
    ------
    Missing
        Nothing was delivered, or not all of it is there.
    Refused
        It is not proven to be right, or another one.
    Failed
        Its provenance cannot be read.
    """
    place = _place(area, mous)
    provenance = stored.read(Provenance, place / PROVENANCE)
    _require_proven(provenance, mous)
    _require_key(provenance, key)
    delivery = Delivery(
        profile=profile,
        observation=str(mous),
        project=provenance.project,
        path=str(place),
        key=provenance.key,
        provenance=_sha256(place / PROVENANCE),
        flow_run=provenance.flow_run,
    )
    last = _single(place, mous, PROVENANCE)
    made = Consignment(delivery=delivery, lots=tuple(_lots(place, mous, provenance)), last=last)
    _require_names(product.file_id for product in made.products)
    return made


def _place(area: Area, mous: EntityId) -> Path:
    found = sorted(area.deliveries.glob(f"*/MOUS_{mous.file_form}/{PROVENANCE}"))
    if not found:
        raise Missing(f"a delivery of {mous}", f"there is none in {area.deliveries}", "restore it first")
    if len(found) > 1:
        projects = ", ".join(path.parent.parent.name for path in found)
        raise Refused(f"the delivery of {mous}", f"there are several, of {projects}", "move the wrong one away")
    return found[0].parent


def _require_proven(provenance: Provenance, mous: EntityId) -> None:
    """Refuse what was not proven; without an execution block nothing was."""
    verdict = worst((provenance.verdict, *(block.verdict for block in provenance.blocks)))
    if provenance.observation != str(mous):
        raise Refused(f"the delivery of {mous}", f"its provenance is of {provenance.observation}", "restore it")
    if verdict.outcome not in _PROVEN or not provenance.blocks:
        why = "; ".join(verdict.reasons) or "it has no execution block"
        raise Refused(f"the delivery of {mous} is not archived", f"it is not proven: {why}", "restore it again")


def _require_key(provenance: Provenance, key: str | None) -> None:
    if key is not None and key not in (provenance.key, *provenance.covers):
        what = f"the delivery of {provenance.observation} is not archived"
        raise Refused(what, f"its key is {provenance.key}, and not {key}", "see `ppi history` for what made it")


def _require_names(names: Iterable[str]) -> None:
    for name, count in Counter(names).items():
        if count > 1 or len(name) > _LONGEST:
            why = "two files would be called so" if count > 1 else f"it has more than {_LONGEST} characters"
            raise Refused(f"{name} can be no name in the archive", why, "tell who made the images")


def _lots(place: Path, mous: EntityId, provenance: Provenance) -> Iterator[Lot]:
    for block in provenance.blocks:
        members = (block.vis, f"{block.vis}.flagversions")
        tar = _tar(place, mous, f"calibrated/{block.vis}", f"{block.vis}.tar", members)
        yield Lot(name=block.uid, products=(tar,))
    if images := tuple(_images(place, mous, provenance)):
        yield Lot(name="images", products=images)
    for room in ("log", "script"):
        if (place / room).is_dir() and any((place / room).iterdir()):
            yield Lot(name=room, products=(_tar(place, mous, room, f"{room}.tar", (room,)),))
    yield _single(place, mous, "qa/report.html")


def _images(place: Path, mous: EntityId, provenance: Provenance) -> Iterator[Product]:
    for image in provenance.images:
        if image.name.endswith(".fits"):
            file_id = f"{mous.file_form}.images.{image.name.replace('/', '.')}"
            path = f"images/{image.name}"
            _require_size(place / path, image.size)
            yield Product(path=path, file_id=file_id, size=image.size, sha256=image.sha256)
    others = tuple(f"images/{image.name}" for image in provenance.images if not image.name.endswith(".fits"))
    if others:
        yield _tar(place, mous, "images", "images.tar", others)


def _require_size(path: Path, size: int) -> None:
    if not path.is_file() or path.stat().st_size != size:
        why = f"it is not there with its {size} bytes"
        raise Missing(f"{path} is not archived", why, "restore it again, with --again")


def _tar(place: Path, mous: EntityId, path: str, name: str, members: tuple[str, ...]) -> Product:
    size = Packed.of((place / path).parent, members).size
    return Product(path=path, file_id=f"{mous.file_form}.{name}", size=size, members=members)


def _single(place: Path, mous: EntityId, path: str) -> Lot:
    size = Source.of(place / path).size
    product = Product(path=path, file_id=f"{mous.file_form}.{Path(path).name}", size=size)
    return Lot(name=Path(path).name, products=(product,))


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()

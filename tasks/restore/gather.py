"""Bring what a plan needs into the processing directory: through the shared store, verified, each step once."""

from __future__ import annotations

from pathlib import Path

from tasks import disk
from tasks.errors import Refused
from tasks.ngas.client import NgasClient
from tasks.ngas.store import Held, Store
from tasks.ngas.tar import unpack
from tasks.ppr import xml as ppr_xml
from tasks.progress import Item
from tasks.restore.plan import Plan, PlannedBlock, PlannedFile
from tasks.workspace.layout import Tree
from tasks.workspace.provenance import Input

__all__ = ["fetch_block", "fetch_products", "request_path", "write_request"]


def fetch_products(plan: Plan, tree: Tree, store: Store, client: NgasClient) -> tuple[Input, ...]:
    """Fetch the calibration products and link them into ``products/``."""
    return tuple(_fetch(file, tree.products / file.name, store, client) for file in plan.products)


def fetch_block(block: PlannedBlock, tree: Tree, store: Store, client: NgasClient) -> tuple[Input, ...]:
    """Fetch an execution block and unpack it in ``rawdata/``; nothing is done for one that is unpacked already.

    Raises
    ------
    Refused
        The archive does not hold one ASDM, or wants to write outside its folder.
    """
    with _under_way(block.raw) as item, store.using(client, block.raw.stored, item) as held:
        if not (tree.rawdata / block.raw.name).exists():
            item.step("unpacking")
            _unpack(held, block, tree)
    return (_input(block.raw, held),)


def _unpack(held: Held, block: PlannedBlock, tree: Tree) -> None:
    unpacked = tree.rawdata / f".{block.raw.name}.unpacked"
    disk.remove(unpacked)
    tops = unpack(held.path, unpacked)
    disk.settle(_only_asdm(unpacked, tops, block), tree.rawdata / block.raw.name)
    unpacked.rmdir()


def write_request(plan: Plan, tree: Tree, site: str, operator: str) -> Path:
    """Write the attempt's PPR into ``working/``; the same attempt always writes the same bytes."""
    path = request_path(plan, tree)
    disk.write_whole(path, ppr_xml.write(plan.request(tree.stamp, site, operator)))
    return path


def request_path(plan: Plan, tree: Tree) -> Path:
    """Return where the PPR is: it bears the name of the scheduling block's status entity."""
    status = plan.observation.sched_block_status or plan.observation.mous
    return tree.working / f"PPR_{status.file_form}.xml"


def _fetch(file: PlannedFile, destination: Path, store: Store, client: NgasClient) -> Input:
    with _under_way(file) as item, store.using(client, file.stored, item) as held:
        store.place(held, destination)
    return _input(file, held)


def _under_way(file: PlannedFile) -> Item:
    return Item("gather", file.name, file.stored.size)


def _input(file: PlannedFile, held: Held) -> Input:
    stored, transfer = file.stored, held.transfer
    how = {"server", "seconds", "attempts", "resumed_from", "method"}
    return Input(
        name=file.name,
        file_id=stored.file_id,
        version=stored.version,
        size=stored.size,
        checksum=str(stored.checksum) if stored.checksum else None,
        **(transfer.model_dump(include=how) if transfer else {}),
    )


def _only_asdm(unpacked: Path, tops: tuple[str, ...], block: PlannedBlock) -> Path:
    name = block.uid.file_form
    if len(tops) != 1 or tops[0] not in (name, f"{name}.asdm.sdm"):
        raise Refused(
            f"{block.raw.stored.file_id}",
            f"it holds {', '.join(tops) or 'nothing'} instead of {name}",
            "have the archive's copy checked",
        )
    return unpacked / tops[0]

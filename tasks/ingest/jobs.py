"""What an ingest has done by its workers, here or on another host: plain functions of values that travel."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from tasks.catalog.archived import Archived
from tasks.errors import Missing
from tasks.ingest.consignment import STAGE, Lot, Product
from tasks.ngas.archive import Archive
from tasks.ngas.client import NgasClient
from tasks.ngas.model import StoredFile
from tasks.progress import Item

__all__ = ["Placed", "archive_lot", "found"]


class Placed(BaseModel):
    """A file that the archive has now.

    Parameters
    ----------
    file
        The file.
    was_there
        Whether nothing had to be sent for it.
    """

    model_config = ConfigDict(frozen=True)

    file: Archived
    was_there: bool


def archive_lot(archive: Archive, delivery: str, lot: Lot, known: Mapping[str, Archived]) -> tuple[Placed, ...]:
    """Have the archive have all files of a lot, and send it only what it has not.

    Parameters
    ----------
    archive
        The archive.
    delivery
        Where the delivery is.
    lot
        What of it.
    known
        What was written down of the delivery, by path: such a file is looked for, but not read again.

    Raises
    ------
    PpiError
        The archive cannot be asked or does not take it, or a file is not what was delivered.
    """
    client = archive.client
    return tuple(
        found(client, product, known.get(product.path)) or _sent(client, product, Path(delivery))
        for product in lot.products
    )


def found(client: NgasClient, product: Product, known: Archived | None) -> Placed | None:
    """Look whether the archive still has what was written down; return None where it has not, or nothing was."""
    if known is None or (known.file_id, known.size) != (product.file_id, product.size):
        return None
    try:
        there = _archived(product, client.describe(known.file_id, known.version))
    except Missing:
        return None
    if (there.size, there.checksum) != (known.size, known.checksum):
        return None
    with Item(STAGE, product.file_id, product.size) as item:
        item.found(product.size)
    return Placed(file=there, was_there=True)


def _sent(client: NgasClient, product: Product, delivery: Path) -> Placed:
    sent = 0
    with Item(STAGE, product.file_id, product.size) as item:

        def count(done: int) -> None:
            nonlocal sent
            sent += done
            item(done)

        stored = client.archive_content(product.content(delivery), product.file_id, on_bytes=count)
        item.found(stored.size - sent)
    return Placed(file=_archived(product, stored), was_there=not sent)


def _archived(product: Product, stored: StoredFile) -> Archived:
    return Archived(
        path=product.path,
        file_id=stored.file_id,
        version=stored.version,
        size=stored.size,
        checksum=str(stored.checksum or "none"),
        server=stored.server,
    )

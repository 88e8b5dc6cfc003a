"""`ppi ingest --dry-run`: what the archive has of a delivery, as the catalog knows, and what it would get."""

from __future__ import annotations

from blocks.profile import Profile
from cli._console import out, print_json
from tasks.alma.ids import EntityId
from tasks.catalog.archived import Archived
from tasks.catalog.tasks import known_database_of
from tasks.ingest.consignment import Consignment, Product
from tasks.ingest.jobs import found
from tasks.ingest.tasks import ingestions_of, look_at_delivery
from tasks.ngas.tasks import archive_client
from tasks.report.units import size

__all__ = ["show"]


def show(profile: Profile, mous: str, as_json: bool) -> None:
    """Print what would be archived; nothing is changed, and what may be large is not read."""
    consignment = look_at_delivery(profile, EntityId.parse(mous))
    known = _known(profile, consignment)
    client = archive_client(profile)
    there = {
        product.file_id: placed.file
        for product in consignment.products
        if (placed := found(client, product, known.get(product.path)))
    }
    if as_json:
        print_json(_as_json(consignment, there))
        return
    console, delivery = out(), consignment.delivery
    console.print(f"{delivery.observation} ({delivery.project}), from {delivery.path}", style="bold")
    for product in consignment.products:
        console.print(_line(product, there.get(product.file_id)))


def _known(profile: Profile, consignment: Consignment) -> dict[str, Archived]:
    return ingestions_of(profile).known(consignment.delivery) if known_database_of(profile) else {}


def _line(product: Product, there: Archived | None) -> str:
    how = f"is there, version {there.version} on {there.server}" if there else "would be archived"
    return f"  {product.file_id}  {size(product.size)}  {how}"


def _as_json(consignment: Consignment, there: dict[str, Archived]) -> dict[str, object]:
    delivery = consignment.delivery
    return {
        "observation": delivery.observation,
        "project": delivery.project,
        "delivery": delivery.path,
        "key": delivery.key,
        "files": [_product(product, there.get(product.file_id)) for product in consignment.products],
    }


def _product(product: Product, there: Archived | None) -> dict[str, object]:
    stored = there.model_dump(include={"version", "checksum", "server"}) if there else {}
    own = product.model_dump(include={"path", "file_id", "size"})
    return own | {"was_there": there is not None} | stored

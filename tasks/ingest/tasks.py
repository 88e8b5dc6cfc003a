"""The ingest's Prefect tasks: each loads what its profile holds, where it runs, and calls plain functions."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from blocks.current import current
from blocks.profile import Profile
from tasks._task import task
from tasks.alma.ids import EntityId
from tasks.catalog.archived import Ingestions
from tasks.catalog.tasks import catalog_of, database_of
from tasks.errors import PpiError
from tasks.ingest import consignment as consignments
from tasks.ingest import jobs
from tasks.ingest.consignment import Consignment, Lot
from tasks.ingest.jobs import Placed
from tasks.ngas.tasks import archive_of
from tasks.place import place
from tasks.workspace.layout import Area

__all__ = ["archive_last", "archive_lot", "ingestions_of", "look_at", "look_at_delivery", "noted"]

_log = logging.getLogger("ppi.ingest")


def ingestions_of(profile: Profile) -> Ingestions:
    """Return the archiving of deliveries as a profile's catalog knows it; that must be up to date."""
    return Ingestions(database_of(profile), announces=profile.broker.url is not None)


def look_at_delivery(profile: Profile, mous: EntityId, key: str | None = None) -> Consignment:
    """Look at what was delivered of an observation; see `tasks.ingest.consignment`."""
    return consignments.look_at(Area(profile.processing.root_directory), mous, profile.name, key)


@task("look at the delivery of {mous}")
def look_at(profile: str, mous: EntityId, key: str | None) -> Consignment:
    """Look at what was delivered; see `tasks.ingest.consignment`."""
    return look_at_delivery(current(profile), mous, key)


@contextmanager
def noted(profile: Profile, consignment: Consignment, run: str) -> Iterator[None]:
    """Write down that a run archives a delivery; if that does not come to its end, that it has failed.

    Raises
    ------
    PpiError
        The catalog cannot be used.
    """
    catalog_of(profile)
    ingestions = ingestions_of(profile)
    ingestions.begin(consignment.delivery, run)
    try:
        yield
    except BaseException:
        try:
            ingestions.fail(consignment.delivery, run)
        except PpiError as error:
            _log.warning("that it failed is not recorded: %s", error)
        raise


@task("archive {lot.name}", retries=2)
def archive_lot(profile: str, consignment: Consignment, lot: Lot) -> tuple[Placed, ...]:
    """Archive a part of a delivery, and write down what the archive has of it."""
    environment = current(profile)
    placed = _placed(environment, consignment, lot)
    ingestions_of(environment).add(consignment.delivery, (each.file for each in placed), datetime.now(UTC))
    return placed


@task("archive the provenance", retries=2)
def archive_last(profile: str, consignment: Consignment, run: str) -> tuple[Placed, bool]:
    """Archive what says that all the rest is archived; return with it whether that is news."""
    environment = current(profile)
    (placed,) = _placed(environment, consignment, consignment.last)
    ingestions = ingestions_of(environment)
    return placed, ingestions.complete(consignment.delivery, run, placed.file, datetime.now(UTC))


def _placed(profile: Profile, consignment: Consignment, lot: Lot) -> tuple[Placed, ...]:
    delivery = consignment.delivery
    known = ingestions_of(profile).known(delivery)
    of_lot = {product.path: known[product.path] for product in lot.products if product.path in known}
    return place().run(lot.work, jobs.archive_lot, archive_of(profile), delivery.path, lot, of_lot)

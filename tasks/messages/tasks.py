"""A profile's messages: its broker, its queues, and the service that minds them with its catalog."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from blocks.profile import Profile
from tasks.catalog.book import Book
from tasks.catalog.heard import Heard
from tasks.catalog.outbox import Outbox
from tasks.catalog.request import Change
from tasks.catalog.tasks import catalog_of, database_of
from tasks.errors import Refused
from tasks.lease import Claim
from tasks.messages.broker import Broker, Queues
from tasks.messages.intake import Intake
from tasks.messages.sending import Sender
from tasks.messages.service import Service

__all__ = ["broker_of", "queues_of", "service_of"]

_LEASES: Final = ".messages"


def broker_of(profile: Profile) -> Broker:
    """Return the broker of a profile.

    Raises
    ------
    Refused
        The profile names none.
    """
    named = profile.broker
    if named.url is None:
        todo = "set ppi.broker.url, or do without messages: sweeps find what is to be done too"
        raise Refused(f"the messages of profile {profile.name}", "the profile names no broker", todo)
    return Broker(named.url, named.username, named.password.get_secret_value(), named.exchange)


def queues_of(profile: Profile) -> Queues:
    """Return the names of a profile's queues."""
    return Queues(profile.name)


def service_of(profile: Profile, workflow: str, tell: Callable[[tuple[Change, ...]], None]) -> Service:
    """Return the service that listens and sends for a profile.

    Parameters
    ----------
    workflow
        What is asked for when an observation was ingested.
    tell
        Called with what was changed in the catalog.

    Raises
    ------
    Refused
        The profile names no broker.
    """
    broker, database = broker_of(profile), database_of(profile)
    folder = profile.processing.root_directory / _LEASES
    return Service(
        broker,
        queues_of(profile),
        Intake(profile.name, workflow, Book(database), Heard(database), lambda: _require_ready(profile)),
        Sender(Outbox(database), broker.exchange, Claim(folder, "sending", f"messages of {profile.name}")),
        tell,
    )


def _require_ready(profile: Profile) -> None:
    """See that the catalog is there, ours and up to date; one that is not there yet is made.

    Raises
    ------
    Transient, Refused, Missing
        It cannot be used.
    """
    catalog_of(profile)

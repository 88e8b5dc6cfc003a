"""The archive and the store as a profile names them, for whoever works in its name."""

from __future__ import annotations

from blocks.profile import Profile
from blocks.sections import Ngas, Processing
from tasks.ngas.client import NgasClient
from tasks.ngas.store import Store
from tasks.ngas.streams import Streams

__all__ = ["archive_client", "client_of", "shared_store", "shared_streams", "store_of"]


def archive_client(profile: Profile) -> NgasClient:
    """Return a client of the profile's NGAS."""
    return client_of(profile.ngas, profile.processing)


def client_of(ngas: Ngas, processing: Processing) -> NgasClient:
    """Return a client of an NGAS, which shares its streams with the users of a store."""
    return NgasClient(
        ngas.servers,
        username=ngas.username,
        password=ngas.password.get_secret_value(),
        timeout=ngas.timeout_seconds,
        streams=_streams(ngas, processing),
    )


def shared_streams(profile: Profile) -> Streams:
    """Return the places for streams from the archive's servers that the store's users share."""
    return _streams(profile.ngas, profile.processing)


def shared_store(profile: Profile) -> Store:
    """Return the store that the profile's site shares."""
    return store_of(profile.processing)


def store_of(processing: Processing) -> Store:
    """Return the store of a site."""
    return Store(processing.store_directory)


def _streams(ngas: Ngas, processing: Processing) -> Streams:
    return Streams(processing.store_directory / ".streams", ngas.streams_per_server)

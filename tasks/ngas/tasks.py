"""The archive and the store as a profile names them, for whoever works in its name."""

from __future__ import annotations

from blocks.profile import Profile
from tasks.ngas.client import NgasClient
from tasks.ngas.store import Store
from tasks.ngas.streams import Streams

__all__ = ["archive_client", "shared_store", "shared_streams"]


def archive_client(profile: Profile) -> NgasClient:
    """Return a client of the profile's NGAS."""
    ngas = profile.ngas
    return NgasClient(
        ngas.servers,
        username=ngas.username,
        password=ngas.password.get_secret_value(),
        timeout=ngas.timeout_seconds,
        streams=shared_streams(profile),
    )


def shared_streams(profile: Profile) -> Streams:
    """Return the places for streams from the archive's servers that the store's users share."""
    return Streams(profile.processing.store_directory / ".streams", profile.ngas.streams_per_server)


def shared_store(profile: Profile) -> Store:
    """Return the store that the profile's site shares."""
    return Store(profile.processing.store_directory)

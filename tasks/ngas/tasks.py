"""The archive and the store as a profile names them, for whoever works in its name."""

from __future__ import annotations

from blocks.profile import Profile
from tasks.ngas.archive import Archive
from tasks.ngas.client import NgasClient
from tasks.ngas.store import Store
from tasks.ngas.streams import Streams

__all__ = ["archive_client", "archive_of", "shared_store", "shared_streams"]


def archive_of(profile: Profile) -> Archive:
    """Return the profile's NGAS, and its site's store."""
    ngas = profile.ngas
    return Archive(
        ngas.servers,
        profile.processing.store_directory,
        ngas.streams_per_server,
        ngas.timeout_seconds,
        ngas.username,
        ngas.password.get_secret_value(),
    )


def archive_client(profile: Profile) -> NgasClient:
    """Return a client of the profile's NGAS."""
    return archive_of(profile).client


def shared_streams(profile: Profile) -> Streams:
    """Return the places for streams from the archive's servers that the store's users share."""
    return archive_of(profile).streams


def shared_store(profile: Profile) -> Store:
    """Return the store that the profile's site shares."""
    return archive_of(profile).store

"""The archive's metadata as a profile names it."""

from __future__ import annotations

from blocks.profile import Profile
from tasks.alma.archive import MetadataArchive

__all__ = ["metadata_of"]


def metadata_of(profile: Profile) -> MetadataArchive:
    """Return the metadata database of a profile; nothing is asked of it yet."""
    tables = profile.metadata
    return MetadataArchive(
        tables.url,
        schema=tables.schema_name,
        username=tables.username,
        password=tables.password.get_secret_value(),
    )

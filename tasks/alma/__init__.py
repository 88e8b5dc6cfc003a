"""The ALMA archive's metadata, because a restore begins with knowing what an observation is and who may see it.

An `EntityId` names a member observing unit set (MOUS); a `MetadataArchive` answers with its
`ObservingUnitSet`: its place in the project, sessions, execution blocks and files. `decide` says whether it may
be restored.
"""

from __future__ import annotations

from tasks.alma.access import Decision, Standing, decide, require
from tasks.alma.archive import MetadataArchive
from tasks.alma.ids import EntityId
from tasks.alma.model import ArchiveFile, Delivery, Evidence, ExecutionBlock, ObservingUnitSet, Session

__all__ = [
    "ArchiveFile",
    "Decision",
    "Delivery",
    "EntityId",
    "Evidence",
    "ExecutionBlock",
    "MetadataArchive",
    "ObservingUnitSet",
    "Session",
    "Standing",
    "decide",
    "require",
]

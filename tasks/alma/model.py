"""What the ALMA archive knows of one observation, in plain values that need no database to be held or sent."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from tasks.alma.ids import EntityId

__all__ = ["ArchiveFile", "Delivery", "Evidence", "ExecutionBlock", "ObservingUnitSet", "Session"]

_HAND_CALIBRATION = re.compile(r"scriptFor.*Cal", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Evidence:
    """All of an observation that decides whether it may be restored; see `tasks.alma.access.decide`.

    Parameters
    ----------
    calibration, science
        Whether the archive has products of this class.
    hand_script
        A script by which people calibrated it.
    state, qa2_status
        As the archive writes them.
    release_date
        Aware, UTC; None if unknown, which is to be taken as proprietary.
    """

    mous: EntityId
    project_code: str
    calibration: bool
    science: bool
    hand_script: str | None
    state: str | None
    qa2_status: str | None
    release_date: datetime | None


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Session(_Frozen):
    """Execution blocks that were observed in one go, and so are calibrated together."""

    number: int
    """Position in the MOUS's status XML, from 1, empty sessions counted: the N of ``SESSION_N``."""
    execution_blocks: tuple[EntityId, ...]
    """In document order; empty for a session that was begun and aborted."""
    start: str | None
    """As the archive wrote it; None if unknown."""
    end: str | None
    """As the archive wrote it; None if missing, NULL or not known yet."""


class ArchiveFile(_Frozen):
    """A file of the archive, by its name in NGAS."""

    file_id: str
    file_class: str
    """``raw``, ``calibration``, ``science``, ``script``, ... as the archive has it."""
    size: int | None
    """Bytes as the archive's tables have it; None if they do not."""


class ExecutionBlock(_Frozen):
    """One execution of a scheduling block: the ASDM that is restored."""

    uid: EntityId
    sched_block: EntityId | None
    raw: ArchiveFile
    """``<file form of uid>.asdm.sdm.tar``."""


class Delivery(_Frozen):
    """What was said to the PI, and when the public may see it."""

    name: str
    release_date: datetime | None
    """Aware, UTC; None if unknown, which is to be taken as proprietary."""
    qa2_passed: str | None


class ObservingUnitSet(_Frozen):
    """A member observing unit set (MOUS) with its place in the project and its execution blocks."""

    mous: EntityId
    gous: EntityId | None
    sous: EntityId | None
    project_code: str
    project_uid: EntityId
    project_status: EntityId | None
    """The id of the project's status entity."""
    part_id: str | None
    """The MOUS's part of the project's document, such as ``X870875696``."""
    sched_block: EntityId | None
    sched_block_status: EntityId | None
    """The id of the scheduling block's status entity."""
    state: str | None
    """The MOUS's life-cycle state, such as ``ReadyForProcessing``."""
    qa2_status: str | None
    sessions: tuple[Session, ...]
    """In document order, empty ones included."""
    execution_blocks: tuple[ExecutionBlock, ...]
    """By session, then start date, then id."""
    products: tuple[ArchiveFile, ...]
    """Every archived file of the MOUS but the raw ones."""
    delivery: Delivery | None

    def products_of(self, file_class: str) -> tuple[ArchiveFile, ...]:
        """Return the products of one class, whatever the case in which the archive writes it."""
        return tuple(file for file in self.products if file.file_class.casefold() == file_class.casefold())

    @property
    def evidence(self) -> Evidence:
        """What decides whether it may be restored."""
        scripts = (file.file_id for file in self.products_of("script"))
        return Evidence(
            mous=self.mous,
            project_code=self.project_code,
            calibration=bool(self.products_of("calibration")),
            science=bool(self.products_of("science")),
            hand_script=next(filter(_HAND_CALIBRATION.search, scripts), None),
            state=self.state,
            qa2_status=self.qa2_status,
            release_date=self.delivery.release_date if self.delivery else None,
        )

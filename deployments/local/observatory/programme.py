"""What the small observatory has observed: one unit set for each answer that an archive can give.

The first is the test set of the ALMA restore's own notes (project 2017.1.00886.L), with its four execution blocks;
the others are inventions. All data are simulated.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from deployments.local.observatory.shape import Shape
from deployments.local.observatory.sky import duration
from tasks.alma.ids import EntityId

__all__ = ["PROGRAMME", "Calibration", "Project", "SessionPlan", "UnitSet"]

_SMALL = Shape(antennas=6, spws=2, channels=16, cycles=1)
_PAUSE = timedelta(minutes=3)


class Calibration(StrEnum):
    """How far a unit set has come."""

    PIPELINE = "pipeline"
    HAND = "hand"
    NONE = "none"


@dataclass(frozen=True)
class Project:
    """A project and its documents."""

    code: str
    uid: EntityId
    status: EntityId


@dataclass(frozen=True)
class SessionPlan:
    """A session: its execution blocks one after the other.

    Parameters
    ----------
    start
        UTC.
    ended
        Whether its end was ever written down.
    """

    start: datetime
    blocks: tuple[EntityId, ...]
    ended: bool = True

    def starts(self, shape: Shape) -> Iterator[tuple[EntityId, datetime, datetime]]:
        """Return each execution block with its start and end."""
        length = timedelta(seconds=duration(shape))
        for number, block in enumerate(self.blocks):
            start = self.start + number * (length + _PAUSE)
            yield block, start, start + length


@dataclass(frozen=True)
class UnitSet:
    """A member observing unit set and everything that the archive knows of it.

    Parameters
    ----------
    release
        When the public may see it; None where nothing was delivered.
    standing
        What it is an example of.
    shape
        Of its execution blocks; None for the one that the build is asked for.
    """

    mous: EntityId
    gous: EntityId
    sous: EntityId
    part_id: str
    project: Project
    sched_block: EntityId
    sched_block_status: EntityId
    sessions: tuple[SessionPlan, ...]
    state: str
    calibration: Calibration
    release: datetime | None
    standing: str
    shape: Shape | None = None

    @property
    def blocks(self) -> tuple[EntityId, ...]:
        """Execution blocks in the order of the sessions."""
        return tuple(block for session in self.sessions for block in session.blocks)

    @property
    def delivery_name(self) -> str:
        """The archive's name of what was delivered."""
        return f"{self.project.code}_{self.mous.file_form}"

    def session_of(self, block: EntityId) -> int:
        """Return the number, from 1, of the session of an execution block."""
        return next(number for number, session in enumerate(self.sessions, 1) if block in session.blocks)


def _uid(text: str) -> EntityId:
    return EntityId.parse(f"uid://{text}")


def _night(day: int) -> datetime:
    return datetime(2017, 10, day, 23, tzinfo=UTC)


def _invented(
    number: int, block: str, state: str, calibration: Calibration, release: datetime | None, standing: str
) -> UnitSet:
    """Return an invented unit set of one execution block; its ids follow from its number."""
    own = [_uid(f"A001/X1284/X{0x9900 + 16 * number + offset:x}") for offset in range(7)]
    return UnitSet(
        mous=own[2], gous=own[1], sous=own[0], part_id=f"X99000000{number}",
        project=Project(f"2017.1.0990{number}.S", own[5], own[6]),
        sched_block=own[3], sched_block_status=own[4],
        sessions=(SessionPlan(_night(24 + number), (_uid(block),)),),
        state=state, calibration=calibration, release=release, standing=standing,
        shape=_SMALL,
    )  # fmt: skip


PROGRAMME = (
    UnitSet(
        mous=_uid("A001/X1284/X265f"), gous=_uid("A001/X1284/X265e"), sous=_uid("A001/X1284/X265d"),
        part_id="X870875696",
        project=Project("2017.1.00886.L", _uid("A001/X1220/Xdd9"), _uid("A001/X1220/Xddd")),
        sched_block=_uid("A001/X1284/X2641"), sched_block_status=_uid("A001/X1284/X2660"),
        sessions=(
            SessionPlan(_night(20), (_uid("A002/Xc7111c/X3979"), _uid("A002/Xc7111c/X409e"))),
            SessionPlan(_night(21), (), ended=False),
            SessionPlan(_night(22), (_uid("A002/Xc7111c/X86a7"),)),
            SessionPlan(_night(24), (_uid("A002/Xc72427/X2dfe"),), ended=False),
        ),
        state="Verified", calibration=Calibration.PIPELINE, release=datetime(2019, 1, 18, tzinfo=UTC),
        standing="public, calibrated by the pipeline: may be restored",
    ),
    _invented(
        1, "A002/Xc7350a/X1c2", "Verified", Calibration.PIPELINE, datetime(2099, 12, 31, tzinfo=UTC),
        "calibrated by the pipeline, but proprietary",
    ),
    _invented(
        2, "A002/Xc7351b/X2d3", "Verified", Calibration.HAND, datetime(2018, 12, 1, tzinfo=UTC),
        "public, calibrated by hand",
    ),
    _invented(
        3, "A002/Xc7352c/X3e4", "ReadyForProcessing", Calibration.NONE, None, "not calibrated yet",
    ),
)  # fmt: skip
"""All that was observed, in order."""

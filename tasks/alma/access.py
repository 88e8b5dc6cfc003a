"""The one decision on what may be restored, and why not, made before a byte is fetched.

The decision is never kept: what is public today can be clawed back tomorrow.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from tasks.alma.ids import EntityId
from tasks.alma.model import Evidence
from tasks.errors import Refused

__all__ = ["Decision", "Standing", "decide", "require"]

_BEING_PROCESSED = frozenset({"processing", "readyforreview", "reviewing", "verified", "deliveryinprogress"})


class Standing(StrEnum):
    """How an observation stands towards being restored."""

    RESTORABLE = "restorable"
    """The pipeline calibrated it, and it may be seen."""
    PROPRIETARY = "proprietary"
    """It is not public yet, or again, and this profile has no leave to process it."""
    HAND_CALIBRATED = "hand-calibrated"
    """People calibrated it with scripts, which a restore cannot repeat."""
    NOT_CALIBRATED = "not calibrated yet"
    """No calibration is archived, and nobody works on one."""
    IN_PROGRESS = "work in progress"
    """The observatory is processing it."""
    SEMI_PASS = "semi-pass without calibration"  # noqa: S105 (it is no password)
    """It was delivered short of its goal, without calibration products."""


_TODO = {
    Standing.PROPRIETARY: "wait, or have the project added to ppi.access.projects of the profile",
    Standing.HAND_CALIBRATED: "run its own scriptForPI in exactly the CASA version that its scripts name",
    Standing.NOT_CALIBRATED: "calibrate it from the raw data, or wait for the observatory",
    Standing.IN_PROGRESS: "wait until the observatory has delivered it",
    Standing.SEMI_PASS: "calibrate it from the raw data",
}


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided of an observation, with its reason in one line."""

    mous: EntityId
    standing: Standing
    reason: str

    @property
    def restorable(self) -> bool:
        """Whether a restore may go on."""
        return self.standing is Standing.RESTORABLE


def decide(evidence: Evidence, allowed_projects: Collection[str], now: datetime) -> Decision:
    """Decide whether an observation may be restored.

    Parameters
    ----------
    evidence
        What the archive has of the observation now, not what it had.
    allowed_projects
        Codes of the projects whose proprietary data may be processed here; ``*`` for all.
    now
        The time, aware.
    """
    standing, reason = _obstacle(evidence) or _publicity(evidence, allowed_projects, now)
    return Decision(evidence.mous, standing, reason)


def require(decision: Decision) -> None:
    """Raise `Refused`, with the reason and what to do instead, unless the observation is restorable."""
    if not decision.restorable:
        raise Refused(f"MOUS {decision.mous} is not restored", decision.reason, _TODO[decision.standing])


def _obstacle(evidence: Evidence) -> tuple[Standing, str] | None:
    if script := evidence.hand_script:
        return Standing.HAND_CALIBRATED, (
            f"hand-calibrated ({script}): such scripts need the CASA version that they were written for"
        )
    if not evidence.calibration:
        return _uncalibrated(evidence)
    if not evidence.science:
        return Standing.IN_PROGRESS, "work in progress: it has calibration products, but no science products yet"
    return None


def _uncalibrated(evidence: Evidence) -> tuple[Standing, str]:
    if _plain(evidence.qa2_status) == "semipass":
        return Standing.SEMI_PASS, "semi-pass without calibration: QA2 is SemiPass, no calibration is archived"
    if _plain(evidence.state) in _BEING_PROCESSED:
        return (
            Standing.IN_PROGRESS,
            f"work in progress: its state is {evidence.state}, no calibration is archived yet",
        )
    state = f"its state is {evidence.state}" if evidence.state else "its state is unknown"
    return Standing.NOT_CALIBRATED, f"not calibrated yet: no calibration is archived, {state}"


def _publicity(evidence: Evidence, allowed: Collection[str], now: datetime) -> tuple[Standing, str]:
    release = evidence.release_date
    if release and release <= now:
        return Standing.RESTORABLE, f"restorable: public since {release:%Y-%m-%d}"
    when = f"until {release:%Y-%m-%d}" if release else "(release date unknown)"
    if "*" in allowed or evidence.project_code in allowed:
        return (
            Standing.RESTORABLE,
            f"restorable: proprietary {when}, but this profile may process {evidence.project_code}",
        )
    return Standing.PROPRIETARY, f"proprietary {when}: this profile may not process {evidence.project_code}"


def _plain(text: str | None) -> str:
    return re.sub(r"[^a-z]", "", (text or "").lower())

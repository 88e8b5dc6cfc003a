"""What an environment's processing area says of its restores, without asking any service."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from tasks.alma.ids import EntityId
from tasks.casa.record import RECORD
from tasks.casa.request import STEPS, StepTime
from tasks.workspace import stored
from tasks.workspace.delivery import PROVENANCE
from tasks.workspace.layout import Area
from tasks.workspace.provenance import Provenance

__all__ = ["State", "states"]


class State(BaseModel):
    """One observation in the area.

    Parameters
    ----------
    state
        ``running``; ``interrupted`` when nobody works on it and it is not finished; or the verdict of a delivery.
    blocks_done
        Execution blocks that are finished.
    step
        What CASA does now, or did last, to those that are not.
    path
        The attempt, or the delivery; None for a run that has not begun one.
    """

    model_config = ConfigDict(frozen=True)

    observation: str
    project: str
    state: Literal["running", "interrupted", "success", "success with caveats", "failed"]
    blocks_done: int = 0
    step: str = ""
    path: Path | None = None

    @property
    def is_delivered(self) -> bool:
        """Whether it is a delivery, and no attempt at one."""
        return self.state not in ("running", "interrupted")


def states(area: Area) -> tuple[State, ...]:
    """List the attempts, then the deliveries.

    Raises
    ------
    Failed
        A record in the area cannot be read.
    """
    attempts = (_attempt(area, observation, path) for observation, path in area.attempts())
    deliveries = (_delivery(path) for path in sorted(area.root.glob(f"delivered/*/MOUS_*/{PROVENANCE}")))
    return (*attempts, *deliveries)


def _attempt(area: Area, observation: EntityId, path: Path) -> State:
    return State(
        observation=observation,
        project=path.name.partition("_")[0],
        state="running" if area.is_held(observation) else "interrupted",
        blocks_done=sum(1 for _ in path.glob(f"SOUS_*/GOUS_*/MOUS_*/working/*/{RECORD}")),
        step=", ".join(_steps(path)),
        path=path,
    )


def _steps(path: Path) -> list[str]:
    logs = sorted(path.glob(f"SOUS_*/GOUS_*/MOUS_*/working/attempts/*/{STEPS}"))
    last = [(log.parent.name, log.read_text().split("\n")[:-1]) for log in logs]
    return [f"{name}: {StepTime.model_validate_json(lines[-1]).step}" for name, lines in last if lines]


def _delivery(path: Path) -> State:
    provenance = stored.read(Provenance, path)
    return State(
        observation=provenance.observation,
        project=provenance.project,
        state=provenance.verdict.outcome.value,
        blocks_done=len(provenance.blocks),
        path=path.parent,
    )

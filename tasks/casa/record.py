"""What became of one execution block, whichever executor worked on it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from tasks.casa.launch import Exit
from tasks.casa.proof import Proof
from tasks.casa.request import StepTime
from tasks.casa.verdict import Verdict

__all__ = ["RECORD", "BlockRecord"]

RECORD = "record.json"
"""The last file to be written in the directory of a finished execution block."""


class BlockRecord(BaseModel):
    """What became of one execution block.

    Parameters
    ----------
    uid, vis, session
        The execution block, its measurement set, and the PPR's name of its session.
    verdict
        The verdict on it.
    proof
        What was measured; None where it did not come so far.
    steps
        The recipe's steps and their times.
    exit
        How the CASA process ended, with wall and CPU seconds and peak memory.
    """

    model_config = ConfigDict(frozen=True)

    uid: str
    vis: str
    session: str
    verdict: Verdict
    proof: Proof | None
    steps: tuple[StepTime, ...]
    exit: Exit

"""What is asked of a CASA child and what it answers: the JSON files in its own directory."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from tasks.casa.calapply import Applycal
from tasks.casa.proof import Proof

__all__ = ["ERROR", "PIPELINE_FINAL", "REQUEST", "RESTORE_STEPS", "RESULT", "STEPS", "ChildError", "ProofRequest",
           "RestoreRequest", "RestoreResult", "StepTime"]  # fmt: skip

REQUEST, RESULT, ERROR, STEPS = "request.json", "result.json", "error.json", "steps.jsonl"
RESTORE_STEPS = ("import", "flags", "tables", "calibrate", "prove")
PIPELINE_FINAL = "Pipeline_Final"
"""The flag version that the pipeline saves at its end and a restore puts back."""


class RestoreRequest(BaseModel):
    """Everything that restoring one execution block needs.

    Parameters
    ----------
    asdm
        The unpacked execution block.
    vis
        Name of the measurement set to make.
    rows_promised
        Rows that it must have after the import.
    session
        The PPR's name of its session, as in ``session_3``.
    flags
        Archive of its flag versions.
    caltables
        Archive of its session's calibration tables.
    commands
        The calibration commands, in order.
    reference
        The archived digest, if there is one.
    ocorr_mode, asis, bdfflags
        Parameters of importasdm.
    """

    model_config = ConfigDict(frozen=True)

    asdm: Path
    vis: str
    rows_promised: int
    session: str
    flags: Path
    caltables: Path
    commands: tuple[Applycal, ...]
    reference: Path | None
    ocorr_mode: str
    asis: str
    bdfflags: bool


class ProofRequest(BaseModel):
    """A measurement set that something else restored, to be proven."""

    model_config = ConfigDict(frozen=True)

    vis: str
    rows_promised: int
    reference: Path | None


class StepTime(BaseModel):
    """One step of a recipe and what it took; None while it runs, and for what could not be measured.

    Parameters
    ----------
    step
        Its name.
    seconds, cpu_seconds
        Wall clock, and processor time with that of its children.
    peak_memory_bytes
        The most resident memory of the process during the step.
    """

    model_config = ConfigDict(frozen=True)

    step: str
    seconds: float | None
    cpu_seconds: float | None = None
    peak_memory_bytes: int | None = None


class RestoreResult(BaseModel):
    """The sentinel: written by the child as its last act.

    Parameters
    ----------
    proof
        What was measured on the result.
    caveats
        What its user should know.
    steps
        The recipe's steps and their times.
    casa_version
        The CASA that did the work.
    """

    model_config = ConfigDict(frozen=True)

    proof: Proof
    caveats: tuple[str, ...] = ()
    steps: tuple[StepTime, ...] = ()
    casa_version: str


class ChildError(BaseModel):
    """Why the child gave up: the class of the error and its three parts."""

    model_config = ConfigDict(frozen=True)

    kind: str
    what: str
    why: str
    todo: str

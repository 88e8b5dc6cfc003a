"""What a CASA child of the observatory is told, and what it tells back."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from deployments.local.observatory.shape import Shape

__all__ = ["BlockRequest", "BlockResult"]


class BlockRequest(BaseModel):
    """One execution block to observe.

    Parameters
    ----------
    block
        Its name in file form, ``uid___A002_Xc7111c_X3979``.
    mous, project, sched_block
        The ``uid://`` of the unit set, project and scheduling block that it was observed for.
    session_part
        The session's number in the unit set's status, counted from 0.
    start
        UTC.
    calibrate
        Whether to make the calibration products; otherwise the raw execution block only.
    image
        Name of the image to make of the target, or None.
    site_directory
        Where the products say that they were made.
    """

    model_config = ConfigDict(frozen=True)

    block: str
    mous: str
    project: str
    sched_block: str
    session_part: int
    start: datetime
    seed: int
    shape: Shape
    calibrate: bool
    image: str | None
    site_directory: str


class BlockResult(BaseModel):
    """What was made, as paths relative to the child's working directory.

    Parameters
    ----------
    raw
        The ASDM's tar.
    tables
        Calibration table folders.
    products
        Files of this execution block alone, under their archive names without ``member.``.
    fluxes
        Jy by field, as the calibration found them.
    commands
        The CASA commands that were run.
    """

    model_config = ConfigDict(frozen=True)

    rows: int
    raw: Path
    tables: tuple[Path, ...] = ()
    products: tuple[Path, ...] = ()
    fluxes: dict[str, float] = {}
    commands: tuple[str, ...] = ()

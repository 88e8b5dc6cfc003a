"""What PPI asks of CASA's pipeline, command by command, as in the observatory's Cycle 5 recipes.

A restore has no recipe at the observatory: it is the one command with which their imaging recipe begins.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from tasks.errors import Refused
from tasks.ppr.model import Command, Procedure

__all__ = ["CALIBRATE", "CALIBRATE_AND_IMAGE", "IMAGE", "OF_RESTORE", "RESTORE", "ProcedureName", "procedure_name"]

ProcedureName = Literal["hifa_restore", "hifa_image"]
"""What a restore may be asked to do."""


def _plain(names: str) -> tuple[Command, ...]:
    return tuple(Command(name=name) for name in names.split())


def _with(name: str, **parameters: str) -> tuple[Command, ...]:
    return (Command(name=name, parameters=tuple(parameters.items())),)


_SIZES = _with("hif_checkproductsize", maxcubesize="30.0", maxcubelimit="40.0", maxproductsize="400.0")

_CALIBRATION = (
    *_plain(
        "hifa_importdata hifa_flagdata hifa_fluxcalflag hif_rawflagchans hif_refant h_tsyscal hifa_tsysflag"
        " hifa_antpos hifa_wvrgcalflag hif_lowgainflag hif_setmodels hifa_bandpassflag hifa_spwphaseup"
        " hifa_gfluxscaleflag hifa_gfluxscale hifa_timegaincal hif_applycal hifa_imageprecheck"
    ),
    *_with("hif_makeimlist", intent="PHASE,BANDPASS,CHECK"),
    *_plain("hif_makeimages"),
    *_SIZES,
)

_IMAGING = (
    *_plain("hif_mstransform hifa_flagtargets"),
    *_with("hif_makeimlist", specmode="mfs"),
    *_plain("hif_findcont hif_uvcontfit hif_uvcontsub hif_makeimages"),
    *_with("hif_makeimlist", specmode="cont"),
    *_plain("hif_makeimages hif_makeimlist hif_makeimages"),
    *_with("hif_makeimlist", specmode="repBW"),
    *_plain("hif_makeimages hifa_exportdata"),
)

RESTORE = Procedure(title="hifa_restore", commands=_plain("hifa_restoredata"))
"""Apply the archived calibration and flags to the raw data."""

CALIBRATE = Procedure(title="hifa_cal", commands=(*_CALIBRATION, *_plain("hifa_exportdata")))
"""Calibrate from the raw data."""

IMAGE = Procedure(title="hifa_image", commands=(*_plain("hifa_restoredata"), *_SIZES, *_IMAGING))
"""Restore, then image."""

CALIBRATE_AND_IMAGE = Procedure(title="hifa_calimage", commands=(*_CALIBRATION, *_plain("breakpoint"), *_IMAGING))
"""Calibrate from the raw data, then image."""

OF_RESTORE: Mapping[ProcedureName, Procedure] = {"hifa_restore": RESTORE, "hifa_image": IMAGE}
"""The procedures that begin with the archived calibration, by name."""


def procedure_name(text: str) -> ProcedureName:
    """Return the name of a procedure that a restore may be asked to do.

    Raises
    ------
    Refused
        There is no such procedure; the error names those that there are.
    """
    for name in OF_RESTORE:
        if name == text:
            return name
    known = " or ".join(OF_RESTORE)
    raise Refused(f"procedure {text!r}", "a restore knows none of that name", f"name {known}")

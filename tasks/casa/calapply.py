"""The calibration commands of an execution block: the `applycal(…)` lines of its ``.calapply.txt``.

The file is Python text from an archive. It is never run: each line must be one call of applycal whose arguments
are all literals, or the file is refused.
"""

from __future__ import annotations

import ast
from collections.abc import Collection
from pathlib import PurePath
from typing import Any

from pydantic import BaseModel, ConfigDict

from tasks.errors import Refused

__all__ = ["Applycal", "parse", "scan_intents"]

_SCAN_INTENTS = {
    "TARGET": ("OBSERVE_TARGET",),
    "PHASE": ("CALIBRATE_PHASE",),
    "BANDPASS": ("CALIBRATE_BANDPASS",),
    "AMPLITUDE": ("CALIBRATE_FLUX", "CALIBRATE_AMPLI"),
    "CHECK": ("OBSERVE_CHECK",),
    "POLARIZATION": ("CALIBRATE_POLARIZATION",),
    "POLANGLE": ("CALIBRATE_POL_ANGLE",),
    "POLLEAKAGE": ("CALIBRATE_POL_LEAKAGE",),
}
"""Pipeline intent to the stems of the scan intents that it stands for."""


class Applycal(BaseModel):
    """One command: applycal's own parameters, with tables named by their last path element."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    vis: str
    field: str = ""
    intent: str = ""
    spw: str = ""
    antenna: str = ""
    gaintable: tuple[str, ...] = ()
    gainfield: tuple[str, ...] | str = ()
    spwmap: tuple[Any, ...] = ()
    interp: tuple[str, ...] | str = ()
    calwt: tuple[bool, ...] | bool = True
    applymode: str = "calflagstrict"
    parang: bool = False


def parse(text: str, name: str) -> tuple[Applycal, ...]:
    """Read the applycal lines of a calapply file, in order; comments and empty lines are passed over.

    Raises
    ------
    Refused
        A line is anything but one call of applycal with literal keyword arguments that we know, or there is none.
    """
    commands = tuple(
        _command(line.strip(), f"{name}, line {number}")
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.lstrip().startswith("#")
    )
    if not commands:
        raise Refused(f"{name} cannot be used", "it has no applycal line")
    return commands


def scan_intents(intent: str, present: Collection[str]) -> str | None:
    """Translate pipeline intents into a selection of the scan intents that a measurement set has.

    Parameters
    ----------
    intent
        Comma-separated pipeline intents (``BANDPASS,AMPLITUDE``) or scan-intent patterns; empty for all.
    present
        The set's OBS_MODE values. applycal fails on a pattern that matches none of them, so only
        those that do are kept.

    Returns
    -------
    The value for applycal's `intent`, or None when there is nothing in the set for this command.

    Raises
    ------
    Refused
        An intent is neither the pipeline's nor a scan intent: a calibration must not be left out unseen.
    """
    if not intent:
        return ""
    words = [word.strip().strip("*") for word in intent.split(",") if word.strip()]
    if unknown := [word for word in words if word not in _SCAN_INTENTS and "_" not in word]:
        raise Refused(f"intent {', '.join(unknown)} of a calapply line", "it is not known which scans it means")
    stems = [stem for word in words for stem in _SCAN_INTENTS.get(word, (word,))]
    matching = [stem for stem in dict.fromkeys(stems) if any(stem in mode for mode in present)]
    return ",".join(f"*{stem}*" for stem in matching) or None


def _command(line: str, where: str) -> Applycal:
    try:
        call = ast.parse(line, mode="eval").body
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "applycal"):
            raise ValueError("it is not a call of applycal")
        if call.args or any(keyword.arg is None for keyword in call.keywords):
            raise ValueError("its arguments are not all named")
        values = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}
        return Applycal.model_validate(_with_plain_names(values))
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise Refused(f"{where} is not an applycal line of literals", reason, "have the product mended") from error


def _with_plain_names(values: dict[str, Any]) -> dict[str, Any]:
    tables = values.get("gaintable", ())
    tables = [tables] if isinstance(tables, str) else tables
    plain = {
        "vis": PurePath(values.get("vis", "")).name,
        "gaintable": tuple(PurePath(table).name for table in tables),
    }
    return values | plain

"""What CASA's log says, read against the ways in which CASA is known to cry wolf and to keep silent.

CASA exits 0 after SEVERE messages, writes SEVERE at a harmless start, and loses data with nothing worse than an
INFO line. So SEVERE lines fail a run unless their origin and text are known to be benign, and the lines that
mean lost data fail it whatever their priority.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict

__all__ = ["LogScan", "scan", "scan_lines"]

_LINE = re.compile(
    r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?\t(?P<priority>[A-Z]+)\d?\t(?P<origin>[^\t]*)\t(?P<text>.*)$"
)
_ODD_SEVERE = re.compile(r"(?:^|\t) *SEVERE\d? *(?:\t|$)")
_BENIGN = tuple(
    (re.compile(origin), re.compile(text))
    for origin, text in (
        (r"MeasTable::dUTC", r"Leap second table TAI_UTC seems out-of-date|Until the table is updated|"
                             r"times and coordinates derived from UTC could be wrong"),
        (r"^\s*::casa\s*$", r"^\s*$|casa data found at measurespath|contents of measurespath do not appear|"
                            r"not being maintained by casaconfig|casadocs"),
    )
)  # fmt: skip
_LOST_DATA = (re.compile(r"sdm"), re.compile(r"SDMDataObject\w*Exception"))
_KEPT = 20


class LogScan(BaseModel):
    """What matters in a log: at most 20 lines of a kind are kept, all are counted.

    Parameters
    ----------
    found
        Whether there was a log at all; without one nothing is known.
    lines
        How many were understood. CASA's log has always some, so without any nothing is known either.
    """

    model_config = ConfigDict(frozen=True)

    found: bool
    lines: int = 0
    warnings: int = 0
    benign: int = 0
    severe: tuple[str, ...] = ()
    lost_data: tuple[str, ...] = ()


def scan(path: Path) -> LogScan:
    """Read a CASA log; one that is not there is told from an empty one."""
    if not path.is_file():
        return LogScan(found=False)
    with path.open(errors="replace") as lines:
        return scan_lines(lines)


def scan_lines(lines: Iterable[str]) -> LogScan:
    """Sort the lines of a log: benign, severe (be the line odd or not), lost data, warnings."""
    counts = dict.fromkeys(("lines", "warnings", "benign"), 0)
    severe: list[str] = []
    lost: list[str] = []
    for line in lines:
        line = line.rstrip("\r\n")
        if not (match := _LINE.match(line)):
            severe += [line.strip()] if _ODD_SEVERE.search(line) else []
            continue
        priority, origin, text = match["priority"], match["origin"].rstrip("+"), match["text"]
        counts["lines"] += 1
        counts["warnings"] += priority == "WARN"
        if _matches(_LOST_DATA, origin, text):
            lost.append(f"{origin.strip()}: {text.strip()}")
        elif priority == "SEVERE" and any(_matches(known, origin, text) for known in _BENIGN):
            counts["benign"] += 1
        elif priority == "SEVERE":
            severe.append(f"{origin.strip()}: {text.strip()}")
    return LogScan(found=True, severe=tuple(severe[:_KEPT]), lost_data=tuple(lost[:_KEPT]), **counts)


def _matches(known: tuple[re.Pattern[str], re.Pattern[str]], origin: str, text: str) -> bool:
    return bool(known[0].search(origin) and known[1].search(text))

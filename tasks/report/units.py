"""Numbers as people read them, so that the page, the summary and the commands never differ in how they say one."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import humanize

__all__ = ["bytes_of", "count", "duration", "left", "moment", "part", "percent", "rate", "size"]

_PREFIXES = "KMGTP"
_SIZE = re.compile(rf"(?P<number>\d+(?:\.\d+)?) ?(?P<prefix>[{_PREFIXES}])(?:(?P<binary>i)?B)?", re.IGNORECASE)
_UNITS = ("Bytes", "kB", "MB", "GB", "TB", "PB")


def count(number: int) -> str:
    """Return a whole number with its thousands apart: ``1,234,567``."""
    return humanize.intcomma(number)


def size(number: int) -> str:
    """Return a number of bytes in decimal units: ``30.1 MB``."""
    return humanize.naturalsize(number)


def bytes_of(text: str) -> int:
    """Return the number of bytes that a size such as ``512 MiB``, ``40 TB`` or ``2G`` says; K to P are decimal.

    Raises
    ------
    ValueError
        It is no size, or has no unit.
    """
    found = _SIZE.fullmatch(text.strip())
    if not found:
        raise ValueError(f"'{text}' is not a size with its unit, such as 512 MiB or 40 TB")
    power = 1 + _PREFIXES.index(found["prefix"].upper())
    unit: int = (1024 if found["binary"] else 1000) ** power
    return round(float(found["number"]) * unit)


def part(number: int, whole: int) -> str:
    """Return a number of bytes of a greater one, in the unit of that: ``1.2 of 4.0 GB``."""
    amount, unit = size(whole).split()
    power = _UNITS.index(unit) if unit in _UNITS else 0
    return f"{number / 1000**power:.1f} of {amount} {unit}" if power else f"{number} of {amount} {unit}"


def rate(number: int, seconds: float) -> str:
    """Return bytes over seconds, or a dash where no time was measured."""
    return f"{humanize.naturalsize(number / seconds)}/s" if seconds > 0 else "—"


def duration(seconds: float) -> str:
    """Return a time span as precise as its length deserves: ``7.3 s``, ``2 min 05 s``, ``3 h 20 min``."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def left(seconds: float) -> str:
    """Return a remaining time, which is never known to less than a second: ``24 s``."""
    return f"{max(1, round(seconds))} s" if round(seconds, 1) < 60 else duration(seconds)


def percent(fraction: float) -> str:
    """Return a fraction (0 to 1) in per cent; only none is ``0 %`` and only all is ``100 %``."""
    if 0 < fraction < 0.0005:
        return "<0.1 %"
    if 0.9995 <= fraction < 1:
        return ">99.9 %"
    return f"{100 * fraction:.1f} %" if 0 < fraction < 1 else f"{100 * fraction:.0f} %"


def moment(when: datetime) -> str:
    """Return a time in UTC to the second; one without a zone is taken as UTC."""
    utc = when.astimezone(UTC) if when.tzinfo else when
    return f"{utc:%Y-%m-%d %H:%M:%S} UTC"

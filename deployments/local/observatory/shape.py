"""How large an execution block of the small observatory is.

One value decides what a build costs, so that the demo, the tests and the benchmarks can each ask for their own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tasks.errors import Refused

__all__ = ["Shape"]

_TEXT = re.compile(r"(\d+)x(\d+)x(\d+)x(\d+)(?:x(\d+))?")
_LIMITS = {"antennas": (5, 60), "spws": (1, 8), "channels": (8, 4096), "cycles": (1, 50), "integration": (1, 60)}


@dataclass(frozen=True)
class Shape:
    """Size of one execution block; two polarizations (XX, YY), cross-correlations only.

    The default gives an ASDM of about 4 MB; ``10x4x64x3`` about 30 MB and ``16x4x128x6`` about 270 MB.

    Parameters
    ----------
    antennas
        12-m dishes.
    spws
        Spectral windows of 2 GHz; where there are several, the last is a narrow one with half the channels.
    channels
        Channels of each spectral window but the last.
    cycles
        Repetitions of phase calibrator and target.
    integration
        Seconds of one integration.

    Raises
    ------
    Refused
        A number is outside what the simulation is made for.
    """

    antennas: int = 8
    spws: int = 4
    channels: int = 16
    cycles: int = 2
    integration: int = 6

    def __post_init__(self) -> None:
        for name, (low, high) in _LIMITS.items():
            if not low <= getattr(self, name) <= high:
                raise Refused(f"shape {self}", f"{name} must be from {low} to {high}", "choose another shape")

    @classmethod
    def parse(cls, text: str) -> Shape:
        """Read ``antennas x spws x channels x cycles [x integration]``, such as ``16x4x128x6``.

        Raises
        ------
        Refused
            It is not of that form, or a number is out of range.
        """
        match = _TEXT.fullmatch(text.strip())
        if match is None:
            raise Refused(f"shape {text!r}", "it is not like 8x4x16x2", "give antennas x spws x channels x cycles")
        return cls(*(int(number) for number in match.groups() if number is not None))

    def __str__(self) -> str:
        return f"{self.antennas}x{self.spws}x{self.channels}x{self.cycles}x{self.integration}"

    def channels_of(self, spw: int) -> int:
        """Return the number of channels of one spectral window."""
        return self.channels // 2 if 0 < spw == self.spws - 1 else self.channels

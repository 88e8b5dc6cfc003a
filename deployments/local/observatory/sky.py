"""What the small observatory looks at, and in which order: the truth that a calibration can be held against.

Nothing here is a real measurement. The calibrator's position is that of a real quasar; flux densities, the second
calibrator and the target are made up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from deployments.local.observatory.shape import Shape

__all__ = ["BANDPASS", "FIELDS", "PHASE", "TARGET", "Component", "Field", "Scan", "duration", "scans"]

_SLEW = 12.0
_SECONDS = {"BANDPASS,AMPLITUDE": 120.0, "PHASE": 36.0, "TARGET": 120.0}


@dataclass(frozen=True)
class Component:
    """A point or an elliptical Gaussian: Jy, arcsec from the field's centre, arcsec (FWHM), degrees."""

    flux: float
    east: float = 0.0
    north: float = 0.0
    major: float = 0.0
    minor: float = 0.0
    angle: float = 0.0


@dataclass(frozen=True)
class Field:
    """A direction that is observed.

    Parameters
    ----------
    intent
        The pipeline's words for what the field is for.
    scan_intents
        The archive's words for the same.
    """

    name: str
    right_ascension: str
    declination: str
    intent: str
    scan_intents: tuple[str, ...]
    components: tuple[Component, ...]

    @property
    def flux(self) -> float:
        """Total flux density in Jy."""
        return sum(component.flux for component in self.components)


@dataclass(frozen=True)
class Scan:
    """One scan: its number (from 1), field, and seconds since the execution block's start."""

    number: int
    field: int
    start: float
    stop: float


BANDPASS, PHASE, TARGET = range(3)
FIELDS = (
    Field(
        "J2258-2758", "22h58m05.96s", "-27d58m21.3s", "BANDPASS,AMPLITUDE",
        ("CALIBRATE_BANDPASS", "CALIBRATE_FLUX", "CALIBRATE_WVR"), (Component(2.0),),
    ),
    Field(
        "J2253-2600", "22h53m40.0s", "-26d00m00.0s", "PHASE",
        ("CALIBRATE_PHASE", "CALIBRATE_WVR"), (Component(0.8),),
    ),
    Field(
        "SimulatedTarget", "22h56m00.0s", "-27d00m00.0s", "TARGET",
        ("OBSERVE_TARGET",), (Component(0.3, 1.6, -1.5), Component(0.5, major=1.2, minor=0.8, angle=30.0)),
    ),
)  # fmt: skip


def scans(shape: Shape) -> tuple[Scan, ...]:
    """Return the scans of an execution block: bandpass, then phase and target in turn, and phase at the end."""
    return tuple(_scans(shape))


def duration(shape: Shape) -> float:
    """Return an execution block's length in seconds."""
    return scans(shape)[-1].stop


def _scans(shape: Shape) -> Iterator[Scan]:
    start = 0.0
    for number, field in enumerate((BANDPASS, *(PHASE, TARGET) * shape.cycles, PHASE), 1):
        integrations = max(2, round(_SECONDS[FIELDS[field].intent] / shape.integration))
        stop = start + integrations * shape.integration
        yield Scan(number, field, start, stop)
        start = stop + _SLEW

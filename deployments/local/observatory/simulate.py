"""Simulates an execution block as a measurement set, with known gains; runs inside a CASA child.

CASA's simulator gives the geometry only. The sky is predicted here, because the simulator knows no primary beam
and would let bright calibrators leak into the target from degrees away.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from casatools import measures, simulator
from numpy.typing import NDArray

from deployments.local.observatory.edit import edited
from deployments.local.observatory.request import BlockRequest
from deployments.local.observatory.shape import Shape
from deployments.local.observatory.sky import FIELDS, Component, Field, Scan, duration, scans
from tasks.casa.recipes.tables import opened, row_chunks, selected

__all__ = ["ANTENNAS", "simulate"]

_Real = NDArray[np.float64]
_Complex = NDArray[np.complex128]

_COLUMNS = ("UVW", "FIELD_ID", "TIME", "ANTENNA1", "ANTENNA2")
_BYTES_PER_SAMPLE = 128
"""What a visibility costs while it is made, all arrays together."""
_NOISE = 0.05
"""Jy, by visibility, real and imaginary part each."""
_BANDWIDTH = 2.0
"""GHz."""
_BASEBANDS = (343.0, 345.0, 331.0, 333.0)
_LIGHT = 299792458.0
_ARCSEC = np.pi / 180 / 3600

ANTENNAS = tuple(f"DA{number}" for number in range(41, 101))
"""Names of the antennas, of which a shape takes the first; the first is the reference."""


@dataclass(frozen=True)
class Instrument:
    """The errors that calibration has to find.

    Parameters
    ----------
    amplitude, phase
        By spectral window, polarization and antenna; radians.
    drift
        Radians over the execution block, by antenna: the atmosphere, the same in all spectral windows.
    bandpass
        For each spectral window, by polarization, channel and antenna.
    """

    amplitude: _Real
    phase: _Real
    drift: _Real
    bandpass: tuple[_Complex, ...]

    @classmethod
    def draw(cls, shape: Shape, random: np.random.Generator) -> Instrument:
        """Draw an instrument."""
        size = (shape.spws, 2, shape.antennas)
        return cls(
            amplitude=1 + 0.15 * random.standard_normal(size).clip(-3, 3),
            phase=random.uniform(-np.pi, np.pi, size),
            drift=random.uniform(-0.8, 0.8, shape.antennas),
            bandpass=tuple(_bandpass(shape, spw, random) for spw in range(shape.spws)),
        )

    def response(self, spw: int, antenna: NDArray[np.int64], elapsed: _Real) -> _Complex:
        """Return the complex gain by polarization, channel and row; `elapsed` from 0 to 1."""
        phase = self.phase[spw][:, antenna] + self.drift[antenna] * elapsed
        gain: _Complex = self.amplitude[spw][:, antenna] * np.exp(1j * phase)
        return gain[:, None, :] * self.bandpass[spw][:, :, antenna]


def _bandpass(shape: Shape, spw: int, random: np.random.Generator) -> _Complex:
    channel = np.linspace(-1, 1, shape.channels_of(spw))[None, :, None]
    slope, curve, phase = random.standard_normal((3, 2, 1, shape.antennas))
    amplitude = 1 + 0.1 * slope * channel + 0.08 * curve * channel**2
    response: _Complex = amplitude.clip(0.3) * np.exp(0.6j * phase * channel)
    return response


def simulate(vis: Path, request: BlockRequest) -> None:
    """Write the measurement set of an execution block; the same request gives the same visibilities."""
    plan = scans(request.shape)
    _observe(vis, request, plan)
    _number_scans(vis, request, plan)
    _describe(vis, request)
    random = np.random.default_rng([request.seed, zlib.crc32(request.block.encode())])
    _fill(vis, request.shape, Instrument.draw(request.shape, random), random)


def _observe(vis: Path, request: BlockRequest, plan: tuple[Scan, ...]) -> None:
    tool, directions = simulator(), measures()
    tool.open(str(vis))
    _place_antennas(tool, directions, request.shape)
    for spw in range(request.shape.spws):
        _tune(tool, request.shape, spw)
    tool.setfeed(mode="perfect X Y", pol=[""])
    tool.setlimits(shadowlimit=0.001, elevationlimit="8.0deg")
    tool.setauto(0.0)
    for field in FIELDS:
        direction = directions.direction("J2000", field.right_ascension, field.declination)
        tool.setfield(sourcename=field.name, sourcedirection=direction)
    epoch = directions.epoch("UTC", request.start.strftime("%Y/%m/%d/%H:%M:%S"))
    tool.settimes(integrationtime=f"{request.shape.integration}s", usehourangle=False, referencetime=epoch)
    for spw in range(request.shape.spws):
        for scan in plan:
            times = {"starttime": f"{scan.start}s", "stoptime": f"{scan.stop}s"}
            tool.observe(FIELDS[scan.field].name, _spw_name(spw), **times)
    tool.close()
    tool.done()


def _place_antennas(tool: Any, directions: Any, shape: Shape) -> None:
    """Put the antennas on a spiral of 145 m, local frame, in metres."""
    index = np.arange(shape.antennas)
    radius, angle = 15 + 130 * np.sqrt(index / (shape.antennas - 1)), index * 2.399963
    tool.setconfig(
        telescopename="ALMA",
        x=list(radius * np.cos(angle)),
        y=list(radius * np.sin(angle)),
        z=[0.0] * shape.antennas,
        dishdiameter=[12.0] * shape.antennas,
        mount=["alt-az"] * shape.antennas,
        antname=list(ANTENNAS[: shape.antennas]),
        padname=[f"A{number + 1:03d}" for number in range(shape.antennas)],
        coordsystem="local",
        referencelocation=directions.observatory("ALMA"),
    )


def _spw_name(spw: int) -> str:
    return f"ALMA_RB_07#BB_{spw % 4 + 1}#SW-{spw // 4 + 1:02d}#FULL_RES"


def _tune(tool: Any, shape: Shape, spw: int) -> None:
    width = f"{_BANDWIDTH * 1000 / shape.channels}MHz"
    tool.setspwindow(
        spwname=_spw_name(spw),
        freq=f"{_BASEBANDS[spw % 4] + 0.25 * (spw // 4)}GHz",
        deltafreq=width,
        freqresolution=width,
        nchannels=shape.channels_of(spw),
        stokes="XX YY",
    )


def _number_scans(vis: Path, request: BlockRequest, plan: tuple[Scan, ...]) -> None:
    with edited(vis) as main:
        time: _Real = main.getcol("TIME")
        elapsed = time - time.min() + request.shape.integration / 2
        starts = [scan.start - 1 for scan in plan]
        main.putcol("SCAN_NUMBER", np.searchsorted(starts, elapsed))
        main.putcol("STATE_ID", main.getcol("FIELD_ID"))
        main.putcol("PROCESSOR_ID", np.zeros(time.size, int))


def _describe(vis: Path, request: BlockRequest) -> None:
    """Bring the subtables to what exportasdm accepts, and say in them that all is simulated."""
    with edited(vis / "STATE") as state:
        state.addrows(max(0, len(FIELDS) - state.nrows()))
        for row, field in enumerate(FIELDS):
            modes = ",".join(f"{intent}#ON_SOURCE" for intent in field.scan_intents)
            _put(state, row, OBS_MODE=modes, SIG=True, REF=False, SUB_SCAN=1, CAL=0.0, LOAD=0.0, FLAG_ROW=False)
    with edited(vis / "DATA_DESCRIPTION") as description:
        description.putcol("POLARIZATION_ID", np.zeros(description.nrows(), int))
    with edited(vis / "POLARIZATION") as polarization:
        polarization.removerows(list(range(1, polarization.nrows())))
    with edited(vis / "PROCESSOR") as processor:
        processor.addrows(max(0, 1 - processor.nrows()))
        _put(
            processor, 0, TYPE="CORRELATOR", SUB_TYPE="ALMA_CORRELATOR_MODE", TYPE_ID=0, MODE_ID=0, FLAG_ROW=False
        )
    with edited(vis / "OBSERVATION") as observation:
        _put(observation, 0, OBSERVER="simulated by PPI", PROJECT=request.project)


def _put(table: Any, row: int, **cells: Any) -> None:
    for column, value in cells.items():
        table.putcell(column, row, value)


def _fill(vis: Path, shape: Shape, instrument: Instrument, random: np.random.Generator) -> None:
    with opened(str(vis)) as main:
        first = float(main.getcol("TIME").min())
    for spw in range(shape.spws):
        with opened(f"{vis}/SPECTRAL_WINDOW") as windows:
            frequency: _Real = windows.getcell("CHAN_FREQ", spw)
        with edited(vis) as main, selected(main, f"DATA_DESC_ID=={spw}") as rows:
            for part in row_chunks(rows, "DATA", _BYTES_PER_SAMPLE):
                columns = {name: rows.getcol(name, *part) for name in _COLUMNS}
                elapsed = (columns["TIME"] - first) / duration(shape)
                data = _observed(columns, elapsed, frequency, instrument, spw)
                rows.putcol("DATA", _noisy(data, random), *part)


def _observed(
    columns: dict[str, Any], elapsed: _Real, frequency: _Real, instrument: Instrument, spw: int
) -> _Complex:
    """Return the noiseless visibilities by polarization, channel and row."""
    sky = _sky(columns["FIELD_ID"], columns["UVW"], frequency)
    one = instrument.response(spw, columns["ANTENNA1"], elapsed)
    other = instrument.response(spw, columns["ANTENNA2"], elapsed)
    visibility: _Complex = sky[None] * one * other.conj()
    return visibility


def _noisy(data: _Complex, random: np.random.Generator) -> NDArray[np.complex64]:
    real, imaginary = _NOISE * random.standard_normal((2, *data.shape))
    noisy: NDArray[np.complex64] = (data + real + 1j * imaginary).astype(np.complex64)
    return noisy


def _sky(field: NDArray[np.int64], uvw: _Real, frequency: _Real) -> _Complex:
    """Return the visibilities of the sky by channel and row."""
    visibility = np.zeros((frequency.size, field.size), complex)
    for number, entry in enumerate(FIELDS):
        here = field == number
        visibility[:, here] = _field(entry, uvw[:, here], frequency)
    return visibility


def _field(field: Field, uvw: _Real, frequency: _Real) -> _Complex:
    u, v = (frequency[:, None] / _LIGHT * uvw[axis] for axis in (0, 1))
    visibility: _Complex = sum(
        (_component(component, u, v) for component in field.components), np.zeros(u.shape, complex)
    )
    return visibility


def _component(component: Component, u: _Real, v: _Real) -> _Complex:
    angle = np.radians(component.angle)
    along = u * np.sin(angle) + v * np.cos(angle)
    across = u * np.cos(angle) - v * np.sin(angle)
    extent = (component.major * along) ** 2 + (component.minor * across) ** 2
    envelope = np.exp(-(np.pi**2) / (4 * np.log(2)) * _ARCSEC**2 * extent)
    turn = np.exp(2j * np.pi * _ARCSEC * (u * component.east + v * component.north))
    visibility: _Complex = component.flux * envelope * turn
    return visibility

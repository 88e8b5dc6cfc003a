"""Calibrates an execution block with CASA, as the observatory's pipeline would; runs inside a CASA child.

A short version of the pipeline's hifa_calimage: flags, models, bandpass, the spectral windows' phase offsets,
phase and amplitude in time, flux scale, applycal. The phase of the narrow last spectral window is taken from the
first, as the pipeline does where the signal is weak: a restore that forgets the map is found out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import casatasks

from deployments.local.observatory.shape import Shape
from deployments.local.observatory.simulate import ANTENNAS
from deployments.local.observatory.sky import BANDPASS, FIELDS, PHASE, TARGET, Field
from tasks.casa.asdm import promised_rows
from tasks.casa.recipes.tables import opened
from tasks.casa.request import PIPELINE_FINAL
from tasks.errors import Failed

__all__ = ["INTERPOLATION", "ApplyLine", "Calibration", "calibrate", "image"]

INTERPOLATION = "linear,linear"
_AS_IS = "SBSummary ExecBlock Antenna Annotation Station Receiver Source CalAtmosphere CalWVR CalPointing"
_BAD_ANTENNA = ANTENNAS[3]
_REFERENCE_ANTENNA = ANTENNAS[0]


@dataclass(frozen=True)
class ApplyLine:
    """One applycal command: a field, and the field that each of `Calibration.applied` is taken from."""

    field: Field
    gainfield: tuple[str, ...]


@dataclass
class Calibration:
    """The calibration of one measurement set, and what was done for it.

    Parameters
    ----------
    vis
        Name of the measurement set in the working directory.
    applied
        Tables that applycal takes, in order.
    fluxes
        Jy, by field, means over the spectral windows.
    commands
        Every CASA command in order, as text.
    """

    vis: str
    shape: Shape
    applied: tuple[str, ...] = ()
    fluxes: dict[str, float] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)

    @property
    def spw_maps(self) -> tuple[tuple[int, ...], ...]:
        """Where each table takes its spectral windows from: phase in time goes from the first to the last."""
        windows = list(range(self.shape.spws))
        return ((), (), (*windows[:-1], 0), ())

    @property
    def lines(self) -> tuple[ApplyLine, ...]:
        """The applycal commands: each calibrator by itself, the target by the phase calibrator."""
        sources = {BANDPASS: BANDPASS, PHASE: PHASE, TARGET: PHASE}
        return tuple(
            ApplyLine(FIELDS[own], ("", "", FIELDS[other].name, FIELDS[other].name))
            for own, other in sources.items()
        )

    def run(self, task: str, **parameters: Any) -> Any:
        """Run a CASA task and keep its command."""
        arguments = ", ".join(f"{name}={value!r}" for name, value in parameters.items())
        self.commands.append(f"{task}({arguments})")
        return getattr(casatasks, task)(**parameters)

    def table(self, stage: str, kind: str) -> str:
        """Return the pipeline's name of a calibration table."""
        windows = f"0~{self.shape.spws - 1}" if self.shape.spws > 1 else "0"
        return f"{self.vis}.hifa_{stage}.spw{windows}.{kind}.tbl"


def calibrate(asdm: Path, vis: str, shape: Shape) -> Calibration:
    """Import an ASDM into the working directory, calibrate it, and save its flags as `Pipeline_Final`.

    Raises
    ------
    Failed
        The measurement set has not the rows that the ASDM promises.
    """
    work = Calibration(vis, shape)
    _import(work, asdm)
    _flag(work)
    _solve(work)
    _apply(work)
    work.run(
        "flagmanager", vis=vis, mode="save", versionname=PIPELINE_FINAL, comment="Final pipeline flags (simulated)"
    )
    return work


def image(work: Calibration, fits: Path) -> None:
    """Make a small dirty image of the target over all spectral windows."""
    name = fits.stem
    work.run(
        "tclean",
        vis=work.vis,
        imagename=name,
        field=FIELDS[TARGET].name,
        datacolumn="corrected",
        imsize=64,
        cell="0.2arcsec",
        specmode="mfs",
        niter=0,
        pbcor=True,
    )
    work.run("exportfits", imagename=f"{name}.image.pbcor", fitsimage=str(fits))


def _import(work: Calibration, asdm: Path) -> None:
    work.run(
        "importasdm",
        asdm=asdm.name,
        vis=work.vis,
        createmms=False,
        ocorr_mode="ca",
        asis=_AS_IS,
        lazy=False,
        bdfflags=True,
        process_caldevice=False,
        savecmds=True,
        outfile=f"{work.vis}.flagonline.txt",
        with_pointing_correction=True,
    )
    with opened(work.vis) as main:
        rows, promised = main.nrows(), promised_rows(asdm)
    if rows != promised:
        raise Failed(f"importing {asdm.name}", f"{rows} rows, where its Main.xml promises {promised}")


def _flag(work: Calibration) -> None:
    edges = []
    for spw in range(work.shape.spws):
        channels = work.shape.channels_of(spw)
        edge = max(1, channels // 32)
        edges.append(f"{spw}:0~{edge - 1};{channels - edge}~{channels - 1}")
    commands = [
        "mode='manual' autocorr=True reason='autocorr'",
        "mode='shadow' reason='shadow'",
        f"mode='manual' spw='{','.join(edges)}' reason='edge'",
        f"mode='manual' antenna='{_BAD_ANTENNA}' scan='3' reason='bad_antenna'",
        f"mode='quack' quackinterval={work.shape.integration} quackmode='beg' reason='quack'",
    ]
    work.run("flagdata", vis=work.vis, mode="list", inpfile=commands, flagbackup=False)


def _solve(work: Calibration) -> None:
    both = f"{FIELDS[BANDPASS].name},{FIELDS[PHASE].name}"
    first = work.table("bandpass.s15_2", "solintint.gpcal")
    bandpass = work.table("bandpass.s15_4", "channel.solintinf.bcal")
    offsets = work.table("spwphaseup.s16_3", "solintinf.gpcal")
    phase = work.table("timegaincal.s19_3", "solintinf.gpcal")
    amplitude = work.table("gfluxscale.s18_6", "solintinf.gacal")
    flux = work.table("gfluxscale.s18_9", "solintinf.gfcal")
    work.applied = (bandpass, offsets, phase, flux)
    _set_models(work)
    calibrator = FIELDS[BANDPASS].name
    _gains(work, first, calibrator, "int", "p", ())
    work.run(
        "bandpass",
        vis=work.vis,
        caltable=bandpass,
        field=calibrator,
        solint="inf",
        combine="scan",
        refant=_REFERENCE_ANTENNA,
        gaintable=[first],
        solnorm=True,
    )
    _gains(work, offsets, calibrator, "inf", "p", (bandpass,))
    _gains(work, phase, both, "inf", "p", (bandpass, offsets))
    _gains(work, amplitude, both, "inf", "a", (bandpass, offsets, phase))
    _scale(work, amplitude, flux)


def _set_models(work: Calibration) -> None:
    """Give the flux calibrator its known flux density, and the phase calibrator 1 Jy until it is scaled."""
    for number, jansky in ((BANDPASS, FIELDS[BANDPASS].flux), (PHASE, 1.0)):
        work.run(
            "setjy",
            vis=work.vis,
            field=FIELDS[number].name,
            standard="manual",
            fluxdensity=[jansky, 0, 0, 0],
            usescratch=False,
        )


def _gains(work: Calibration, table: str, fields: str, solint: str, mode: str, before: tuple[str, ...]) -> None:
    work.run(
        "gaincal",
        vis=work.vis,
        caltable=table,
        field=fields,
        solint=solint,
        refant=_REFERENCE_ANTENNA,
        calmode=mode,
        minsnr=3.0,
        gaintable=list(before),
        spwmap=[list(windows) for windows in work.spw_maps[: len(before)]],
    )


def _scale(work: Calibration, amplitude: str, flux: str) -> None:
    reference, transfer = FIELDS[BANDPASS].name, FIELDS[PHASE].name
    found = work.run(
        "fluxscale",
        vis=work.vis,
        caltable=amplitude,
        fluxtable=flux,
        reference=[reference],
        transfer=[transfer],
    )
    windows = [found[str(PHASE)][str(spw)]["fluxd"][0] for spw in range(work.shape.spws)]
    work.fluxes[transfer] = float(sum(windows) / len(windows))


def _apply(work: Calibration) -> None:
    for line in work.lines:
        work.run(
            "applycal",
            vis=work.vis,
            field=line.field.name,
            intent=",".join(f"*{intent}*" for intent in line.field.scan_intents if intent != "CALIBRATE_WVR"),
            spw=",".join(map(str, range(work.shape.spws))),
            gaintable=list(work.applied),
            gainfield=list(line.gainfield),
            spwmap=[list(windows) for windows in work.spw_maps],
            interp=[INTERPOLATION] * len(work.applied),
            calwt=[True] * len(work.applied),
            applymode="calflagstrict",
            flagbackup=False,
            parang=False,
        )

"""The CASA child of the observatory: makes one execution block, from simulation to products.

Run as ``python -m deployments.local.observatory.build_block REQUEST.json`` in a directory of its own. One process
does it all, because importing CASA costs as much as a step.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from deployments.local.observatory.asdm import write_asdm
from deployments.local.observatory.calibrate import INTERPOLATION, Calibration, calibrate, image
from deployments.local.observatory.package import apply_file, pack, pack_flags
from deployments.local.observatory.request import BlockRequest, BlockResult
from deployments.local.observatory.simulate import simulate
from tasks.casa.asdm import promised_rows
from tasks.casa.recipes.child import Steps, main
from tasks.casa.recipes.digest import digest, document
from tasks.casa.request import PIPELINE_FINAL

__all__ = ["make"]

_PROVEN = ("CORRECTED_DATA", "FLAG", "WEIGHT")


def make(request_json: bytes, steps: Steps) -> BlockResult:
    """Make the execution block that is asked for, in the working directory.

    Raises
    ------
    Failed
        What was written cannot be read back in full.
    """
    request = BlockRequest.model_validate_json(request_json)
    asdm, simulated = Path(request.block), Path(f"{request.block}.simulated.ms")
    with steps.step("observe"):
        simulate(simulated, request)
        write_asdm(simulated, asdm, request)
        raw = pack(Path(f"{request.block}.asdm.sdm.tar"), {f"{request.block}.asdm.sdm": asdm})
    shutil.rmtree(simulated)
    result = BlockResult(rows=promised_rows(asdm), raw=raw)
    if request.calibrate:
        with steps.step("calibrate"):
            result = _calibrated(result, asdm, request)
    shutil.rmtree(asdm)
    return result


def _calibrated(result: BlockResult, asdm: Path, request: BlockRequest) -> BlockResult:
    work = calibrate(asdm, f"{request.block}.ms", request.shape)
    products = [_flags(work), _apply_lines(work, request.site_directory), _reference(work)]
    if request.image:
        products.append(Path(request.image))
        image(work, products[-1])
    shutil.rmtree(work.vis)
    return result.model_copy(
        update={
            "tables": tuple(map(Path, work.applied)),
            "products": tuple(products),
            "fluxes": work.fluxes,
            "commands": tuple(work.commands),
        }
    )


def _flags(work: Calibration) -> Path:
    return pack_flags(Path(f"{work.vis}.flagversions.tgz"), Path(work.vis), PIPELINE_FINAL)


def _apply_lines(work: Calibration, directory: str) -> Path:
    path = Path(f"{work.vis}.calapply.txt")
    tables = work.applied
    path.write_text(
        apply_file(
            work.vis,
            (
                {
                    "vis": f"{directory}/{work.vis}",
                    "field": line.field.name,
                    "intent": line.field.intent,
                    "spw": ",".join(map(str, range(work.shape.spws))),
                    "antenna": f"0~{work.shape.antennas - 1}",
                    "gaintable": [f"{directory}/{table}" for table in tables],
                    "gainfield": list(line.gainfield),
                    "spwmap": [list(windows) for windows in work.spw_maps],
                    "interp": [INTERPOLATION] * len(tables),
                    "calwt": [True] * len(tables),
                }
                for line in work.lines
            ),
        )
    )
    return path


def _reference(work: Calibration) -> Path:
    path = Path(f"{work.vis}.reference.json")
    path.write_text(json.dumps(document(digest(work.vis, _PROVEN)), indent=1) + "\n")
    return path


if __name__ == "__main__":
    main(make)

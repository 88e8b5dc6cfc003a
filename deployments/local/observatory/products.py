"""The products of a unit set, by the names that the observatory's pipeline gives them, and their classes.

In the archive every name begins with ``member.``; inside the products none does, as at the observatory. A unit set
that was calibrated by hand has a script for each execution block in place of what a restore needs.
"""

from __future__ import annotations

import ast
import importlib.metadata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from deployments.local.observatory import texts
from deployments.local.observatory.children import MadeBlock
from deployments.local.observatory.original_request import original_request
from deployments.local.observatory.package import pack
from deployments.local.observatory.programme import Calibration, UnitSet
from deployments.local.observatory.sky import FIELDS, PHASE
from tasks.alma.ids import EntityId
from tasks.ppr import xml
from tasks.ppr.manifest import Manifest, ManifestBlock, ManifestSession
from tasks.ppr.manifest import write as write_manifest
from tasks.ppr.procedures import CALIBRATE_AND_IMAGE

__all__ = ["Product", "image_name", "products", "site_directory"]

_RECIPE = "hifa_calimage"
_CLASSES = {
    ".caltables.tgz": "calibration",
    ".flagversions.tgz": "calibration",
    ".calapply.txt": "calibration",
    ".reference.json": "calibration",
    ".pipeline_manifest.xml": "calibration",
    ".fits": "science",
    ".weblog.tgz": "qa",
    ".casa_commands.log": "log",
    ".pprequest.xml": "script",
    ".py": "script",
}


@dataclass(frozen=True)
class Product:
    """A file to be archived: its name in the archive, and its class there."""

    path: Path
    file_id: str
    file_class: str


def site_directory(unit_set: UnitSet) -> str:
    """Return the working directory that the products say they were made in."""
    return f"/simulated/{unit_set.project.code}/MOUS_{unit_set.mous.file_form}/working"


def image_name(unit_set: UnitSet) -> str:
    """Return the name of the image of the target."""
    return f"{unit_set.mous.file_form}.SimulatedTarget_sci.mfs.I.pbcor.fits"


def products(unit_set: UnitSet, made: Mapping[EntityId, MadeBlock], folder: Path) -> Iterator[Product]:
    """Write the products of a unit set in a folder and return them all, raw execution blocks included.

    Parameters
    ----------
    made
        Its execution blocks, at least.
    """
    for block in unit_set.blocks:
        raw = made[block].path(made[block].result.raw)
        yield Product(raw, raw.name, "raw")
    makers = {Calibration.PIPELINE: _pipeline, Calibration.HAND: _by_hand, Calibration.NONE: _nothing}
    for path in makers[unit_set.calibration](unit_set, made, folder):
        file_class = next(kind for ending, kind in _CLASSES.items() if path.name.endswith(ending))
        yield Product(path, f"member.{path.name}", file_class)


def _nothing(unit_set: UnitSet, made: Mapping[EntityId, MadeBlock], folder: Path) -> Iterator[Path]:
    yield from ()


def _by_hand(unit_set: UnitSet, made: Mapping[EntityId, MadeBlock], folder: Path) -> Iterator[Path]:
    """Yield stand-ins: nothing of them is ever read, but the archive must have rows of each class."""
    for block in unit_set.blocks:
        name = block.file_form
        yield _written(folder / f"{name}.ms.scriptForCalibration.py", texts.hand_script(name))
        yield pack(folder / f"{name}.calibration.caltables.tgz", {"README.txt": texts.SIMULATED.encode()})
    yield _written(folder / image_name(unit_set), texts.bare_fits())


def _pipeline(unit_set: UnitSet, made: Mapping[EntityId, MadeBlock], folder: Path) -> Iterator[Path]:
    for number, session in enumerate(unit_set.sessions, 1):
        if session.blocks:
            yield _caltables(unit_set, number, [made[block] for block in session.blocks], folder)
    for block in unit_set.blocks:
        yield from (made[block].path(product) for product in made[block].result.products)
    stem = f"{unit_set.mous.file_form}.{_RECIPE}"
    for ending, content in _documents(unit_set, made).items():
        yield _written(folder / f"{stem}.{ending}", content)
    page = texts.weblog_page(unit_set.mous, _fluxes(unit_set, made))
    yield pack(folder / f"{stem}.weblog.tgz", {"pipeline-simulated/html/index.html": page.encode()})


def _caltables(unit_set: UnitSet, number: int, blocks: list[MadeBlock], folder: Path) -> Path:
    tables = {table.name: block.path(table) for block in blocks for table in block.result.tables}
    return pack(folder / _caltables_name(unit_set, number), tables)


def _caltables_name(unit_set: UnitSet, number: int) -> str:
    return f"{unit_set.mous.file_form}.session_{number}.caltables.tgz"


def _documents(unit_set: UnitSet, made: Mapping[EntityId, MadeBlock]) -> dict[str, bytes | str]:
    sessions = {f"{block.file_form}": f"session_{unit_set.session_of(block)}" for block in unit_set.blocks}
    commands = [
        (command.name, {name: _literal(value) for name, value in command.parameters})
        for command in CALIBRATE_AND_IMAGE.commands
        if command.name != "breakpoint"
    ]
    log = [line for block in unit_set.blocks for line in made[block].result.commands]
    shape = made[unit_set.blocks[0]].request.shape
    return {
        "pipeline_manifest.xml": write_manifest(_manifest(unit_set)),
        "pprequest.xml": xml.write(original_request(unit_set, shape)),
        "casa_pipescript.py": texts.pipeline_script(commands, sessions),
        "casa_piperestorescript.py": texts.restore_script(sessions),
        "casa_commands.log": texts.commands_log(log),
    }


def _literal(value: str) -> object:
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return value


def _manifest(unit_set: UnitSet) -> Manifest:
    return Manifest(
        ous=unit_set.mous.file_form,
        casa_version=importlib.metadata.version("casatasks"),
        pipeline_version="simulated",
        procedure=_RECIPE,
        sessions=tuple(
            ManifestSession(
                name=f"session_{number}",
                caltables=_caltables_name(unit_set, number),
                execution_blocks=tuple(map(_manifest_block, session.blocks)),
            )
            for number, session in enumerate(unit_set.sessions, 1)
            if session.blocks
        ),
    )


def _manifest_block(block: EntityId) -> ManifestBlock:
    vis = f"{block.file_form}.ms"
    return ManifestBlock(vis=vis, final_flags=f"{vis}.flagversions.tgz", apply_commands=f"{vis}.calapply.txt")


def _fluxes(unit_set: UnitSet, made: Mapping[EntityId, MadeBlock]) -> Iterator[tuple[str, str, float]]:
    for block in unit_set.blocks:
        session = f"session_{unit_set.session_of(block)}"
        yield block, session, made[block].result.fluxes[FIELDS[PHASE].name]


def _written(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path

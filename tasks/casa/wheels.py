"""The `casatasks` executor: the commands of a PPR that our own recipes cover, done with the CASA wheels.

A command or parameter that is not covered is refused before any work starts.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from tasks.casa import asdm, calapply
from tasks.casa.environment import child_environment
from tasks.casa.executor import Block, StepWatch, Watch, judged, recorded
from tasks.casa.launch import Launch, run
from tasks.casa.record import BlockRecord
from tasks.casa.request import REQUEST, RestoreRequest
from tasks.errors import Missing, Refused
from tasks.ppr.model import Procedure

__all__ = ["RECIPE", "RestoreParameters", "restore"]

RECIPE = "hifa_restoredata/1"
"""Name and version of the recipe; a change that changes its result must change this."""
_PLACES = frozenset({"vis", "session", "products_dir", "rawdata_dir", "output_dir", "copytoraw"})
"""Parameters that say where files lie, which the workspace decides here."""


class RestoreParameters(BaseModel):
    """The parameters of hifa_restoredata that the recipe covers, with the pipeline's defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ocorr_mode: str = "ca"
    asis: str = (
        "SBSummary ExecBlock Antenna Annotation Station Receiver Source CalAtmosphere CalWVR CalPointing Pointing"
    )
    bdfflags: bool = True

    @classmethod
    def of(cls, procedure: Procedure) -> Self:
        """Read them from a PPR's procedure.

        Raises
        ------
        Refused
            The procedure is anything but one `hifa_restoredata` with parameters that are covered.
        """
        names = [command.name for command in procedure.commands]
        todo = "set ppi.casa.executor = pipeline, or ask for hifa_restore"
        if names != ["hifa_restoredata"]:
            others = dict.fromkeys(name for name in names if name != "hifa_restoredata")
            uncovered = ", ".join(others) or "second hifa_restoredata"
            raise Refused(f"procedure {procedure.title}", f"casatasks covers no {uncovered}", todo)
        given = dict(procedure.commands[0].parameters)
        try:
            return cls.model_validate({name: given[name] for name in given if name not in _PLACES})
        except ValidationError as error:
            wrong = ", ".join(str(entry["loc"][0]) for entry in error.errors())
            raise Refused("hifa_restoredata", f"casatasks does not cover its parameters {wrong}", todo) from error


def restore(
    block: Block,
    parameters: RestoreParameters,
    rawdata: Path,
    products: Path,
    directory: Path,
    *,
    measures: Path,
    timeout_seconds: float,
    watch: Watch,
) -> BlockRecord:
    """Restore one execution block in a directory of its own.

    Parameters
    ----------
    block
        What to restore.
    rawdata, products
        Where its unpacked ASDM, and its calibration, lie.
    directory
        A new, empty directory.
    measures
        CASA's measures tables.
    timeout_seconds
        After so long the child is ended, and the verdict is a failure.
    watch
        Called with the name of each step as it begins.

    Returns
    -------
    The record with its verdict, be it good or bad.

    Raises
    ------
    Missing
        A product is not there.
    Refused
        A product cannot be used: a calapply file that is not UTF-8 or a line of it not literal, unreadable XML.
    """
    promised = asdm.promised_rows(rawdata / block.name)
    request = _request(block, parameters, rawdata, products, promised)
    (directory / REQUEST).write_text(request.model_dump_json())
    launch = Launch(
        command=(sys.executable, "-m", "tasks.casa.recipes.restore", REQUEST),
        directory=directory,
        timeout_seconds=timeout_seconds,
        environment=child_environment(directory, measures),
    )
    ended = run(launch, StepWatch(directory, watch))
    return recorded(block, directory, ended, judged(directory, ended, promised, block.made))


def _request(
    block: Block, parameters: RestoreParameters, rawdata: Path, products: Path, promised: int
) -> RestoreRequest:
    commands = _product(products, block.commands)
    return RestoreRequest(
        asdm=rawdata / block.name,
        vis=block.vis,
        rows_promised=promised,
        session=block.session,
        flags=_product(products, block.flags),
        caltables=_product(products, block.caltables),
        commands=calapply.parse(_text(commands), commands.name),
        reference=_product(products, block.reference) if block.reference else None,
        **parameters.model_dump(),
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise Refused(f"{path} cannot be used", f"it is not UTF-8 ({error})", "have the product mended") from error


def _product(products: Path, name: str) -> Path:
    path = products / name
    if not path.is_file():
        raise Missing(str(path), "the manifest names it", "fetch it again")
    return path

"""Restore one execution block with casatasks: what the pipeline's hifa_restoredata does, step by step.

Run in the CASA child, in a directory of its own: ``python -m tasks.casa.recipes.restore REQUEST.json``.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from tasks.casa.calapply import Applycal, scan_intents
from tasks.casa.recipes import lazy
from tasks.casa.recipes.child import Steps, main
from tasks.casa.recipes.prove import prove
from tasks.casa.recipes.tables import opened, require_rows
from tasks.casa.request import PIPELINE_FINAL, RestoreRequest, RestoreResult
from tasks.errors import Failed, Missing
from tasks.ngas.tar import unpack

__all__ = ["restore"]

casatasks = lazy.load()


def restore(request_json: bytes, steps: Steps) -> RestoreResult:
    """Import, flag, calibrate and prove one execution block.

    Raises
    ------
    Failed
        The import lost rows.
    Missing
        A flag version or a calibration table that is named is not in the archives.
    """
    request = RestoreRequest.model_validate_json(request_json)
    with steps.step("import"):
        _import(request)
    with steps.step("flags"):
        _restore_flags(request)
    with steps.step("tables"):
        _unpack_tables(request)
    with steps.step("calibrate"):
        caveats = _calibrate(request)
    with steps.step("prove"):
        picture = Path(f"{request.vis}.png")
        proof = prove(request.vis, PIPELINE_FINAL, request.reference, picture)
    return RestoreResult(
        proof=proof, caveats=caveats, steps=tuple(steps.times), casa_version=casatasks.version_string()
    )


def _import(request: RestoreRequest) -> None:
    casatasks.importasdm(
        asdm=str(request.asdm), vis=request.vis, createmms=False, ocorr_mode=request.ocorr_mode, lazy=False,
        bdfflags=request.bdfflags, process_caldevice=False, asis=request.asis, savecmds=True,
        outfile=f"{request.vis}.flagonline.txt", overwrite=False, with_pointing_correction=True, verbose=True,
    )  # fmt: skip
    require_rows(request.vis, request.rows_promised)


def _restore_flags(request: RestoreRequest) -> None:
    versions = Path(f"{request.vis}.flagversions")
    shutil.rmtree(versions, ignore_errors=True)
    unpack(request.flags, Path("flags"))
    Path("flags", versions).rename(versions)
    if not Path(versions, f"flags.{PIPELINE_FINAL}").is_dir():
        raise Missing(
            f"flag version {PIPELINE_FINAL}",
            f"it is not in {request.flags.name}",
            "have the product archived anew",
        )
    casatasks.flagmanager(vis=request.vis, mode="restore", versionname=PIPELINE_FINAL)


def _unpack_tables(request: RestoreRequest) -> None:
    beginnings = (request.vis, request.session)
    unpack(request.caltables, Path("caltables"), select=lambda name: name.startswith(beginnings))
    needed = {table for command in request.commands for table in command.gaintable}
    missing = sorted(table for table in needed if not Path("caltables", table, "table.dat").is_file())
    if missing:
        raise Missing(
            f"calibration tables {', '.join(missing)}",
            f"they are not in {request.caltables.name}",
            "check that the session of the execution block is the one of the manifest",
        )
    for table in sorted(needed):
        _require_own_table(table, request.vis)


def _require_own_table(table: str, vis: str) -> None:
    with opened(f"caltables/{table}") as rows:
        made_for = Path(rows.getkeyword("MSName")).name if "MSName" in rows.keywordnames() else ""
    if table.startswith(vis) and made_for != vis:
        why = f"it was solved on {made_for}, not on {vis}" if made_for else "it does not say on what it was solved"
        raise Failed(f"calibration table {table}", why, "have the product checked")


def _calibrate(request: RestoreRequest) -> tuple[str, ...]:
    with opened(f"{request.vis}/STATE") as states:
        modes = {str(mode) for mode in states.getcol("OBS_MODE")}
    skipped = [command for command in request.commands if not _apply(request.vis, command, modes)]
    return tuple(
        f"{request.vis} has no scans of intent {command.intent}: a calibration command was not needed"
        for command in skipped
    )


def _apply(vis: str, command: Applycal, modes: set[str]) -> bool:
    intent = scan_intents(command.intent, modes)
    if intent is None:
        return False
    arguments = command.model_dump(exclude={"vis", "intent", "gaintable"})
    arguments = {name: list(value) if isinstance(value, tuple) else value for name, value in arguments.items()}
    tables = [f"caltables/{table}" for table in command.gaintable]
    casatasks.applycal(vis=vis, intent=intent, gaintable=tables, flagbackup=False, **arguments)
    return True


if __name__ == "__main__":
    main(restore)

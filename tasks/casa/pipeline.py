"""The `pipeline` executor: monolithic CASA runs the whole PPR, as at the observatory.

``casa --pipeline -c runpipeline.py PPR`` returns normally after a bad PPR and, in some versions, after a task's
exception, so its exit status says little: the errorexit files, the log, and a proof of every measurement set by
a CASA child of ours decide.
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from tasks.casa import asdm
from tasks.casa.environment import CASA_LOG, child_environment
from tasks.casa.executor import Block, Watch, judged, read_result
from tasks.casa.launch import Exit, Launch, run
from tasks.casa.record import BlockRecord
from tasks.casa.request import REQUEST, ProofRequest
from tasks.casa.versions import same_version
from tasks.errors import Missing

__all__ = ["Installation", "find", "prove_block", "run_pipeline"]

_HEURISTICS = "pipeline"
_SCRIPT = "runpipeline.py"


@dataclass(frozen=True)
class Installation:
    """A monolithic CASA with its pipeline.

    Parameters
    ----------
    version
        The name under which it is installed.
    root
        Its directory: ``bin/casa``, and the pipeline in ``pipeline/``.
    """

    version: str
    root: Path

    @property
    def program(self) -> Path:
        """The casa program."""
        return self.root / "bin" / "casa"

    @property
    def script(self) -> Path:
        """The script that runs a PPR."""
        return self.root / _HEURISTICS / _SCRIPT


def find(home: Path, version: str) -> Installation:
    """Find an installed CASA: ``<home>/<version>`` or ``<home>/casa-<version>``, by as many numbers as are given.

    Raises
    ------
    Missing
        There is no such version; the error names those that there are.
    """
    there = sorted(path for path in home.glob("*") if (path / "bin" / "casa").is_file())
    names = {path.name: path.name.removeprefix("casa-") for path in there}
    exact = [path for path in there if version in (path.name, names[path.name])]
    alike = [path for path in there if same_version(names[path.name], version)]
    for path in (exact or alike)[:1]:
        return Installation(names[path.name], path)
    raise Missing(
        f"CASA {version} in {home}",
        f"installed are: {', '.join(names.values()) or 'none'}",
        "set ppi.casa.home and ppi.casa.defaultVersion to what is installed",
    )


def run_pipeline(
    installation: Installation, ppr: Path, root: Path, working: Path, *, measures: Path, timeout_seconds: float
) -> Exit:
    """Run a PPR to its end; how it ended proves nothing yet.

    Parameters
    ----------
    ppr
        The PPR, in ``working/``.
    root
        SCIPIPE_ROOTDIR, where the PPR's RelativePath begins.
    working
        Where the pipeline works.
    measures
        Measures tables, for versions that ask our site configuration.
    """
    display = ("xvfb-run", "-d") if shutil.which("xvfb-run") else ()
    command = (
        *display, str(installation.program), "--nogui", "--nologger", "--agg", "--pipeline",
        "--logfile", str(working / CASA_LOG), "-c", str(installation.script), str(ppr),
    )  # fmt: skip
    environment = child_environment(working, measures) | {
        "SCIPIPE_ROOTDIR": str(root),
        "SCIPIPE_HEURISTICS": str(installation.root),
        "SCIPIPE_LOGDIR": str(working),
        "CASA_ROOT": str(installation.root),
    }
    del environment["PYTHONPATH"]
    return run(Launch(command, working, timeout_seconds, environment))


def prove_block(
    block: Block,
    ended: Exit,
    rawdata: Path,
    working: Path,
    products: Path,
    directory: Path,
    *,
    measures: Path,
    timeout_seconds: float,
    watch: Watch,
) -> BlockRecord:
    """Move what the pipeline made of an execution block into a directory of its own, and prove it there.

    The verdict joins the signs of the pipeline's run (exit, errorexit files, log) with those of the proof.
    """
    for name in (block.vis, f"{block.vis}.flagversions"):
        if (working / name).exists():
            (working / name).rename(directory / name)
    reference = products / block.reference if block.reference else None
    (directory / REQUEST).write_text(ProofRequest(vis=block.vis, reference=reference).model_dump_json())
    watch("prove")
    launch = Launch(
        command=(sys.executable, "-m", "tasks.casa.recipes.prove_made", REQUEST),
        directory=directory,
        timeout_seconds=timeout_seconds,
        environment=child_environment(directory, measures),
    )
    run(launch)
    _join_logs(working / CASA_LOG, directory / CASA_LOG)
    result = read_result(directory)
    return BlockRecord(
        uid=block.uid,
        vis=block.vis,
        session=block.session,
        verdict=judged(
            directory,
            ended,
            asdm.promised_rows(rawdata / block.name),
            (block.vis, f"{block.vis}.flagversions"),
            error_exits=_error_exits(working, products),
        ),
        proof=result.proof if result else None,
        steps=result.steps if result else (),
        exit=ended,
    )


def _error_exits(*directories: Path) -> tuple[str, ...]:
    return tuple(sorted(path.name for folder in directories for path in folder.glob("errorexit-*.txt")))


def _join_logs(pipeline: Path, proof: Path) -> None:
    """Judge both logs as one; where the pipeline left none there is none."""
    if not pipeline.is_file():
        proof.unlink(missing_ok=True)
        return
    with proof.open("ab") as joined, pipeline.open("rb") as part:
        shutil.copyfileobj(part, joined)
        os.fsync(joined.fileno())

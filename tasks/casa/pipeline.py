"""The `pipeline` executor: monolithic CASA runs the whole PPR, as at the observatory.

``casa --pipeline -c runpipeline.py PPR`` returns normally after a bad PPR and, in some versions, after a task's
exception, so its exit status says little: the errorexit files, the log, and a proof of every measurement set by
a CASA child of ours decide.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tasks.casa import asdm
from tasks.casa.environment import CASA_LOG, bare_environment, child_environment
from tasks.casa.executor import Block, Watch, error_exits, judged, recorded, unreadable
from tasks.casa.launch import Exit, Launch, run
from tasks.casa.log import scan
from tasks.casa.record import BlockRecord
from tasks.casa.request import REQUEST, ProofRequest
from tasks.casa.verdict import run_faults
from tasks.casa.versions import same_version, version_key
from tasks.errors import Failed, Missing

__all__ = ["Installation", "find", "installed", "prove_block", "run_pipeline"]

_SCRIPTS = tuple(
    f"{folder}pipeline/runpipeline.py" for folder in ("", "pipeline/", "lib/py/lib/python3*/site-packages/")
)
"""Where distributions keep the script that runs a PPR: beside CASA, as in version 5, as in version 6."""


@dataclass(frozen=True)
class Installation:
    """A monolithic CASA with its pipeline.

    Parameters
    ----------
    version
        The name under which it is installed.
    root
        Its directory, with ``bin/casa`` in it.
    script
        The script that runs a PPR.
    """

    version: str
    root: Path
    script: Path

    @property
    def program(self) -> Path:
        """The casa program."""
        return self.root / "bin" / "casa"

    @property
    def heuristics(self) -> Path:
        """What the pipeline calls SCIPIPE_HEURISTICS: the folder of its package."""
        return self.script.parents[1]


def find(home: Path | None, version: str) -> Installation:
    """Find an installed CASA with a pipeline: ``<home>/<version>`` or ``<home>/casa-<version>``.

    Where no name is the same, that is taken whose numbers agree as far as they are given, the latest of several.

    Raises
    ------
    Missing
        There is no such version; the error names those that there are.
    """
    there = list(installed(home)) if home else []
    exact = [each for each in there if version in (each.version, each.root.name)]
    alike = [each for each in there if same_version(each.version, version)]
    if exact or alike:
        return max(exact or alike, key=lambda each: version_key(each.version))
    raise Missing(
        f"CASA {version} with its pipeline in {home or 'ppi.casa.home, which is not set'}",
        f"installed are: {', '.join(each.version for each in there) or 'none'}",
        "set ppi.casa.home and ppi.casa.defaultVersion to what is installed",
    )


def run_pipeline(
    installation: Installation, ppr: Path, root: Path, working: Path, *, measures: Path, timeout_seconds: float
) -> Exit:
    """Run a PPR to its end. That it ended well proves nothing of what it made.

    Parameters
    ----------
    ppr
        The PPR, in ``working/``.
    root
        SCIPIPE_ROOTDIR, where the PPR's RelativePath begins.
    working
        Where the pipeline works; the errorexit files there and in ``products/`` beside it are this run's.
    measures
        Measures tables, for versions that ask our site configuration.

    Raises
    ------
    Failed
        It ended badly: its exit, an errorexit file or its log says so.
    """
    environment = bare_environment(working, measures) | {
        "SCIPIPE_ROOTDIR": str(root),
        "SCIPIPE_HEURISTICS": str(installation.heuristics),
        "SCIPIPE_LOGDIR": str(working),
        "CASA_ROOT": str(installation.root),
    }
    command = (
        *_display(environment["PATH"]), str(installation.program), "--nogui", "--nologger", "--agg", "--pipeline",
        "--logfile", str(working / CASA_LOG), "-c", str(installation.script), str(ppr),
    )  # fmt: skip
    ended = run(Launch(command, working, timeout_seconds, environment))
    _gather_logs(working)
    error_files = error_exits(working, working.parent / "products")
    if reasons := run_faults(ended, error_files, scan(working / CASA_LOG)):
        todo = f"read {working / CASA_LOG} and stderr.txt beside it"
        raise Failed(f"the pipeline of CASA {installation.version} on {ppr.name}", todo=todo, reasons=reasons)
    return ended


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

    Raises
    ------
    Failed
        The pipeline made nothing of it.
    """
    if absent := [name for name in block.made if unreadable(working / name)]:
        raise Failed(
            f"the restore of {block.uid}",
            f"the pipeline left no {' and no '.join(absent)}",
            f"look into {working}",
        )
    for name in block.made:
        (working / name).rename(directory / name)
    shutil.copyfile(working / CASA_LOG, directory / CASA_LOG)
    promised = asdm.promised_rows(rawdata / block.name)
    reference = products / block.reference if block.reference else None
    request = ProofRequest(vis=block.vis, rows_promised=promised, reference=reference)
    (directory / REQUEST).write_text(request.model_dump_json())
    watch("prove")
    launch = Launch(
        command=(sys.executable, "-m", "tasks.casa.recipes.prove_made", REQUEST),
        directory=directory,
        timeout_seconds=timeout_seconds,
        environment=child_environment(directory, measures),
    )
    return recorded(block, directory, ended, judged(directory, run(launch), promised, block.made))


def installed(home: Path) -> Iterator[Installation]:
    """Return the versions of monolithic CASA that are installed below a directory."""
    for program in sorted(home.glob("*/bin/casa")):
        root = program.parents[1]
        scripts = [script for place in _SCRIPTS for script in sorted(root.glob(place))]
        if scripts:
            yield Installation(root.name.removeprefix("casa-"), root, scripts[0])


def _display(path: str) -> tuple[str, ...]:
    """Return what gives CASA an X display of its own, for versions that want one even without windows."""
    program = shutil.which("xvfb-run", path=path)
    return (program, "-a") if program else ()


def _gather_logs(working: Path) -> None:
    """Add what CASA logged under a name of its own choice to the log that it was told to write."""
    for part in sorted(working.glob("casa-*.log")):
        with (working / CASA_LOG).open("ab") as log, part.open("rb") as content:
            shutil.copyfileobj(content, log)

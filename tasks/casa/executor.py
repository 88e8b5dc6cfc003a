"""What both executors share: the job that they are given, the block they leave, and how it is judged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tasks.casa.environment import CASA_LOG
from tasks.casa.launch import Exit
from tasks.casa.log import scan
from tasks.casa.record import BlockRecord
from tasks.casa.request import ERROR, RESULT, STEPS, ChildError, RestoreResult, StepTime
from tasks.casa.verdict import Evidence, Verdict, judge
from tasks.errors import Failed, Missing, PpiError, Refused

__all__ = [
    "Block", "StepWatch", "Watch", "child_error", "error_exits", "failure", "judged", "read_result", "recorded",
    "unreadable",
]  # fmt: skip

Watch = Callable[[str], None]
"""Called with the name of each step as it begins."""
_ERROR_EXITS = "errorexit-*.txt"
_KINDS: dict[str, type[PpiError]] = {"Refused": Refused, "Missing": Missing, "Failed": Failed}


@dataclass(frozen=True)
class Block:
    """One execution block to restore, with its files by their names in ``products/``.

    Parameters
    ----------
    uid, name, vis
        ``uid://…``, its ``uid___`` form, and its measurement set.
    session
        The PPR's name of its session.
    flags, commands, caltables, reference
        Names of its products; `reference` is None where none is archived.
    """

    uid: str
    name: str
    vis: str
    session: str
    flags: str
    commands: str
    caltables: str
    reference: str | None

    @property
    def made(self) -> tuple[str, ...]:
        """What a restore must leave: the measurement set and its flag versions."""
        return (self.vis, f"{self.vis}.flagversions")


class StepWatch:
    """Follow the steps of a child by what it appends to its list of steps."""

    def __init__(self, directory: Path, tell: Watch) -> None:
        self._path, self._tell, self._seen = directory / STEPS, tell, 0

    def __call__(self) -> None:
        """Tell of the steps that have begun since the last call."""
        if not self._path.exists():
            return
        lines = [line for line in self._path.read_text().splitlines(keepends=True) if line.endswith("\n")]
        for line in lines[self._seen :]:
            step = StepTime.model_validate_json(line)
            if step.seconds is None:
                self._tell(step.step)
        self._seen = len(lines)


def judged(directory: Path, ended: Exit, rows_promised: int | None, products: tuple[str, ...]) -> Verdict:
    """Gather every sign that a run left in its directory, and give the verdict on it."""
    result = read_result(directory)
    error = child_error(directory)
    proof = result.proof if result else None
    return judge(
        Evidence(
            exit=ended,
            sentinel=result is not None,
            error_exits=error_exits(directory),
            log=scan(directory / CASA_LOG),
            rows=proof.rows if proof else None,
            rows_promised=rows_promised,
            missing_products=tuple(name for name in products if unreadable(directory / name)),
            faults=(*((f"{error.what}: {error.why}",) if error else ()), *(proof.faults() if proof else ())),
            caveats=(*(result.caveats if result else ()), *(proof.caveats() if proof else ())),
        )
    )


def error_exits(*directories: Path) -> tuple[str, ...]:
    """Return the names of the files by which the pipeline tells that it gave up."""
    return tuple(sorted(path.name for directory in directories for path in directory.glob(_ERROR_EXITS)))


def recorded(block: Block, directory: Path, ended: Exit, verdict: Verdict) -> BlockRecord:
    """Return the record of an execution block, with what the child measured where it came so far."""
    result = read_result(directory)
    return BlockRecord(
        uid=block.uid,
        vis=block.vis,
        session=block.session,
        verdict=verdict,
        proof=result.proof if result else None,
        steps=result.steps if result else (),
        exit=ended,
    )


def read_result(directory: Path) -> RestoreResult | None:
    """Return the sentinel that the child wrote as its last act, or None."""
    path = directory / RESULT
    return RestoreResult.model_validate_json(path.read_bytes()) if path.exists() else None


def child_error(directory: Path) -> ChildError | None:
    """Return the words in which the child gave up, or None."""
    path = directory / ERROR
    return ChildError.model_validate_json(path.read_bytes()) if path.exists() else None


def unreadable(product: Path) -> bool:
    """Tell whether a product is absent or empty; a measurement set is a directory with a table description."""
    if product.suffix == ".ms":
        description = product / "table.dat"
        return not description.is_file() or description.stat().st_size == 0
    return not product.exists() or (product.is_file() and product.stat().st_size == 0)


def failure(directory: Path, what: str, verdict: Verdict) -> PpiError:
    """Return the error to raise for a failed run: of the child's own kind where it explained itself."""
    error = child_error(directory)
    todo = f"read {directory / CASA_LOG} and stderr.txt beside it"
    if error and error.kind in ("Refused", "Missing"):
        return _KINDS[error.kind](f"{what}: {error.what}", error.why, error.todo)
    return Failed(what, todo=todo, reasons=verdict.reasons)

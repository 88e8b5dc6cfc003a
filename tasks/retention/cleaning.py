"""A clean-up: first everything is found, then what is not needed goes; what goes wrong keeps nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from tasks.errors import Failed, PpiError
from tasks.retention.model import Account, Cleared, Finding, Line, Look, Outcome, Part

__all__ = ["Cleaning", "Step", "plainly"]

Step = Callable[[str, Callable[[], None]], None]
"""Does a piece of a clean-up, which it is told the name of."""


def plainly(_name: str, work: Callable[[], None]) -> None:
    """Do a piece of a clean-up."""
    work()


class Cleaning:
    """A clean-up of an environment, and how far it has come.

    Parameters
    ----------
    profile
        The environment.
    looks
        Each finds what there is of a part.
    dry_run
        Whether nothing is to be removed.
    """

    def __init__(self, profile: str, looks: Mapping[Part, Look], *, dry_run: bool) -> None:
        self._profile, self._looks, self._dry_run = profile, looks, dry_run
        self._found: list[Finding] = []
        self._lines: list[Line] = []
        self._failures: list[str] = []
        self._is_over = False

    @property
    def account(self) -> Account:
        """What was found and what became of it, so far."""
        stopped = () if self._is_over else ("it was stopped before its end",)
        failures = (*self._failures, *stopped)
        lines = tuple(sorted(self._lines, key=_place))
        return Account(profile=self._profile, dry_run=self._dry_run, lines=lines, failures=failures)

    def run(self, step: Step = plainly) -> None:
        """Find all, then remove what is not needed.

        Parameters
        ----------
        step
            Does each piece, so that whoever calls may show it.
        """
        for part, look in self._looks.items():
            self._isolated(part, partial(step, f"look for {part}", partial(self._look, look)))
        for part in self._removable():
            self._isolated(part, partial(step, f"remove {part}", partial(self._remove, part)))
        self._is_over = True

    def _isolated(self, part: Part, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - whatever is the matter with one part, the others are done
            self._failures.append(f"{part}: {_said(error)}")

    def _look(self, look: Look) -> None:
        for finding in look():
            self._found.append(finding)
            self._lines.append(_line(finding, Outcome.PLANNED if finding.remove else Outcome.KEPT))

    def _removable(self) -> list[Part]:
        if self._dry_run:
            return []
        parts = {finding.part for finding in self._found if finding.remove}
        return [part for part in Part if part in parts]

    def _remove(self, part: Part) -> None:
        """Remove what can be removed of a part.

        Raises
        ------
        Failed
            Not all of it could.
        """
        errors = []
        for number, finding in enumerate(self._found):
            if finding.part is part and finding.remove:
                cleared = _cleared(finding.remove)
                self._lines[number] = _told(finding, cleared)
                errors += [f"{finding.what}: {cleared.error}"] if cleared.error else []
        if errors:
            raise Failed("not all of them could be removed", reasons=tuple(errors))


def _cleared(remove: Callable[[], Cleared]) -> Cleared:
    try:
        return remove()
    except (PpiError, OSError) as error:
        return Cleared(0, error=_said(error))


def _said(error: Exception) -> str:
    if isinstance(error, PpiError):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.strerror or error} at {error.filename}"
    return f"{type(error).__name__} {error}"


def _told(finding: Finding, cleared: Cleared) -> Line:
    """Return what became of a finding."""
    why = "; ".join(filter(None, (finding.why, cleared.left, cleared.error)))
    if cleared.error:
        return _line(finding, Outcome.FAILED).model_copy(update={"why": why})
    if not cleared.count:
        return _line(finding, Outcome.KEPT).model_copy(update={"why": cleared.left or finding.why})
    told = {"why": why, "count": cleared.count, "size": cleared.size}
    return _line(finding, Outcome.REMOVED).model_copy(update=told)


def _place(line: Line) -> tuple[int, int]:
    return list(Part).index(line.part), list(Outcome).index(line.outcome)


def _line(finding: Finding, outcome: Outcome) -> Line:
    return Line(
        part=finding.part,
        outcome=outcome,
        what=finding.what,
        why=finding.why,
        count=finding.count,
        size=finding.size,
    )

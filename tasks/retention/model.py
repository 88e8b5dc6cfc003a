"""What clearing away finds, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from tasks.errors import Failed
from tasks.report.units import count, size

__all__ = ["Account", "Cleared", "Finding", "Line", "Look", "Outcome", "Part"]


class Part(StrEnum):
    """What is cleared away, in this order: what frees files of the store before the store."""

    LEFTOVERS = "leftovers"
    ATTEMPTS = "attempts"
    LOGS = "job logs"
    MESSAGES = "messages"
    RUNS = "Prefect runs"
    STORE = "store"


class Outcome(StrEnum):
    """What became of a finding; in this order they are shown."""

    REMOVED = "removed"
    PLANNED = "to be removed"
    FAILED = "not all removed"
    KEPT = "kept"


@dataclass(frozen=True)
class Cleared:
    """What the removal of a finding came to.

    Parameters
    ----------
    count, size
        How many things are gone, and their bytes; None where they have none.
    left
        Why others stay, and may.
    error
        Why others are there still, though they should not.
    """

    count: int
    size: int | None = None
    left: str = ""
    error: str = ""


@dataclass(frozen=True)
class Finding:
    """Something that may be cleared away, or may not.

    Parameters
    ----------
    what, why
        Which, and how it is known that it is needed no more, or that it is.
    count, size
        How many things it is, and the bytes that they would free; None where they have none.
    remove
        Looks at it again, and removes it; None for what is kept.
    """

    part: Part
    what: str
    why: str
    count: int = 1
    size: int | None = None
    remove: Callable[[], Cleared] | None = None


Look = Callable[[], Iterable[Finding]]
"""Finds what there is of a part; changes nothing."""


class Line(BaseModel):
    """A finding, with what became of it; its fields are those of `Finding`."""

    model_config = ConfigDict(frozen=True)

    part: Part
    outcome: Outcome
    what: str
    why: str
    count: int = 1
    size: int | None = None


class Account(BaseModel):
    """What a clean-up came to, or would.

    Parameters
    ----------
    profile
        The environment.
    dry_run
        Whether nothing was to be removed.
    lines
        All that was found.
    failures
        What went wrong, a sentence each; none of a clean-up that is whole.
    """

    model_config = ConfigDict(frozen=True)

    profile: str
    dry_run: bool
    lines: tuple[Line, ...]
    failures: tuple[str, ...]

    @property
    def summary(self) -> str:
        """All of it in a few words."""
        parts = {line.part for line in self.lines}
        told = "; ".join(f"{part}: {self._counted(part)}" for part in Part if part in parts)
        told = told or "there is nothing to do"
        return f"{told}. Not whole: {'; '.join(self.failures)}" if self.failures else told

    def _counted(self, part: Part) -> str:
        of = [line for line in self.lines if line.part is part]
        amounts = {outcome: [line for line in of if line.outcome is outcome] for outcome in Outcome}
        return ", ".join(f"{_amount(lines)} {outcome}" for outcome, lines in amounts.items() if lines)

    def require_whole(self) -> None:
        """Make sure that nothing went wrong.

        Raises
        ------
        Failed
            Something did; all else was done.
        """
        if self.failures:
            todo = "see to that; the next clean-up does the rest, as does `ppi housekeeping`"
            raise Failed(f"the clean-up of {self.profile} is not whole", todo=todo, reasons=self.failures)


def _amount(lines: list[Line]) -> str:
    sizes = [line.size for line in lines if line.size is not None]
    return count(sum(line.count for line in lines)) + (f" ({size(sum(sizes))})" if sizes else "")

"""How often a piece of work is tried again, by what befell its jobs; each kind has a budget of its own."""

from __future__ import annotations

from collections import Counter
from typing import Final

from tasks.cluster.fate import Fate, Kind
from tasks.cluster.resources import Resources
from tasks.errors import Exhausted, Failed
from tasks.usage import Work

__all__ = ["Budget"]

_LOSSES: Final = {
    Kind.EVICTED: 10, Kind.REMOVED: 5, Kind.HELD: 3, Kind.ENDED: 3, Kind.VANISHED: 3, Kind.OVERTIME: 3,
}  # fmt: skip
"""How many such ends a piece of work may survive."""
_GROWTH: Final = 2


class Budget:
    """What one piece of work may still go through.

    Parameters
    ----------
    work
        Which.
    resources
        What its jobs ask for, with the bounds.
    memory
        Bytes that its first job asks for.
    """

    def __init__(self, work: Work, resources: Resources, memory: int) -> None:
        self._work, self._resources = work, resources
        self._losses: Counter[Kind] = Counter()
        self.memory = resources.within(memory)
        """Bytes that its next job must have."""

    @property
    def attempts(self) -> int:
        """How often it was begun so far."""
        return 1 + self._losses.total()

    def spend(self, fate: Fate, *, whole: bool = True) -> None:
        """Take note of what befell its job, and let it be tried again.

        Parameters
        ----------
        whole
            Whether it had all of its job's time; other work may have had a part of that.

        Raises
        ------
        Failed
            Another try would end in the same way: it is out of memory at the limit, or out of time.
        Exhausted
            It was lost too often.
        """
        self._losses[fate.kind] += 1
        if fate.kind is Kind.OUT_OF_MEMORY:
            self._grow(fate)
        elif fate.kind is Kind.OVERTIME and whole:
            key = f"ppi.cluster.{self._resources.name}.walltime"
            raise Failed(str(self._work), str(fate), f"raise {key}, then run the same command again")
        elif self._losses[fate.kind] > _LOSSES[fate.kind]:
            often = f"its job was {fate.kind.value} {self._losses[fate.kind]} times; at last {fate}"
            raise Exhausted(
                str(self._work), often, "see what ails the pool, then run it again: it goes on where it was"
            )

    def _grow(self, fate: Fate) -> None:
        had = max(fate.memory, self.memory)  # HTCondor counts in MiB, and so may say less than was asked for
        if had >= self._resources.memory_limit:
            key = f"ppi.cluster.{self._resources.name}.memoryLimit"
            raise Failed(str(self._work), f"{fate} (the limit)", f"raise {key}, then run the same command again")
        self.memory = self._resources.within(had * _GROWTH)

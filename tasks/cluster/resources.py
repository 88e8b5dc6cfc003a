"""What a job of a resource class asks of the pool, in plain units."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Resources"]


@dataclass(frozen=True)
class Resources:
    """What one job of a class asks for.

    Parameters
    ----------
    name
        ``transfer``, ``casa`` or ``light``.
    cores
        Processor cores.
    memory
        Bytes, where nothing was measured yet.
    least_memory, memory_limit
        Bytes: the bounds of what is asked for, whatever was measured or was too little.
    disk
        Bytes of scratch space.
    walltime
        Seconds that a job may run.
    requirements, rank, concurrency_limits, accounting_group
        As HTCondor has them; empty for none.
    """

    name: str
    cores: int = 1
    memory: int = 2 * 10**9
    least_memory: int = 512 * 10**6
    memory_limit: int = 8 * 10**9
    disk: int = 2 * 10**9
    walltime: float = 3600.0
    requirements: str = ""
    rank: str = ""
    concurrency_limits: str = ""
    accounting_group: str = ""

    def within(self, memory: float) -> int:
        """Return bytes of memory, brought within the class's bounds."""
        return int(min(max(memory, self.least_memory), self.memory_limit))

"""How a benchmark tells its result."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

__all__ = ["at_least", "at_most", "median"]


def at_least(name: str, value: float, target: float) -> None:
    """Print a ratio that should reach a target."""
    print(
        f"ratio {name} {value:.3f} (target >={target}) {'ok' if value >= target else 'below target'}", flush=True
    )


def at_most(name: str, value: float, target: float) -> None:
    """Print a ratio that should not pass a target."""
    print(
        f"ratio {name} {value:.3f} (target <={target}) {'ok' if value <= target else 'below target'}", flush=True
    )


def median(values: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(values)

"""What an environment is served in: a part of it, which is up, or is started here, or belongs on another host."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from deployments.lifeline import Command

__all__ = ["Kind", "Part"]

Kind = Literal["database", "server", "reports", "worker", "listener"]
"""In the order in which they need each other."""


@dataclass(frozen=True)
class Part:
    """A part of an environment.

    Parameters
    ----------
    kind
        What an operator calls it.
    name
        What its log and its lock are called.
    what
        What it is, as in ``Prefect server``.
    where
        Its page, or how else it is found.
    is_here
        Whether this host is where it runs.
    is_up
        Tells whether it answers; raises an error of ours where something else does, or will not let us in.
    command
        Makes ready what it needs, and returns how to run it.
    is_ready
        Asked after it has been started, until it says yes; by default `is_up`.
    seconds
        How long it may take until it does.
    """

    kind: Kind
    name: str
    what: str
    where: str
    is_here: bool
    is_up: Callable[[], bool]
    command: Callable[[], Command]
    is_ready: Callable[[], bool] | None = None
    seconds: float = 60.0

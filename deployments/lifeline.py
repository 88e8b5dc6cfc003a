"""Services that end with us, whatever ends us: each has a keeper, which holds the other end of a pipe of ours."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

__all__ = ["GENTLE", "Command", "Kept", "end_with_us", "keep"]

_KEEPER: Final = Path(__file__).with_name("_keeper.py")
GENTLE: Final = (("SIGTERM", 15.0),)
"""What most programs are ended with: a signal, and the seconds that they have after it."""
_HARD_SECONDS: Final = 15.0
"""What a keeper may take to end what would not end by itself."""


@dataclass(frozen=True)
class Command:
    """What to run, and how to end it.

    Parameters
    ----------
    arguments
        Program and arguments; no shell reads them, and everybody on the host does: there is no secret in them.
    environment
        The whole environment.
    directory
        Where it runs.
    stop
        Signals to end it with, one after the other, each with the seconds that it has to do so; at last it is
        killed.
    children_first
        Whether its children are ended before it, with the first of these.
    account
        As whom to run it, as `subprocess` wants it.
    """

    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    directory: Path
    stop: tuple[tuple[str, float], ...] = GENTLE
    children_first: bool = False
    account: Mapping[str, Any] = field(default_factory=dict)


class Kept:
    """A service that runs, and ends with us."""

    def __init__(self, keeper: subprocess.Popen[bytes], lifeline: int, patience: float) -> None:
        self._keeper, self._lifeline, self._patience = keeper, lifeline, patience

    def status(self) -> int | None:
        """Return the exit code of a service that has ended; None while it runs."""
        return self._keeper.poll()

    def end(self) -> None:
        """End the service, and wait until it and all that it started are gone."""
        os.close(self._lifeline)
        self._keeper.wait(self._patience)


def keep(command: Command, log: Path) -> Kept:
    """Start a service; what it prints is added to its log."""
    plan = {
        "command": command.arguments,
        "directory": str(command.directory),
        "stop": command.stop,
        "children_first": command.children_first,
        "account": dict(command.account),
    }
    with log.open("ab") as stream:
        keeper, lifeline = _keeper(plan, command.environment, stream.fileno())
    return Kept(
        keeper, lifeline, sum(seconds for _, seconds in (*command.stop, *command.stop[:1])) + _HARD_SECONDS
    )


def end_with_us(pids: Iterable[int]) -> None:
    """Have processes end that others have started for us, when we are gone."""
    for pid in pids:
        _keeper({"pid": pid, "stop": GENTLE, "children_first": False}, os.environ, subprocess.DEVNULL)


def _keeper(
    plan: Mapping[str, Any], environment: Mapping[str, str], output: int
) -> tuple[subprocess.Popen[bytes], int]:
    reading, writing = os.pipe()
    with contextlib.closing(os.fdopen(reading)):
        keeper = subprocess.Popen(
            [sys.executable, "-P", str(_KEEPER), json.dumps(plan)],
            env=dict(environment),
            stdin=reading,
            stdout=output,
            stderr=output if output == subprocess.DEVNULL else subprocess.STDOUT,
            start_new_session=True,
        )
    return keeper, writing

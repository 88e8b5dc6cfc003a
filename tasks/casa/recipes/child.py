"""How every recipe runs as a child: request in, timed steps on the way, result last, errors in words."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from pydantic import BaseModel

from tasks.casa.recipes import usage
from tasks.casa.request import ERROR, RESULT, STEPS, ChildError, StepTime
from tasks.errors import Failed, PpiError

__all__ = ["Steps", "main"]


class Steps:
    """The steps of a recipe, written down as they begin and end so that the launcher can follow."""

    def __init__(self) -> None:
        self.times: list[StepTime] = []

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measure one step."""
        self._note(StepTime(step=name, seconds=None))
        measured = usage.Measurement()
        yield
        self.times.append(StepTime(step=name, **measured.taken()))
        self._note(self.times[-1])

    def _note(self, line: StepTime) -> None:
        with Path(STEPS).open("a") as log:
            log.write(line.model_dump_json() + "\n")


def main(recipe: Callable[[bytes, Steps], BaseModel]) -> None:
    """Run a recipe on the request named by the first argument, in the current directory.

    Exits 0 with `result.json` written; with the error's exit code and `error.json` where the recipe explains
    itself; and with 1 and CASA's own message where CASA raises.
    """
    try:
        result = recipe(Path(sys.argv[1]).read_bytes(), Steps())
    except PpiError as error:
        _write(ERROR, ChildError(kind=type(error).__name__, what=error.what, why=error.why, todo=error.todo))
        sys.exit(error.exit_code)
    except Exception as error:  # noqa: BLE001 - whatever CASA raises must reach the verdict in words
        why = f"{type(error).__name__}: {error}"
        _write(ERROR, ChildError(kind=Failed.__name__, what="CASA raised", why=why, todo="read casa.log"))
        sys.exit(1)
    _write(RESULT, result)


def _write(name: str, content: BaseModel) -> None:
    unfinished = Path(f"{name}.tmp")
    with unfinished.open("w") as file:
        file.write(content.model_dump_json())
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(name)

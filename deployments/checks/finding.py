"""What a look at a service found, and looking itself: all at once, and none waited for longer than agreed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tasks.errors import Missing, PpiError, Transient

__all__ = ["Finding", "Look", "Probe", "State", "Unknown", "exit_code"]

State = Literal["ok", "wrong", "unknown", "not set"]


@dataclass(frozen=True)
class Finding:
    """What was found of one thing.

    Parameters
    ----------
    what
        The thing.
    state
        `unknown` is what could not be told: no success.
    why
        How it is; what is wrong with it; or why it cannot be told.
    todo
        What to do about it.
    exit_code
        That of the kind of error; 0 where there is none.
    """

    what: str
    state: State
    why: str = ""
    todo: str = ""
    exit_code: int = 0


class Unknown(Exception):
    """How a thing is cannot be told.

    Parameters
    ----------
    why
        The reason.
    todo
        How it can be told.
    """

    def __init__(self, why: str, todo: str = "") -> None:
        super().__init__(why, todo)
        self.why, self.todo = why, todo


@dataclass(frozen=True)
class Probe:
    """A thing to look at.

    Parameters
    ----------
    what
        The thing.
    look
        Says in a few words how it is. What is wrong it raises as an error of ours, what it cannot tell as
        `Unknown`; None says that the profile names no such thing.
    """

    what: str
    look: Callable[[], str | None]


class Look:
    """A probe at work, in a thread that nobody needs to wait for: a dead file system holds it for ever.

    Parameters
    ----------
    probe
        What to look at.
    seconds
        After so long it counts as not answering.
    """

    def __init__(self, probe: Probe, seconds: float) -> None:
        self._probe, self._seconds = probe, seconds
        self._ends = time.monotonic() + seconds
        self._found: Finding | None = None
        self._thread = threading.Thread(target=self._work, name=probe.what, daemon=True)
        self._thread.start()

    def finding(self) -> Finding:
        """Return what it found, as soon as it has, and at the end of its time at the latest."""
        self._thread.join(max(0.0, self._ends - time.monotonic()))
        todo = "see that it runs and that this host can reach it"
        late = Finding(
            self._probe.what, "wrong", f"no answer within {self._seconds:g} s", todo, Transient.exit_code
        )
        return self._found or late

    def _work(self) -> None:
        self._found = _found(self._probe)


def _found(probe: Probe) -> Finding:
    what = probe.what
    try:
        told = probe.look()
    except PpiError as error:
        return Finding(what, "wrong", f"{error.what}: {error.why}", error.todo, error.exit_code)
    except Unknown as unknown:
        return Finding(what, "unknown", unknown.why, unknown.todo, Transient.exit_code)
    except OSError as error:
        place = f" at {error.filename}" if error.filename else ""
        return Finding(what, "wrong", f"{error.strerror or error}{place}", "mend that place", Missing.exit_code)
    except Exception as error:  # noqa: BLE001 - one look that fails must not hide what the others found
        why = f"the look itself failed ({type(error).__name__})"
        return Finding(what, "unknown", why, "please report this", Transient.exit_code)
    return Finding(what, "not set") if told is None else Finding(what, "ok", told)


def exit_code(findings: tuple[Finding, ...]) -> int:
    """Return the exit code of a command that found these: what cannot be reached goes before the rest."""
    codes = {finding.exit_code for finding in findings} - {0}
    return Transient.exit_code if Transient.exit_code in codes else max(codes, default=0)

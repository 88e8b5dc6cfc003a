"""One tree of errors, so that a failure itself says whether a retry helps and what a person should do next.

::

    PpiError
    ├── Refused     bad input, proprietary, not restorable: a retry is of no use
    ├── Missing     what should be there is not: a retry is of no use until it is put there
    ├── Transient   a service was busy, gone or slow: a retry helps
    │   └── Exhausted   it was tried again as often as that helps: later, or when somebody has looked at it
    └── Failed      the work itself was done and came out wrong; carries the verdict's reasons
"""

from __future__ import annotations

from typing import ClassVar

__all__ = ["Exhausted", "Failed", "Missing", "PpiError", "Refused", "Transient"]


class PpiError(Exception):
    """Something that PPI can explain.

    Parameters
    ----------
    what
        What could not be done, naming the thing.
    why
        The reason.
    todo
        What the reader should do next.
    """

    exit_code: ClassVar[int] = 6
    retry_helps: ClassVar[bool] = False

    def __init__(self, what: str, why: str = "", todo: str = "") -> None:
        super().__init__(what, why, todo)
        self.what, self.why, self.todo = what, why, todo

    def __str__(self) -> str:
        sentence = f"{self.what}: {self.why}" if self.why else self.what
        return f"{sentence}. Next: {self.todo}" if self.todo else sentence


class Refused(PpiError):
    """Bad input, or something that may not be done; a retry is of no use."""

    exit_code = 3


class Missing(PpiError):
    """What should be there is not; a retry is of no use until it is."""

    exit_code = 4


class Transient(PpiError):
    """A service was busy, gone or slow; a retry helps."""

    exit_code = 5
    retry_helps = True


class Exhausted(Transient):
    """What may pass did not, however often it was tried again; no retry by itself."""

    retry_helps = False


class Failed(PpiError):
    """The work was done and came out wrong.

    Parameters
    ----------
    reasons
        The verdict's reasons, one sentence each.
    """

    exit_code = 6

    def __init__(self, what: str, why: str = "", todo: str = "", reasons: tuple[str, ...] = ()) -> None:
        super().__init__(what, why or "; ".join(reasons), todo)
        self.reasons = reasons

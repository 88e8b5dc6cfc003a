"""Everything that is wrong with a profile, told at once: an operator should mend a file in one go, not in ten.

`blocks` imports nothing of ours, so its error stands apart from the tree of `tasks/errors.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Origin", "Problem", "ProfileError"]


@dataclass(frozen=True)
class Origin:
    """Where a value was read.

    Parameters
    ----------
    file, line
        The properties file, and the line in it (the first is 1).
    key
        The key as it is written there: another system's when the value came in through a fall-back, empty when
        the line has none.
    """

    file: Path
    line: int
    key: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong; its text never holds a secret.

    Parameters
    ----------
    what
        The key, or the file when there is no key.
    reason, todo
        Why it cannot be used, and what to do next.
    origin
        Where it stands, if it stands anywhere.
    """

    what: str
    reason: str
    todo: str
    origin: Origin | None = None

    def __str__(self) -> str:
        place = f" ({self.origin}{self._other_key()})" if self.origin else ""
        return f"{self.what}{place}: {self.reason}. Next: {self.todo}"

    def _other_key(self) -> str:
        written = self.origin.key if self.origin else ""
        return f", as {written}" if written and written.lower() != self.what.lower() else ""


class ProfileError(ValueError):
    """A profile cannot be used; the message has one line for each problem.

    Parameters
    ----------
    profile
        The profile's name as it was asked for; empty where it is not about one profile.
    problems
        All that is wrong with it.
    """

    def __init__(self, profile: str, problems: tuple[Problem, ...]) -> None:
        super().__init__(profile, problems)
        self.profile, self.problems = profile, problems

    def __str__(self) -> str:
        count = f"{len(self.problems)} problem{'s' if len(self.problems) != 1 else ''}"
        which = f"profile '{self.profile}' cannot be used" if self.profile else "no profile can be used"
        lines = [f"{which} ({count})", *map(str, self.problems)]
        return "\n  ".join(lines)

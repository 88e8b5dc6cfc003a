"""How long, and in which order, to keep trying several servers that hold the same files."""

from __future__ import annotations

import logging
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar

from tasks.abandon import pause
from tasks.errors import Missing, PpiError, Refused, Transient
from tasks.ngas.checksum import CHUNK
from tasks.ngas.connection import FLOOR
from tasks.ngas.wire import Damaged

__all__ = ["Attempt", "Mixed", "Patience", "persevere"]

T = TypeVar("T")

_LOG: Final = logging.getLogger(__name__)
_TELLING: Final = (Missing, Damaged, Refused, Transient)
"""What another server, or another attempt, may not say; the most telling one last."""
_PROOFS: Final = 2
"""So often damaged, it is the server's copy that is damaged."""


@dataclass(frozen=True)
class Patience:
    """A budget of attempts.

    A round asks every server once, without pausing: another server may be well. Pauses lie between rounds,
    each up to twice the last, of random length so that many clients do not come back at the same moment.
    """

    rounds: int = 4
    """How often every server is asked without any progress."""
    first_pause: float = 0.5
    """Seconds after the first round, at most."""
    longest_pause: float = 20.0
    """Seconds that no pause exceeds."""
    sleep: Callable[[float], None] = pause
    """Replaced in tests."""

    def pauses(self) -> Iterator[float]:
        """Yield the seconds to wait after each round but the last."""
        for number in range(self.rounds - 1):
            most: float = min(self.longest_pause, self.first_pause * 2**number)
            yield random.uniform(most / 2, most)  # noqa: S311 - it spreads load and guards nothing


class Mixed(Damaged):
    """What came from several servers does not fit together: which of them it was from can not be said."""


class Attempt(NamedTuple):
    """One attempt among all that may be made."""

    server: str
    number: int
    budget: int

    def __str__(self) -> str:
        return f"attempt {self.number} of {self.budget}"


def persevere(
    servers: Sequence[str],
    patience: Patience,
    what: str,
    attempt: Callable[[Attempt], T],
    *,
    order: Callable[[Iterable[str]], Iterable[str]] = tuple,
    progress: Callable[[], int] = lambda: 0,
) -> T:
    """Try until it succeeds, the budget is spent, or no retry can help.

    Parameters
    ----------
    order
        Puts the servers of a round into the order in which to ask them.
    progress
        How many bytes there are; whenever there were never so many before, the budget counts anew.

    Raises
    ------
    PpiError
        The most telling of the servers' last errors, naming the file, the server and the attempt.
    """
    budget, verdicts = _Budget(patience, len(servers), progress), _Verdicts(servers, what)
    while True:
        waiting = deque(order(verdicts.open))
        while waiting:
            at = budget.attempt(waiting.popleft())
            try:
                return attempt(at)
            except PpiError as error:
                verdicts.note(at, error)
                if isinstance(error, Mixed):
                    waiting.appendleft(at.server)
        pause_seconds = budget.next_pause()
        if pause_seconds is None or not verdicts.open:
            raise verdicts.worst
        patience.sleep(pause_seconds)


class _Budget:
    """How many attempts there may still be: those of so many rounds since the last progress.

    Less than flows from a server that counts as stalled is none, or a file might come byte by byte for ever.
    """

    def __init__(self, patience: Patience, servers: int, progress: Callable[[], int]) -> None:
        self._patience, self._servers, self._progress = patience, servers, progress
        self._made = self._renewed = 0
        self._farthest, self._moment, self._pauses = progress(), time.monotonic(), patience.pauses()

    def attempt(self, server: str) -> Attempt:
        """Count an attempt."""
        self._look()
        self._made += 1
        return Attempt(server, self._made, max(self._made, self._renewed + self._patience.rounds * self._servers))

    def next_pause(self) -> float | None:
        """Return the seconds to wait before the next round; None when there is none."""
        self._look()
        return next(self._pauses, None)

    def _look(self) -> None:
        came, moment = self._progress(), time.monotonic()
        if came - self._farthest > min(CHUNK, FLOOR * max(1.0, moment - self._moment)):
            self._farthest, self._moment = came, moment
            self._renewed, self._pauses = self._made - 1, self._patience.pauses()


class _Verdicts:
    """What each server said last, and whether it is worth asking again.

    A server that does not have the file, or refuses it, will not have thought better of it in a second; but
    that is no proof for the others. Damaged bytes are worth a second attempt and no more: then it is the server's
    copy that is damaged, and to ask for it again would only burden the archive.
    """

    def __init__(self, servers: Sequence[str], what: str) -> None:
        self._what, self._last, self._damaged = what, dict[str, PpiError](), Counter[str]()
        self._open = dict.fromkeys(servers)

    @property
    def open(self) -> tuple[str, ...]:
        """The servers that may still help."""
        return tuple(self._open)

    @property
    def worst(self) -> PpiError:
        """The error to end with: what may pass, else a refusal, else damage, else that nobody has it."""
        return max(reversed(self._last.values()), key=_rank)

    def note(self, at: Attempt, error: PpiError) -> None:
        """Note what a server said, and raise what is our own failure."""
        self._last.pop(at.server, None)
        self._last[at.server] = _noted(error, self._what, at)
        self._damaged[at.server] += isinstance(error, Damaged) and not isinstance(error, Mixed)
        if isinstance(error, Missing | Refused) or self._damaged[at.server] >= _PROOFS:
            self._open.pop(at.server, None)


def _noted(error: PpiError, what: str, at: Attempt) -> PpiError:
    """Log an error that another server may not have, and raise any other. A missing file may be normal."""
    named = _named(error, what, at)
    if not isinstance(error, _TELLING):
        raise named from error
    named.__cause__ = error
    _LOG.log(logging.DEBUG if isinstance(error, Missing) else logging.WARNING, "%s", named)
    return named


def _rank(error: PpiError) -> int:
    return next(rank for rank, kind in enumerate(_TELLING) if isinstance(error, kind))


def _named(error: PpiError, what: str, at: Attempt) -> PpiError:
    """Say what was asked of whom, by the how manieth attempt, and say it once."""
    place = f"server {at.server}"
    why = error.why if error.what in (what, place) else f"{error.what}: {error.why}"
    return type(error)(f"{what} from {place}", f"{at}: {why}", error.todo)

"""How long, and in which order, to keep trying several servers that hold the same files."""

from __future__ import annotations

import itertools
import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar

from tasks.errors import Missing, PpiError, Refused, Transient
from tasks.ngas.wire import Damaged

__all__ = ["Attempt", "Patience", "persevere"]

T = TypeVar("T")

_LOG: Final = logging.getLogger(__name__)
_TELLING: Final = (Missing, Damaged, Transient, Refused)


@dataclass(frozen=True)
class Patience:
    """A budget of attempts.

    A round asks every server once, without pausing: another server may be well. Pauses lie between rounds,
    each up to twice the last, of random length so that many clients do not come back at the same moment.
    """

    rounds: int = 4
    """How often every server is asked."""
    first_pause: float = 0.5
    """Seconds after the first round, at most."""
    longest_pause: float = 20.0
    """Seconds that no pause exceeds."""
    sleep: Callable[[float], None] = time.sleep
    """Replaced in tests."""

    def pauses(self) -> Iterator[float]:
        """Yield the seconds to wait after each round but the last."""
        for number in range(self.rounds - 1):
            most: float = min(self.longest_pause, self.first_pause * 2**number)
            yield random.uniform(most / 2, most)  # noqa: S311 - it spreads load and guards nothing


class Attempt(NamedTuple):
    """One attempt among all that may be made."""

    server: str
    number: int
    budget: int

    def __str__(self) -> str:
        return f"attempt {self.number} of {self.budget}"


def persevere(servers: Sequence[str], patience: Patience, what: str, attempt: Callable[[Attempt], T]) -> T:
    """Try until it succeeds, the budget is spent, or no retry can help.

    A server that does not have the file is no proof that none has: only when every server of a round says so
    is it missing. Damaged bytes are worth a second round and no more: then it is the archive's copy that is
    damaged, and to ask for it again would only burden the archive. One server's refusal is not another's, but
    there is no second round after it. What is our own failure ends it at once.

    Raises
    ------
    PpiError
        The last round's most telling error, naming the file, the server and the attempt.
    """
    numbers, pauses, budget = itertools.count(1), patience.pauses(), patience.rounds * len(servers)
    worst: PpiError | None = None
    while True:
        errors: list[PpiError] = []
        for server, number in zip(servers, numbers, strict=False):
            at = Attempt(server, number, budget)
            try:
                return attempt(at)
            except PpiError as error:
                errors.append(_noted(error, what, at))
        before, worst = worst, max(reversed(errors), key=_rank)
        pause = next(pauses, None)
        if pause is None or _is_settled(before, worst):
            raise worst
        patience.sleep(pause)


def _noted(error: PpiError, what: str, at: Attempt) -> PpiError:
    """Log an error that another server may not have, and raise any other. A missing file may be normal."""
    named = _named(error, what, at)
    if not isinstance(error, _TELLING):
        raise named from error
    named.__cause__ = error
    _LOG.log(logging.DEBUG if isinstance(error, Missing) else logging.WARNING, "%s", named)
    return named


def _rank(error: PpiError) -> int:
    """Rank a refusal above what may pass, that above what came damaged, and that above what is not there."""
    return next(rank for rank, kind in enumerate(_TELLING) if isinstance(error, kind))


def _is_settled(before: PpiError | None, worst: PpiError) -> bool:
    return isinstance(worst, Missing | Refused) or (isinstance(worst, Damaged) and isinstance(before, Damaged))


def _named(error: PpiError, what: str, at: Attempt) -> PpiError:
    """Say what was asked of whom, by the how manieth attempt, and say it once."""
    place = f"server {at.server}"
    why = error.why if error.what in (what, place) else f"{error.what}: {error.why}"
    return type(error)(f"{what} from {place}", f"{at}: {why}", error.todo)

"""Attempts: of what is delivered or given up they go, by age and size; of all else they stay, and it is said why.

An attempt is removed by who holds its observation, and is looked at again then. So it is never in use; and what it
was made for is delivered, or a person has cancelled it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from tasks.catalog.needs import Needs
from tasks.errors import PpiError, Transient
from tasks.report.units import size
from tasks.retention.model import Cleared, Finding, Part
from tasks.retention.trash import Measured, Trash, measured
from tasks.workspace.delivery import PROVENANCE, REPLACED, delivered
from tasks.workspace.layout import Area, Attempt

__all__ = ["Attempts", "Terms"]

AskNeeds = Callable[[Collection[str]], Needs]
"""Asks the catalog about observations."""
_LEAST: Final = timedelta(days=3)
"""What was changed, delivered or given up since then stays, however large: somebody may go on with it."""


class Terms(NamedTuple):
    """How long attempts are kept that are needed no more, and how many bytes they may be together."""

    age: timedelta
    limit: int | None = None


class _Judged(NamedTuple):
    """Whether an attempt is needed: since when it is not, None if it is; and why."""

    since: datetime | None
    why: str


class _Seen(NamedTuple):
    folder: Path
    judged: _Judged
    size: int


@dataclass(frozen=True)
class Attempts:
    """The attempts in an area.

    Parameters
    ----------
    area
        The area.
    ask
        Asks the catalog.
    terms
        How long they are kept.
    now
        The time at which all ages are taken.
    """

    area: Area
    ask: AskNeeds
    terms: Terms
    now: datetime

    def look(self) -> Iterator[Finding]:
        """Find all attempts, the largest that stay and the oldest that go first."""
        seen = self._seen()
        for each in sorted(seen, key=lambda each: each.size, reverse=True):
            if each.judged.since is None:
                yield _kept(each, each.judged.why)
        yield from self._unneeded([each for each in seen if each.judged.since is not None])

    def _seen(self) -> list[_Seen]:
        begun = [(folder, _read(folder)) for folder in self.area.begun()]
        needs = self.ask({attempt.observation for _, attempt in begun if isinstance(attempt, Attempt)})
        return [self._look_at(folder, attempt, needs) for folder, attempt in begun]

    def _look_at(self, folder: Path, attempt: Attempt | str, needs: Needs) -> _Seen:
        try:
            found = measured(folder, self.now)
        except OSError as error:
            return _Seen(folder, _Judged(None, f"it cannot be measured: {error.strerror} at {error.filename}"), 0)
        if isinstance(attempt, str):
            return _Seen(folder, _Judged(None, attempt), found.size)
        if self.area.is_held(attempt.observation):
            return _Seen(folder, _Judged(None, "a run works on its observation"), found.size)
        return _Seen(folder, self._judged(folder, attempt, needs, found), found.size)

    def _judged(self, folder: Path, attempt: Attempt, needs: Needs, found: Measured) -> _Judged:
        """Tell whether an attempt on which nobody works is needed."""
        observation = attempt.observation
        if why := needs.wanted.get(observation):
            return _Judged(None, why)
        destination = self.area.destination(folder.name.partition("_")[0], observation)
        try:
            delivery = delivered(destination, attempt.key)
        except PpiError as error:
            return _Judged(None, str(error))
        if delivery:
            return _Judged(max(attempt.stamp, found.changed, delivery.finished), "it is delivered")
        if not (given_up := needs.given_up.get(observation)):
            todo = "`ppi restore` goes on with it, `ppi queue cancel` gives it up"
            return _Judged(None, f"what it was begun for is not delivered; {todo}")
        if (folder / REPLACED / PROVENANCE).exists() and not (destination / PROVENANCE).exists():
            return _Judged(
                None, f"the delivery that there was before is in it; `ppi restore {observation}` puts one back"
            )
        return _Judged(max(attempt.stamp, found.changed, given_up), "it was given up")

    def _unneeded(self, seen: list[_Seen]) -> Iterator[Finding]:
        total = sum(each.size for each in seen)
        for each in sorted(seen, key=_since):
            if reason := self._reason(each, total):
                total -= each.size
                why = f"{each.judged.why}, {reason}"
                remove = partial(self._remove, each.folder, _since(each))
                yield Finding(Part.ATTEMPTS, str(each.folder), why, 1, each.size, remove)
            else:
                yield _kept(each, f"{each.judged.why}, less than {self.terms.age.days} days ago")

    def _reason(self, seen: _Seen, total: int) -> str:
        """Say why something that is not needed goes now; nothing for what stays.

        Parameters
        ----------
        total
            Bytes of all that is not needed and not older.
        """
        age = self.now - _since(seen)
        if age > self.terms.age:
            return f"more than {self.terms.age.days} days ago"
        if self.terms.limit is not None and total > self.terms.limit and age > _LEAST:
            return f"and all such attempts are more than {size(self.terms.limit)}"
        return ""

    def _remove(self, folder: Path, since: datetime) -> Cleared:
        try:
            attempt = Attempt.of(folder)
        except FileNotFoundError:
            return Cleared(0, 0, "it is gone already")
        with ExitStack() as stack:
            try:
                stack.enter_context(self.area.held(attempt.observation))
            except Transient as error:
                return Cleared(0, 0, error.why)
            found = measured(folder, max(self.now, datetime.now(UTC)))
            judged = self._judged(folder, attempt, self.ask({attempt.observation}), found)
            if judged.since is None or judged.since > since:
                return Cleared(0, 0, judged.why if judged.since is None else "somebody has worked on it meanwhile")
            trash = Trash(self.area.root)
            doomed = trash.take(folder)
        trash.delete(doomed)
        return Cleared(1, found.size)


def _since(seen: _Seen) -> datetime:
    return seen.judged.since or datetime.max.replace(tzinfo=UTC)


def _kept(seen: _Seen, why: str) -> Finding:
    return Finding(Part.ATTEMPTS, str(seen.folder), why, 1, seen.size)


def _read(folder: Path) -> Attempt | str:
    """Return an attempt, or why its marker cannot be read."""
    try:
        return Attempt.of(folder)
    except FileNotFoundError:
        return "it is just going away"
    except PpiError as error:
        return str(error)

"""The account of a sweep: what it looked at, and what it did about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tasks.alma.access import Standing
from tasks.catalog.request import Ask, Change
from tasks.catalog.request_states import RequestState
from tasks.sweep.look import Found
from tasks.sweep.model import Launched

__all__ = ["Swept"]


@dataclass
class Swept:
    """What a sweep, or a dry run of one, has found and done.

    Parameters
    ----------
    standings
        How many observations it looked at, by how they stand.
    left
        How many are left to people, since they became public long ago.
    asked, again, withdrawn
        What it asks for; what waits again; what was withdrawn, with the reason.
    runs
        The runs that it started, by observation.
    settled
        What it settled of earlier runs.
    failures
        What it could not do, in sentences.
    changes
        All changes of state that it made; none in a dry run.
    more
        Whether the next sweep will find more, even if nothing happens.
    """

    standings: Counter[Standing] = field(default_factory=Counter)
    left: int = 0
    asked: list[Ask] = field(default_factory=list)
    again: list[Ask] = field(default_factory=list)
    withdrawn: dict[str, str] = field(default_factory=dict)
    runs: dict[str, str] = field(default_factory=dict)
    settled: list[Change] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    more: bool = False

    @property
    def looked(self) -> int:
        """How many observations it looked at."""
        return self.standings.total()

    def has_found(self, found: Found, recorded: tuple[Change, ...] | None) -> None:
        """Add what a look has found, as far as that was recorded; all of it in a dry run, of None."""
        self.standings.update(decision.standing for decision in found.decisions.values())
        self.left += found.left
        self.more = found.more
        new = None if recorded is None else {change.observation for change in recorded}
        self.asked += [ask for ask in found.asks if new is None or ask.observation in new]
        self.again += [ask for ask in found.again if new is None or ask.observation in new]
        self.withdrawn |= {one: why for one, why in found.withdrawn.items() if new is None or one in new}
        self.changes += recorded or ()

    def has_settled(self, done: Launched) -> None:
        """Add what was settled of earlier runs."""
        self.settled += done.changes
        self.has_launched(done)

    def has_launched(self, done: Launched) -> None:
        """Add what was launched, and what was withdrawn instead."""
        self.runs |= done.runs
        self.failures += done.failures
        self.changes += done.changes
        refused = (change for change in done.changes if change.state is RequestState.WITHDRAWN)
        self.withdrawn |= {change.observation: change.reason or "" for change in refused}

    def counts(self) -> Mapping[str, int]:
        """Return the account in numbers."""
        numbers = {
            "looked at": self.looked,
            "asked for": len(self.asked),
            "waiting again": len(self.again),
            "withdrawn": len(self.withdrawn),
            "launched": len(self.runs),
            "settled": len(self.settled),
            "left to people": self.left,
            "failures": len(self.failures),
        }
        return numbers | {f"of these {standing}": many for standing, many in sorted(self.standings.items())}

    def rows(self) -> list[dict[str, str]]:
        """Return what was done to which observation, one row each."""
        return list(self._rows())

    def _rows(self) -> Iterator[dict[str, str]]:
        projects = {ask.observation: ask.project for ask in (*self.asked, *self.again)}
        projects |= {change.observation: change.project for change in self.changes}
        reasons = {change.observation: change.reason for change in self.changes}

        def row(observation: str, what: str, reason: str | None) -> dict[str, str]:
            project = projects.get(observation) or ""
            return {"observation": observation, "project": project, "what": what, "reason": reason or ""}

        for change in self.settled:
            yield row(change.observation, f"settled: {change.state}", change.reason)
        for observation, run in self.runs.items():
            yield row(observation, f"launched: {run}", reasons.get(observation))
        for ask in self.asked:
            yield row(ask.observation, "asked for", ask.reason)
        for ask in self.again:
            yield row(ask.observation, "waiting again", ask.reason)
        for observation, reason in self.withdrawn.items():
            yield row(observation, "withdrawn", reason)

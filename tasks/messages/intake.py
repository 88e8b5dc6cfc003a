"""What becomes of messages that came: a batch of them is written down in the catalog at once, or refused."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Protocol

from tasks.catalog.heard import Status
from tasks.catalog.request import ANNOUNCEMENT, Ask, Change
from tasks.errors import Refused, Transient
from tasks.messages.reading import read_announcement, read_status, short

__all__ = ["Arrived", "Asks", "Intake", "Statuses", "Taken"]

_ANNOUNCED: Final = "its ingestion was announced"
_log = logging.getLogger("ppi.messages")


class Asks(Protocol):
    """Where asks are recorded; a `tasks.catalog.book.Book` is one."""

    def record(self, asks: Sequence[Ask], now: datetime) -> tuple[Change, ...]:
        """Record what is asked for; raises `Transient` while that cannot be."""


class Statuses(Protocol):
    """Where statuses are noted; a `tasks.catalog.heard.Heard` is one."""

    def note(self, statuses: tuple[Status, ...]) -> int:
        """Note statuses; return how many are of nothing that we have."""


@dataclass(frozen=True)
class Arrived:
    """A message that came.

    Parameters
    ----------
    is_status
        Whether it came to the queue of statuses, else to that of announcements.
    unreadable
        What is wrong with it before its body was looked at.
    """

    body: bytes
    is_status: bool = False
    unreadable: str | None = None


@dataclass(frozen=True)
class Taken:
    """What became of messages.

    Parameters
    ----------
    reasons
        Why each was refused, in their order; None for those that are done with.
    changes
        What it changed.
    """

    reasons: tuple[str | None, ...] = ()
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True)
class Intake:
    """What a profile does with messages.

    Parameters
    ----------
    profile
        Its name.
    workflow
        What is asked for when an observation was ingested.
    book, heard
        Where it is written down.
    require_ready
        Raises an error of ours while the catalog cannot be used.
    clock
        Tells the time, aware.
    """

    profile: str
    workflow: str
    book: Asks
    heard: Statuses
    require_ready: Callable[[], None] = field(repr=False)
    clock: Callable[[], datetime] = field(default=lambda: datetime.now(UTC), repr=False)

    def take(self, arrived: Sequence[Arrived]) -> Taken:
        """Write down what messages say, and tell which are refused; twice the same is as good as once.

        One that the catalog does not take, though there is nothing wrong with the catalog, is refused.

        Raises
        ------
        PpiError
            The catalog cannot be used now: nothing is refused, and all are to be taken later.
        """
        try:
            return self._take(arrived)
        except Transient:
            raise
        except Exception as error:  # noqa: BLE001 - it is found out what it is
            self.require_ready()
            if len(arrived) == 1:
                _log.exception("A message cannot be written down")
                return Taken((short(error),))
        parts = [self.take([each]) for each in arrived]
        return Taken(
            tuple(reason for part in parts for reason in part.reasons),
            tuple(change for part in parts for change in part.changes),
        )

    def _take(self, arrived: Sequence[Arrived]) -> Taken:
        asks: list[Ask] = []
        statuses: list[Status] = []
        reasons = tuple(self._read(each, asks, statuses) for each in arrived)
        changes = self.book.record(asks, self.clock()) if asks else ()
        if statuses and (strangers := self.heard.note(tuple(statuses))):
            _log.info("%d of %d statuses are of work that was not asked for here", strangers, len(statuses))
        return Taken(reasons, changes)

    def _read(self, arrived: Arrived, asks: list[Ask], statuses: list[Status]) -> str | None:
        if arrived.unreadable:
            return short(arrived.unreadable)
        try:
            if arrived.is_status:
                statuses += self._status(arrived.body)
            else:
                asks.append(self._ask(arrived.body))
        except Refused as error:
            return short(error)
        return None

    def _ask(self, body: bytes) -> Ask:
        said = read_announcement(body, self.profile)
        return Ask(
            workflow=self.workflow,
            observation=said.mous,
            project=said.project,
            origin=ANNOUNCEMENT,
            priority=said.priority,
            reason=_ANNOUNCED,
        )

    def _status(self, body: bytes) -> list[Status]:
        """Return what it says; of other environments' work, which may share a broker with ours, nothing."""
        said = read_status(body)
        if said.profile not in (None, self.profile):
            return []
        run = str(said.flow_run) if said.flow_run else None
        return [Status(said.workflow, said.observation, run, said.stage, said.time)]

"""What a sweep goes by, and what it needs of the place where runs are."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Final, Protocol

from tasks.catalog.book import Book, Filed
from tasks.catalog.request import ANNOUNCEMENT, SWEEP, TRIES, Change
from tasks.catalog.request_states import RequestState

__all__ = ["Launched", "Launcher", "RunEnd", "Terms", "is_key_of", "key_of", "put_back"]

_FIRST_PAUSE: Final = timedelta(minutes=5)


@dataclass(frozen=True)
class Terms:
    """How an environment sweeps.

    Parameters
    ----------
    profile, workflow
        The environment, and what is asked for.
    allowed_projects
        Codes of the projects whose proprietary data may be processed; ``*`` for all.
    audit_size
        How many observations each sweep looks at whatever their state, in turn.
    since
        What became public before this day is left to people; None to leave nothing.
    most_runs
        How many requests may be under way at once.
    """

    profile: str
    workflow: str
    allowed_projects: Collection[str]
    audit_size: int
    since: date | None
    most_runs: int

    @property
    def beginning(self) -> datetime | None:
        """The first moment of `since`."""
        return datetime.combine(self.since, time(), UTC) if self.since else None


class RunEnd(StrEnum):
    """How a run ended, by the server that it was launched at."""

    COMPLETED = "completed"
    FAILED = "failed"
    CRASHED = "crashed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"
    """There is no such run."""


class Launcher(Protocol):
    """Where runs are started."""

    def launch(self, request: Filed, key: str) -> str:
        """Start the run of a request and return its id; the same key gives the same run. Raises `PpiError`."""

    def ends(self, runs: Collection[str]) -> Mapping[str, RunEnd]:
        """Return how runs ended; those under way are left out. Raises `PpiError`."""


@dataclass
class Launched:
    """What became of requests that were launched, or under way.

    Parameters
    ----------
    changes
        Of their states.
    runs
        Those that were started, by observation.
    failures
        What went wrong, in sentences.
    """

    changes: list[Change] = field(default_factory=list)
    runs: dict[str, str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


def key_of(request: Filed, terms: Terms) -> str:
    """Return by what a run is known as that of one launch of a request.

    The time of asking is in it for a catalog that was lost and made anew: it counts launches from the beginning.
    """
    asked = f"{request.asked:%Y%m%dT%H%M%S.%f}"
    return "/".join((terms.profile, request.workflow, request.observation, asked, str(request.launches)))


def is_key_of(key: str | None, profile: str, workflow: str, observation: str) -> bool:
    """Tell whether a run's key is that of a launch."""
    return bool(key and key.startswith(f"{profile}/{workflow}/{observation}/"))


def put_back(book: Book, request: Filed, why: str, now: datetime) -> tuple[Change, ...]:
    """Let a request wait again whose run came to nothing, for longer each time; it fails after the last try.

    What a person runs in passing is not run again by itself.
    """
    if request.tries == 0 and request.origin not in (SWEEP, ANNOUNCEMENT):
        return book.settle(request, RequestState.FAILED, now, why)
    if request.tries >= TRIES:
        return book.settle(request, RequestState.FAILED, now, f"after {request.tries} tries: {why}")
    return book.settle(request, RequestState.WAITING, now, why, now + _FIRST_PAUSE * 2**request.tries)

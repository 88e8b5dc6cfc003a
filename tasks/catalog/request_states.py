"""The state of a request, and how it may change.

::

                 ┌─────────── hold ──────────> held ────┐
                 │ <───────── release ───────── │       │ a run of its own accord
    ┌──────> waiting ───────> launched ─────> running <─┘
    │            │ <── no trace of its run ──┘ │  │
    │            │ <── it was interrupted, or what failed may pass; as often as it has tries
    │            │                             │  ├─> succeeded   delivered, and proven
    │            │                             │  └─> failed      the work went wrong, or it has no tries left
    │            ├─> withdrawn  <── refused ───┘       it may not, or cannot, be done now
    │            └─> cancelled  <── by a person
    │                   │
    └── by a person <───┴── from every end; from withdrawn also when it may be done again

Whatever its state, a run that somebody starts on the observation makes it running, since it is being done.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

__all__ = ["ACTIVE", "OPEN", "RequestState", "before"]


class RequestState(StrEnum):
    """What became of a request so far."""

    WAITING = "waiting"
    HELD = "held"
    LAUNCHED = "launched"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"
    CANCELLED = "cancelled"


_R = RequestState
ACTIVE: Final = frozenset({_R.LAUNCHED, _R.RUNNING})
"""Those that count against what may run at once."""
OPEN: Final = frozenset({_R.WAITING, _R.HELD, *ACTIVE})
"""Those that are still to come to an end."""
_BEFORE: Final = {
    _R.WAITING: frozenset(_R) - {_R.WAITING},
    _R.HELD: frozenset({_R.WAITING}),
    _R.LAUNCHED: frozenset({_R.WAITING}),
    _R.RUNNING: frozenset(_R) - {_R.RUNNING},
    _R.SUCCEEDED: frozenset({_R.RUNNING, _R.FAILED, _R.WAITING, _R.WITHDRAWN, _R.CANCELLED, _R.HELD, _R.LAUNCHED}),
    _R.FAILED: ACTIVE,
    _R.WITHDRAWN: frozenset({_R.WAITING, _R.HELD, *ACTIVE}),
    _R.CANCELLED: frozenset({_R.WAITING, _R.HELD, *ACTIVE}),
}


def before(state: RequestState) -> frozenset[RequestState]:
    """Return the states from which a request may come to this one.

    An observation that turns out to be delivered has succeeded, whatever was thought of it.
    """
    return _BEFORE[state]

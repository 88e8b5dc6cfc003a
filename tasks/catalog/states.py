"""The state of an execution, and how it may change.

::

    running ──┬─> succeeded     delivered, and proven
              ├─> unchanged     it was delivered already; nothing was done
              ├─> refused       it may not or cannot be done: nothing was wrong with the work
              ├─> failed ───────┐  the work went wrong, or a service did
              └─> interrupted ──┤  Ctrl-C, a cancellation, or killed
                                └─> succeeded, when it turns out that it had delivered before
"""

from __future__ import annotations

from enum import StrEnum

from tasks.errors import Missing, Refused

__all__ = ["State", "require_change", "state_after"]


class State(StrEnum):
    """What became of an execution."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    UNCHANGED = "unchanged"
    REFUSED = "refused"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


_AFTER = {
    State.RUNNING: frozenset(State) - {State.RUNNING},
    State.FAILED: frozenset({State.SUCCEEDED}),
    State.INTERRUPTED: frozenset({State.SUCCEEDED}),
}


def require_change(execution: int, old: State, new: State) -> None:
    """Let an execution keep its state, or take one that may follow it.

    Raises
    ------
    Refused
        No such change is drawn.
    """
    if new != old and new not in _AFTER.get(old, frozenset()):
        raise Refused(
            f"execution {execution} of the catalog",
            f"it is {old} and cannot become {new}",
            "see whether two runs work on one observation",
        )


def state_after(error: BaseException) -> State:
    """Return the state of an execution that an error ends."""
    if isinstance(error, Refused | Missing):
        return State.REFUSED
    return State.FAILED if isinstance(error, Exception) else State.INTERRUPTED

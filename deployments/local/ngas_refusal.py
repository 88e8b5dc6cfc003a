"""What the embedded archive refuses, in NGAS's words."""

from __future__ import annotations

__all__ = ["Refusal", "offline", "unavailable_file"]


class Refusal(Exception):
    """An answer of failure.

    Parameters
    ----------
    message
        For the status document; it may carry NGAS's code, or not.
    status
        HTTP's; nearly always 400.
    state
        The server's.
    """

    def __init__(self, message: str, *, status: int = 400, state: str = "ONLINE") -> None:
        super().__init__(message)
        self.message, self.status, self.state = message, status, state


def unavailable_file(file_id: str) -> Refusal:
    """Return error 4019, which is said of unknown files and of unreachable ones."""
    return Refusal(f"NGAMS_ER_UNAVAIL_FILE:4019:ERROR: File with ID: {file_id} appears not to be available.")


def offline(command: str) -> Refusal:
    """Return error 4015, said by a server that is OFFLINE."""
    message = f"NGAMS_ER_IMPROPER_STATE:4015:ERROR: Improper state for handling command {command}: OFFLINE"
    return Refusal(message, state="OFFLINE")

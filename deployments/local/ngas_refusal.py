"""What the embedded archive refuses, in NGAS's words."""

from __future__ import annotations

from typing import Final

__all__ = ["BUSY", "Refusal", "improper_state", "unavailable_file", "unknown_plugin"]

BUSY: Final = b"HTTP/1.0 503 Service Unavailable\r\n"
"""All that a server says that has too many requests."""


class Refusal(Exception):
    """An answer of failure.

    Parameters
    ----------
    message
        For the status document; it may carry NGAS's code, or not.
    status
        HTTP's; nearly always 400.
    """

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.message, self.status = message, status


def unavailable_file(file_id: str) -> Refusal:
    """Return error 4019, which is said of unknown files and of unreachable ones."""
    return Refusal(f"NGAMS_ER_UNAVAIL_FILE:4019:ERROR: File with ID: {file_id} appears not to be available.")


def improper_state(command: str, state: str) -> Refusal:
    """Return error 4015, said by a server that is OFFLINE, or told to go where it is already."""
    return Refusal(f"NGAMS_ER_IMPROPER_STATE:4015:ERROR: Improper state for handling command {command}: {state}")


def unknown_plugin(name: str) -> Refusal:
    """Return the error of a processing that the server does not know."""
    return Refusal(f"NGAMS_ER_ILL_DPPI:4024:ERROR: Data Processing Plug-In: {name} is not supported.")

"""The embedded archive's request log: who asked which server for what and when, and how much came at once."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

__all__ = ["RequestLog", "most_at_once", "requests_of"]

_ANSWERED: Final = (200, 206)


class RequestLog:
    """The log of an archive's folder, which all its servers write.

    Parameters
    ----------
    root
        The archive's folder.
    """

    def __init__(self, root: Path) -> None:
        self._path = _path(root)

    def add(self, **line: Any) -> None:
        """Add a line, when a request is over: perhaps after its client has gone on."""
        with self._path.open("a") as stream:
            stream.write(json.dumps(line) + "\n")


def _path(root: Path) -> Path:
    return root / "requests.jsonl"


def requests_of(root: Path, command: str = "") -> list[dict[str, Any]]:
    """Return the requests to an archive that are over, or those of one command, in the order they began."""
    path = _path(root)
    lines = path.read_text().splitlines() if path.exists() else []
    requests: list[dict[str, Any]] = [json.loads(line) for line in lines]
    return sorted((each for each in requests if command in ("", each["command"])), key=lambda each: each["time"])


def most_at_once(root: Path, command: str = "RETRIEVE", server: str | None = None) -> int:
    """Return how many bodies were on their way at once, at most; of requests that are over.

    A body counts from its request until its last bytes are about to be sent, when its client cannot have it whole:
    so two count at once only if a client had asked for the second before it had the first.

    Parameters
    ----------
    server
        The `host:port` of one; None for all together.
    """
    changes: list[tuple[datetime, int]] = []
    for each in requests_of(root, command):
        if each["status"] in _ANSWERED and server in (None, each["server"]):
            begins = datetime.fromisoformat(each["time"])
            changes += [(begins, 1), (begins + timedelta(seconds=each["seconds"]), -1)]
    return max(accumulate(change for _, change in sorted(changes)), default=0)

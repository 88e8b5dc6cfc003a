"""`ppi serve`: what an environment needs, on this host, until somebody ends it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from blocks.profile import Profile
from cli._console import out, print_json
from cli._environment import point_prefect
from deployments.serve import Part, State, serving

__all__ = ["run", "until_told"]


def run(profile: Profile, kinds: Collection[str], as_json: bool, once_up: Callable[[], None]) -> None:
    """Serve until a signal comes, which is how it is meant to end, or a part dies.

    Parameters
    ----------
    once_up
        Called when everything is up.
    """
    environment = dict(os.environ)
    point_prefect(profile)
    found: list[tuple[Part, State]] = []

    def tell(part: Part, state: State) -> None:
        if state != "starting":
            found.append((part, state))
        if not as_json:
            _tell(part, state)

    with until_told(), serving(profile, environment, kinds, tell) as served:
        once_up()
        if as_json:
            print_json({"profile": profile.name, "parts": [_as_json(part, state) for part, state in found]})
        else:
            out().print("Everything was up already." if served.is_idle else "Ctrl-C ends what was started.")
        sys.stdout.flush()
        if not served.is_idle:
            served.watch()


@contextmanager
def until_told() -> Iterator[None]:
    """Take Ctrl-C, SIGTERM and a terminal that closes as the wish to end in good order, and take time for it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    with suppress(KeyboardInterrupt):
        yield


def _stop(_number: int, _frame: FrameType | None) -> None:
    sys.stderr.write("ppi: ending what was started\n")
    raise KeyboardInterrupt


def _tell(part: Part, state: State) -> None:
    if state == "starting":
        sys.stderr.write(f"ppi: starting {part.what} …\n")
    else:
        out().print(f"{part.what:<16} {part.where:<44} {state}")


def _as_json(part: Part, state: State) -> dict[str, str]:
    return {"part": part.kind, "what": part.what, "where": part.where, "state": state}

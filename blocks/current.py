"""The profile of the process that asks: on a worker the blocks saved on its server, elsewhere CAPO files.

So what a run uses is what was deployed, whatever files its host has.
"""

from __future__ import annotations

import os
from functools import cache

from blocks.profile import Profile

__all__ = ["current"]

_IN_A_RUN_OF_A_WORKER = "PREFECT__FLOW_RUN_ID"
"""A worker tells a flow's process its run here; a flow that is called by a command has no such variable."""


def current(name: str) -> Profile:
    """Return a profile as this process is to use it.

    On a worker it is read once a process, so that a run has one profile from its beginning to its end.

    Raises
    ------
    ProfileError
        The profile cannot be used, or is not on the server.
    """
    return _deployed(name) if os.environ.get(_IN_A_RUN_OF_A_WORKER) else Profile.load(name)


@cache
def _deployed(name: str) -> Profile:
    from blocks.saved import load

    return load(name)

"""`ppi listen`: the environment's ear and voice at its broker, until somebody ends it."""

from __future__ import annotations

import logging
import sys
import time

from blocks.profile import Profile
from cli._environment import point_prefect
from cli._serve import until_told
from tasks.messages.tasks import broker_of

__all__ = ["run"]


def run(profile: Profile) -> None:
    """Listen and send until a signal comes, which is how it is meant to end; standard error tells what happens."""
    broker_of(profile)
    point_prefect(profile)
    from flows.listen import serve_messages

    _log_to_terminal()
    with until_told():
        serve_messages(profile)


def _log_to_terminal() -> None:
    handler = logging.StreamHandler(sys.stderr)
    formatter = logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%Y-%m-%dT%H:%M:%SZ")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logger = logging.getLogger("ppi")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False  # Prefect has a handler of its own for everything

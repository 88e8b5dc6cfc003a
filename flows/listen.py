"""Listen to the broker for as long as nobody ends it, and send what the environment has to say.

The flow's docstring has ``Args:`` because that is what Prefect reads to explain the parameters in its form.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from prefect import flow
from prefect.logging.handlers import APILogHandler

from blocks.profile import Profile
from flows._cancel import cancellable
from flows._environment import enter
from flows._events import announce, tell
from flows.restore_ous import restore_ous
from tasks.catalog.request import Change
from tasks.messages.tasks import service_of

__all__ = ["listen", "serve_messages"]


@flow(name="listen", flow_run_name="listen in {profile}", persist_result=False)
def listen(profile: str) -> None:
    """Take announcements and statuses from the broker, and send what the environment has to say, until cancelled.

    Args:
        profile: The environment to do it in, such as naasc-test; a deployment has its own, to be left as it is.
    """
    environment = enter(profile, listen.name)
    with cancellable(), _logged():
        serve_messages(environment)


def serve_messages(profile: Profile) -> None:
    """Listen and send for a profile until somebody interrupts it.

    Raises
    ------
    Refused, Missing
        The profile names no broker, or its catalog cannot be used at all.
    """
    service_of(profile, restore_ous.name, lambda changes: _tell(profile, changes)).run()


@contextmanager
def _logged() -> Iterator[None]:
    """Have the run's log say what the service does."""
    logger, handler = logging.getLogger("ppi.messages"), APILogHandler()
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def _tell(profile: Profile, changes: tuple[Change, ...]) -> None:
    tell(changes, profile)
    announce(profile, len(changes))

"""What listens to the environment's broker and sends what it has to say, where there is a broker."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from blocks.profile import Profile
from deployments import prefect_server
from deployments.lifeline import Command
from deployments.serve.part import Part

__all__ = ["part"]


def part(profile: Profile, environment: Mapping[str, str], *, is_up: bool) -> Part | None:
    """Return the listener as a part of its environment, if the profile names a broker.

    A broker that is away is no reason to wait: the listener does that itself, for as long as it takes.

    Parameters
    ----------
    is_up
        Whether another `ppi serve` on this host has one.
    """
    if profile.broker.url is None:
        return None

    def command() -> Command:
        arguments = (sys.executable, "-m", "cli", "listen", "-P", profile.name)
        given = {**prefect_server.environment(profile, environment), "CAPO_PROFILE": profile.name}
        return Command(arguments, given, profile.processing.root_directory / ".prefect")

    return Part(
        "listener",
        "listener",
        "listener",
        f"{profile.broker.url}, exchange {profile.broker.exchange}",
        True,
        lambda: is_up,
        command,
        lambda: True,
    )

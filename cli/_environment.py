"""Entering a profile: its settings, its own Prefect server, and for `local` the embedded environment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import requests

from blocks.profile import Profile
from tasks.errors import Transient
from tasks.workspace.layout import Area

__all__ = ["adopt_prefect", "entered"]

_SERVER_SECONDS = 5


@contextmanager
def entered(name: str | None) -> Iterator[Profile]:
    """Load a profile and make this process one of its environment.

    Parameters
    ----------
    name
        The profile; by default the one that CAPO_PROFILE names.

    Raises
    ------
    ProfileError
        No profile is named, or its files are wrong.
    """
    with ExitStack() as stack:
        if (name or os.environ.get("CAPO_PROFILE")) == "local":
            _embed(stack)
        yield Profile.load(name)


def adopt_prefect(profile: Profile) -> None:
    """Point Prefect at the profile's own server, or at a private one with its database in the area.

    To be called before anything imports Prefect.

    Raises
    ------
    Transient
        The server that the profile names does not answer.
    """
    Area(profile.processing.root_directory).make()
    home = profile.processing.root_directory / ".prefect"
    home.mkdir(mode=0o700, exist_ok=True)
    os.environ["PREFECT_HOME"] = str(home)
    os.environ["DO_NOT_TRACK"] = "1"
    os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")
    os.environ["PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"] = "180"
    os.environ.pop("PREFECT_API_URL", None)
    if api := profile.prefect.api_url:
        _require_server(profile.name, api.rstrip("/"))
        os.environ["PREFECT_API_URL"] = api


def _require_server(profile: str, api: str) -> None:
    try:
        with requests.Session() as session:
            session.trust_env = False
            session.get(f"{api}/health", timeout=_SERVER_SECONDS).raise_for_status()
    except requests.RequestException as error:
        raise Transient(
            f"the Prefect server {api} of profile {profile}",
            "it does not answer",
            "start it, or name another in ppi.prefect.apiUrl",
        ) from error


def _embed(stack: ExitStack) -> None:
    from cli._display import building
    from deployments.local import environment

    with building() as show:
        stack.enter_context(environment.running(show))

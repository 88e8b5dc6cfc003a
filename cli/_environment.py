"""Entering a profile: its settings, its own Prefect server, and for `local` the embedded environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from blocks.capo import profile_name
from blocks.profile import Profile
from cli import _notes
from deployments import prefect_server
from tasks.errors import Refused
from tasks.workspace.layout import Area

__all__ = [
    "EMBEDDED",
    "adopt_prefect",
    "clustered",
    "entered",
    "loaded",
    "point_prefect",
    "served",
    "visiting_prefect",
]

EMBEDDED = "local"
"""The profile of the embedded environment."""


@contextmanager
def entered(name: str | None) -> Iterator[Profile]:
    """Load a profile and make this process one of its environment; what is odd about it is told on standard error.

    Parameters
    ----------
    name
        The profile; by default the one that CAPO_PROFILE names, else that of the installation.

    Raises
    ------
    ProfileError
        No profile is named, or its files are wrong.
    """
    with loaded(name) as profile:
        _notes.say(name, profile)
        yield profile


@contextmanager
def loaded(name: str | None) -> Iterator[Profile]:
    """Load a profile, only to look at it; `local` is made findable by starting the embedded environment."""
    with ExitStack() as stack:
        chosen = profile_name(name)
        if chosen == EMBEDDED:
            _embed(stack)
        yield Profile.load(chosen)


@contextmanager
def clustered() -> Iterator[Profile]:
    """Load the embedded environment's profile with an HTCondor pool of its own, which ends with the block."""
    from cli._display import building
    from deployments.local import environment
    from deployments.local.condor.install import installed

    with ExitStack() as stack:
        with building("installing HTCondor") as show:
            release = installed(environment.home() / "condor", show)
        with building() as show:
            pool = stack.enter_context(environment.clustered(release, show))
        sys.stderr.write(f"ppi: {pool} is up, and ends with this command; look at it with\n  {pool.shown_by()}\n")
        yield Profile.load(EMBEDDED)


@contextmanager
def served(name: str | None, port: int | None) -> Iterator[tuple[Profile, Callable[[], None]]]:
    """Load a profile to serve it; yields with it what is to be called when it is up.

    Parameters
    ----------
    port
        That of the embedded environment's Prefect server; every other profile says it itself.

    Raises
    ------
    Refused
        A port is given, and not for the embedded environment.
    """
    chosen = profile_name(name)
    if chosen != EMBEDDED and port is not None:
        todo = "leave it away, or edit the profile"
        raise Refused("--port", f"{chosen} says in ppi.prefect.apiUrl where its server is", todo)
    with ExitStack() as stack:
        announce = _embed_for_all(stack, port) if chosen == EMBEDDED else lambda: None
        profile = Profile.load(chosen)
        _notes.say(name, profile)
        yield profile, announce


def adopt_prefect(profile: Profile) -> None:
    """Point Prefect at the profile's own server, or at a private one with its database in the area.

    To be called before anything imports Prefect.

    Raises
    ------
    Transient
        The server that the profile names does not answer.
    Refused
        It does not let us in.
    """
    point_prefect(profile)
    prefect_server.require(profile)


def point_prefect(profile: Profile) -> None:
    """Point Prefect at the profile's own server, whether it is up or not."""
    Area(profile.processing.root_directory).make()
    given = prefect_server.environment(profile)
    Path(given["PREFECT_HOME"]).mkdir(mode=0o700, exist_ok=True)
    _become(given)


@contextmanager
def visiting_prefect(profile: Profile) -> Iterator[None]:
    """Point Prefect at the profile's own server, for a command that leaves nothing behind on this host.

    The area may be out of its reach. To be called before anything imports Prefect.
    """
    with TemporaryDirectory(prefix="ppi-visit-", ignore_cleanup_errors=True) as home:
        _become(prefect_server.environment(profile) | {"PREFECT_HOME": home})
        yield


def _become(given: dict[str, str]) -> None:
    for name in set(os.environ) - set(given):
        del os.environ[name]
    os.environ.update({"PREFECT_LOGGING_LEVEL": "CRITICAL"} | given)


def _embed(stack: ExitStack) -> None:
    from cli._display import building
    from deployments.local import environment

    with building() as show:
        stack.enter_context(environment.running(show))


def _embed_for_all(stack: ExitStack, port: int | None) -> Callable[[], None]:
    from cli._display import building
    from deployments.local import environment

    with building() as show:
        return stack.enter_context(environment.served(environment.PORT if port is None else port, show))

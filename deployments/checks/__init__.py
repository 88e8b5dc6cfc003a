"""Is a profile right? Every service that it names is reached, all at once, and none is waited for long."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from blocks.profile import Profile
from deployments.checks import cluster, machine, overlap, server, services
from deployments.checks.finding import Finding, Look, Probe, State, exit_code

__all__ = ["Finding", "State", "check", "exit_code"]

SECONDS: Final = 4.5
_EXIT_CODE_OF_A_PROFILE: Final = 2
_DEPLOYED: Final = "blocks and deployments"


def check(profile: Profile, seconds: float = SECONDS) -> tuple[Finding, ...]:
    """Look at all that a profile names; nothing is changed.

    Parameters
    ----------
    seconds
        What has not answered after so long is wrong.
    """
    to_server, *others = [Look(probe, seconds) for probe in _probes(profile)]
    of_server = to_server.finding()
    of_deployments = _deployed(profile, of_server, seconds)
    return (*_files(profile), of_server, of_deployments, *(look.finding() for look in others))


def _probes(profile: Profile) -> Iterator[Probe]:
    for part in (server, services, machine, cluster, overlap):
        yield from part.probes(profile)


def _deployed(profile: Profile, of_server: Finding, seconds: float) -> Finding:
    """Look at what is deployed if that can be told: Prefect is slow to import, and waits long for its server."""
    if of_server.state == "ok":
        from deployments.checks.deployed import probe

        return Look(probe(_DEPLOYED, profile), seconds).finding()
    if of_server.state == "not set":
        return Finding(_DEPLOYED, "not set")
    why = "the Prefect server is to be mended first"
    return Finding(_DEPLOYED, "unknown", why, of_server.todo, of_server.exit_code)


def _files(profile: Profile) -> Iterator[Finding]:
    """Return what is suspicious about the files themselves, or that nothing is."""
    files = sorted({str(origin.file) for origin in profile.origins.values()})
    if not profile.warnings:
        yield Finding("properties files", "ok", ", ".join(files))
    for problem in profile.warnings:
        yield Finding(problem.what, "wrong", problem.reason, problem.todo, _EXIT_CODE_OF_A_PROFILE)

"""Proving at a run's start that all that it stands on is of one profile, so that environments are never mixed.

There is one exception: a restore may be given a VLASS profile in another environment's installation, and by its
deployment or its worker, since that project has settings of its own and need not have machinery of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from blocks import capo
from blocks.compare import differences
from blocks.current import current
from blocks.errors import ProfileError
from blocks.profile import Profile
from flows import _standing
from flows._standing import Standing
from tasks.errors import Refused

_EMBEDDED, _VLASS, _RESTORE, _UNKNOWN = "local", "vlass.", "restore", "unknown"
_TELLING = frozenset(
    {
        "ppi.profile.site",
        "ppi.profile.environment",
        "ppi.prefect.apiUrl",
        "ppi.processing.rootDirectory",
        "ppi.catalog.url",
    }
)
"""The keys that tell one environment from another."""

Hosts = Mapping[str, Profile | None]
"""The profiles on which a run may stand, by name; None is one that cannot be looked at from here."""


class _Fault(NamedTuple):
    why: str
    todo: str


def enter(profile: str, flow: str) -> Profile:
    """Load the profile of the flow that runs in this process, once all that it stands on is of that profile.

    Parameters
    ----------
    profile
        The profile's name, as the flow was given it.
    flow
        The flow's name.

    Raises
    ------
    Refused
        Something is of another profile; the message has every name.
    ProfileError
        The profile cannot be used, or is not on the server.
    """
    standing = _standing.of_flow(profile)
    loaded = _loaded(profile)
    environment = loaded if isinstance(loaded, Profile) else None
    hosts = _hosts(standing, environment, flow)
    faults = [*_of_process(standing, hosts), *_of_run(standing, hosts), *_of_server(standing, hosts)]
    if faults:
        blocks = environment.name if environment and standing.run else "none"
        raise _refusal(f"{flow} with profile {profile}", faults, f"{standing}, blocks {blocks}")
    if isinstance(loaded, ProfileError):
        raise loaded
    if standing.run:
        _tell_of_bare_worker(standing)
        _require_fresh(loaded)
    return loaded


def require_installation(profile: Profile, work: str) -> None:
    """Refuse to do a piece of work for a profile with the software of another one's installation.

    Parameters
    ----------
    work
        What is to be done: a flow's name, or a command's.

    Raises
    ------
    Refused
        This installation is for another profile.
    """
    standing = _standing.of_process(profile.name)
    faults = list(_of_process(standing, _hosts(standing, profile, work)))
    if faults:
        raise _refusal(f"{work} with profile {profile.name}", faults, str(standing))


def _refusal(what: str, faults: list[_Fault], names: str) -> Refused:
    return Refused(what, f"{'; '.join(fault.why for fault in faults)} ({names})", faults[0].todo)


def _loaded(name: str) -> Profile | ProfileError:
    try:
        return current(name)
    except ProfileError as error:
        return error


def _hosts(standing: Standing, environment: Profile | None, work: str) -> Hosts:
    own = {standing.profile: environment}
    others = {standing.deployment, standing.worker, standing.installation} - {None, *own}
    if len(others) != 1 or not (work.startswith(_RESTORE) and standing.profile.startswith(_VLASS)):
        return own
    (name,) = others
    loaded = _loaded(str(name))
    if not isinstance(loaded, Profile) or not _same_environment(environment, loaded):
        return own
    return {**own, str(name): loaded}


def _same_environment(one: Profile | None, other: Profile) -> bool:
    known = {profile.environment for profile in (one, other) if profile} - {_UNKNOWN}
    return len(known) < 2


def _of_process(standing: Standing, hosts: Hosts) -> Iterator[_Fault]:
    own, installation = standing.profile, standing.installation
    if installation and installation not in hosts and own != _EMBEDDED:
        todo = f"use the installation of {own}, or name the profile of this one: -P {installation}"
        yield _Fault(f"the installation is for {installation}", todo)
    if standing.software:
        todo = "unset PYTHONPATH, so that the installation runs its own software"
        yield _Fault(f"the software is that in {standing.software}, and not the installation's", todo)


def _of_run(standing: Standing, hosts: Hosts) -> Iterator[_Fault]:
    own = standing.profile
    if not standing.run:
        return
    if standing.deployment not in hosts:
        mend = f"; if its parameters were edited: ppi deploy {standing.deployment}" if standing.deployment else ""
        yield _Fault(f"the deployment is {standing.deployment or 'none'}", f"start the one of {own}{mend}")
    if standing.worker and standing.worker not in hosts:
        todo = f"start a worker of {own}: ppi serve worker -P {own}"
        yield _Fault(f"the worker is of {standing.worker}", todo)
    pools = {profile.prefect.work_pool for profile in hosts.values() if profile}
    if pools and standing.pool not in pools:
        yield _Fault(f"the work pool is {standing.pool or 'none'}, not {', '.join(pools)}", f"ppi deploy {own}")
    if standing.additions:
        todo = f"leave them out of the run; out of deployment and work pool with: ppi deploy {own}"
        yield _Fault(f"its process is given what its profile does not know: {', '.join(standing.additions)}", todo)


def _of_server(standing: Standing, hosts: Hosts) -> Iterator[_Fault]:
    servers = {(profile.prefect.api_url or "").rstrip("/") for profile in hosts.values() if profile}
    known = servers - {""} or ({"none"} if servers and standing.run else set())
    if known and (standing.server or "").rstrip("/") not in known:
        todo = f"use the server of {standing.profile}, or after a move of it: ppi deploy {standing.profile}"
        yield _Fault(f"the Prefect server is {standing.server or 'none'}, not {', '.join(known)}", todo)


def _tell_of_bare_worker(standing: Standing) -> None:
    """Flag a worker that names no profile: only its work pool says whose it is."""
    from prefect import get_run_logger

    if standing.worker is None:
        why = f"names no profile; it is taken for {standing.profile}'s, whose work pool it serves"
        todo = f"ppi serve worker -P {standing.profile}"
        get_run_logger().warning("The worker %s %s. Next: %s", standing.worker_name, why, todo)


def _require_fresh(blocks: Profile) -> None:
    """Refuse blocks that were saved before what tells environments apart was edited; tell of other edits.

    Raises
    ------
    Refused
        The files of this host say that this is another place.
    """
    from prefect import get_run_logger

    try:
        edited = _edited(blocks)
    except ProfileError as error:
        get_run_logger().warning("This host's properties files cannot be compared with the blocks: %s", error)
        return
    if not edited:
        return
    why = f"this host's properties files differ from them in {', '.join(sorted(edited))}"
    todo = f"ppi deploy {blocks.name}"
    if edited & _TELLING:
        raise Refused(f"the blocks of profile {blocks.name} on its Prefect server", why, todo)
    get_run_logger().warning("The blocks of profile %s are used, though %s. Next: %s", blocks.name, why, todo)


def _edited(blocks: Profile) -> set[str]:
    """Return the keys in which blocks differ from files of this host, if it has any but the shipped ones.

    A secret that this host does not know is no difference: only who deploys must know it.
    """
    if all(file.parent == capo.SHIPPED for file in capo.profiles().get(blocks.name, ())):
        return set()
    here = Profile.load(blocks.name)
    plain = {difference.key for difference in differences(blocks, here, secrets=False)}
    secret = {difference.key for difference in differences(blocks, here) if difference.there}
    return plain | secret

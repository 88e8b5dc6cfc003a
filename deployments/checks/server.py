"""Reaching a profile's Prefect server: whether it answers, whom it lets in, and whether anything works there."""

from __future__ import annotations

import importlib.metadata
import ipaddress
from collections.abc import Iterator
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import uuid4

import requests

from blocks.profile import Profile
from deployments.checks.finding import Probe, Unknown
from deployments.prefect_server import SHUT, api_of
from tasks.casa.versions import version_key
from tasks.errors import Missing, Refused, Transient

__all__ = ["probes"]

_SECONDS: Final = 3.0


def probes(profile: Profile) -> Iterator[Probe]:
    """Return what is to be looked at."""
    looks = {"Prefect server": _server, "work pool": _pool, "worker": _worker}
    for what, look in looks.items():
        yield Probe(what, partial(look, profile) if profile.prefect.api_url else lambda: None)


def _server(profile: Profile) -> str:
    theirs = _version(profile)
    ours = importlib.metadata.version("prefect")
    if version_key(theirs) < version_key(ours):
        raise Refused(api_of(profile), f"it is Prefect {theirs}, older than this one's {ours}", "install the same")
    if not _is_loopback(profile):
        _require_shut(profile)
    return f"Prefect {theirs} at {api_of(profile)}"


def _version(profile: Profile) -> str:
    told = _asked(profile, "GET", "/admin/version")
    if not isinstance(told, str) or not version_key(told):
        raise _silent(profile, "it does not answer as Prefect does")
    return told


def _pool(profile: Profile) -> str:
    name = profile.prefect.work_pool
    pool = _of_pool(profile, "GET", "")
    if pool["is_paused"]:
        raise Refused(f"work pool {name}", "it is paused", f"prefect work-pool resume {name}")
    return f"{name} ({pool['type']})"


def _worker(profile: Profile) -> str:
    workers = _of_pool(profile, "POST", "/workers/filter")
    online = [worker["name"] for worker in workers if worker["status"] == "ONLINE"]
    if not online:
        raise Missing(
            f"a worker of pool {profile.prefect.work_pool}",
            f"none is up ({len(workers)} were)" if workers else "there never was one",
            f"ppi serve worker -P {profile.name}",
        )
    return ", ".join(online)


def _of_pool(profile: Profile, method: str, what: str) -> Any:
    name = profile.prefect.work_pool
    try:
        _version(profile)
        answer = _asked(profile, method, f"/work_pools/{name}{what}")
    except (Transient, Refused) as error:
        raise Unknown("the Prefect server is to be mended first", error.todo) from error
    if answer is None:
        raise Missing(f"work pool {name}", "the server has none of this name", f"ppi deploy {profile.name}")
    return answer


def _asked(profile: Profile, method: str, path: str) -> Any:
    """Ask with the profile's login; None for what is not there."""
    login = (profile.prefect.username, profile.prefect.password.get_secret_value())
    answer = _sent(profile, method, path, login if any(login) else None)
    if answer.status_code in SHUT:
        why = "it does not let us in" if any(login) else "it asks for a name and password"
        raise Refused(api_of(profile), why, "correct ppi.prefect.username and .password")
    if answer.status_code == requests.codes.not_found:
        return None
    try:
        answer.raise_for_status()
        return answer.json()
    except requests.RequestException as error:
        raise _silent(profile, f"it does not answer as Prefect does ({_in_short(answer)})") from error


def _require_shut(profile: Profile) -> None:
    answer = _sent(profile, "GET", "/admin/version", None)
    if answer.status_code not in SHUT:
        raise Refused(
            api_of(profile),
            "it lets anybody in who can reach it, and would tell them all that blocks hold",
            "set ppi.prefect.username and .password, and serve it anew",
        )


def _sent(profile: Profile, method: str, path: str, login: tuple[str, str] | None) -> requests.Response:
    with requests.Session() as session:
        session.trust_env, session.auth = False, login
        try:
            if method == "POST":
                session.headers.update(_leave_to_post(session, api_of(profile)))
            return session.request(
                method, f"{api_of(profile)}{path}", timeout=_SECONDS, json={} if method == "POST" else None
            )
        except requests.RequestException as error:
            raise _silent(profile, f"it does not answer ({type(error).__name__})") from error


def _leave_to_post(session: requests.Session, api: str) -> dict[str, str]:
    """Return what a server that `ppi serve` started wants to see, so that no foreign page can post to it."""
    client = str(uuid4())
    answer = session.get(f"{api}/csrf-token", params={"client": client}, timeout=_SECONDS)
    if answer.status_code != requests.codes.ok:
        return {}
    return {"Prefect-Csrf-Client": client, "Prefect-Csrf-Token": str(answer.json()["token"])}


def _silent(profile: Profile, why: str) -> Transient:
    todo = f"start it (ppi serve -P {profile.name}), or name another in ppi.prefect.apiUrl"
    return Transient(api_of(profile), why, todo)


def _in_short(answer: requests.Response) -> str:
    return f"HTTP {answer.status_code}, {answer.headers.get('Content-Type', 'no type')}"


def _is_loopback(profile: Profile) -> bool:
    host = urlsplit(api_of(profile)).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

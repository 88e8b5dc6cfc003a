"""Which Prefect server a process talks to: that of its profile, whatever its user's shell says about another."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import requests

from blocks.profile import Profile
from tasks.errors import Refused, Transient

__all__ = ["SHUT", "api_of", "environment", "login", "require", "variables"]

_SECONDS: Final = 15
SHUT: Final = (requests.codes.unauthorized, requests.codes.forbidden)
"""What a server answers that does not let somebody in."""
_RETRIES: Final = "7"
"""How often a request is made again whose server does not answer, each time after twice as long: over 254 s."""
_HEARTBEAT_SECONDS: Final = "60"
"""How often a run says that it lives; `deployments.automations` says what follows when it does not."""
_PASSING_ERRORS: Final = "500,504"
"""What a server with too much to do answers, besides what Prefect's client tries again by itself."""
_OURS_TO_SAY: Final = "PREFECT_"
_THEIRS_TO_SAY: Final = ("PREFECT_LOGGING_", "PREFECT_API_TLS_", "PREFECT_API_SSL_")
"""What says nothing about which server: how much is logged, and whose certificates are trusted."""
_SETTINGS: Final = {
    ".env": re.compile(rf"(?im)^\s*(?:export\s+)?(?!{'|'.join(_THEIRS_TO_SAY)}){_OURS_TO_SAY}"),
    "prefect.toml": re.compile(r"\S"),
    "pyproject.toml": re.compile(r"(?m)^\s*\[tool\.prefect\b"),
}
"""The files from which Prefect takes settings where it is started, and how one shows that it holds some."""


def variables(profile: Profile) -> dict[str, str]:
    """Return the environment of any process that talks to a profile's own Prefect server, and to no other.

    A profile that names none has a private one, with its database in the area; see `cli._server`.
    """
    home = profile.processing.root_directory / ".prefect"
    common = {
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": _HEARTBEAT_SECONDS,
        "PREFECT_CLIENT_MAX_RETRIES": _RETRIES,
        "PREFECT_CLIENT_RETRY_EXTRA_CODES": _PASSING_ERRORS,
    }
    given = login(profile)
    return common | _address(profile) | ({"PREFECT_API_AUTH_STRING": given} if given else {})


def environment(profile: Profile, base: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return a whole environment: what is given, by default our own, without a word about another server.

    Parameters
    ----------
    base
        The environment to begin with.

    Raises
    ------
    Refused
        Files in this directory say what Prefect is to do, of which an environment cannot clear it.
    """
    _require_silent(Path.cwd())
    given = os.environ if base is None else base
    return {name: value for name, value in given.items() if _is_theirs(name)} | variables(profile)


def login(profile: Profile) -> str:
    """Return what the server asks for, as ``username:password``; empty where the profile does not have both."""
    username, password = profile.prefect.username, profile.prefect.password.get_secret_value()
    return f"{username}:{password}" if username and password else ""


def require(profile: Profile) -> None:
    """Ask a profile's Prefect server who it is, so that nothing begins without it.

    Raises
    ------
    Transient
        It does not answer.
    Refused
        It does not let us in.
    """
    if api := api_of(profile):
        what = f"the Prefect server {api} of profile {profile.name}"
        status = _status(profile, f"{api}/admin/version", what)
        if status in SHUT:
            raise Refused(what, "it does not let us in", "correct ppi.prefect.username and .password")
        if status != requests.codes.ok:
            raise Transient(what, f"it answers HTTP {status}", "see that it is a Prefect server, and well")


def _status(profile: Profile, url: str, what: str) -> int:
    username, _, password = login(profile).partition(":")
    try:
        with requests.Session() as session:
            session.trust_env = False
            return session.get(url, timeout=_SECONDS, auth=(username, password) if username else None).status_code
    except requests.RequestException as error:
        todo = f"start it (ppi serve -P {profile.name}), or name another in ppi.prefect.apiUrl"
        raise Transient(what, "it does not answer", todo) from error


def _require_silent(directory: Path) -> None:
    for name, setting in _SETTINGS.items():
        file = directory / name
        if file.is_file() and setting.search(file.read_text(encoding="utf-8", errors="replace")):
            why = "it holds settings of Prefect, which would count beside the profile"
            raise Refused(f"the file {file}", why, "run this in another directory, or take them out of it")


def api_of(profile: Profile) -> str:
    """Return the API of a profile's server, without a slash at its end; empty where it names none."""
    return (profile.prefect.api_url or "").rstrip("/")


def _address(profile: Profile) -> dict[str, str]:
    if not (api := api_of(profile)):
        return {}
    return {"PREFECT_API_URL": api, "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false"}


def _is_theirs(name: str) -> bool:
    return not name.startswith(_OURS_TO_SAY) or name.startswith(_THEIRS_TO_SAY)

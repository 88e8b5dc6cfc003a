"""What activates an installation in a shell: `bin/activate`, functions to source, and a profile of Prefect's."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from blocks.names import slug
from blocks.profile import Profile
from deployments import resource
from tasks import disk

__all__ = ["PREFECT_PROFILES", "PROFILES", "write"]

PROFILES = "share/ppi/profiles.sh"
"""What is to be sourced in ~/.bashrc, below an installation's prefix."""
PREFECT_PROFILES = "share/ppi/profiles.toml"
"""Where Prefect finds the server, below an installation's prefix."""

_STOCK = "[aA]ctivate*"


def write(prefix: Path, profile: Profile) -> None:
    """Write what activates an installation, in place of what a virtual environment comes with.

    Parameters
    ----------
    prefix
        The installation's directory.
    profile
        Its profile. It names the Prefect server; of its secrets nothing is written.
    """
    for stock in (prefix / "bin").glob(_STOCK):
        if stock.name != "activate":
            stock.unlink()
    call = shlex.join(["_ppi_activate", str(prefix), profile.name, slug(profile.name)])
    places = f'[[ -n "${{PPI_INSTALLATIONS-}}" ]] || PPI_INSTALLATIONS={shlex.quote(str(prefix.parent))}'
    _renew(prefix / "bin/activate", f"{_shipped('activate.sh')}{call}\n")
    _renew(prefix / PROFILES, f"{_shipped('profiles.sh')}{places}\n")
    _renew(prefix / PREFECT_PROFILES, _prefect_profiles(slug(profile.name), profile.prefect.api_url))


def _prefect_profiles(name: str, api: str | None) -> str:
    """Return the one profile that Prefect shall know; without it, it would start a server of its own."""
    settings = {"PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false"} | ({"PREFECT_API_URL": api} if api else {})
    lines = (f"{key} = {json.dumps(value)}" for key, value in settings.items())
    return "\n".join((f"active = {json.dumps(name)}", "", f"[profiles.{json.dumps(name)}]", *lines, ""))


def _renew(path: Path, text: str) -> None:
    """Write a file unless it says so already."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file() or path.read_text() != text:
        disk.write_whole(path, text.encode())


def _shipped(name: str) -> str:
    return (resource("activation") / name).read_text()

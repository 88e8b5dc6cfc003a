"""`ppi install`: a profile's own installation, with how far it is on standard error."""

from __future__ import annotations

import shlex
import sys
from dataclasses import asdict
from pathlib import Path

from blocks.profile import Profile
from cli._console import print_json
from deployments.activation import PROFILES
from deployments.install import Installed, install

__all__ = ["run"]

_EPILOGUE = """\
{prefix} {what} installation of profile {profile} (PPI {version}).
  {ppi}
      uses that profile, without anything being activated
  source {activate}
      sets a shell up for it, until `deactivate`
  source {profiles}
      in ~/.bashrc or ~/.zshrc, gives activate_profile NAME and deactivate_profile
"""


def run(profile: Profile, prefix: Path, as_json: bool) -> None:
    """Install a profile and say how it is used."""
    done = install(profile, prefix, _tell)
    if as_json:
        print_json({**asdict(done), "prefix": str(done.prefix)})
        return
    sys.stdout.write(_epilogue(done))


def _epilogue(done: Installed) -> str:
    places = {"ppi": "bin/ppi", "activate": "bin/activate", "profiles": PROFILES}
    quoted = {name: shlex.quote(str(done.prefix / place)) for name, place in places.items()}
    text = _EPILOGUE.format(what="is now an" if done.anew else "already is this", **quoted, **asdict(done))
    if done.prefix.name != done.profile:
        text += f"activate_profile does not find it: it looks for a directory of the name {done.profile}.\n"
    return text


def _tell(step: str) -> None:
    sys.stderr.write(f"ppi: {step}\n")
    sys.stderr.flush()

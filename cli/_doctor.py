"""`ppi doctor`: is this installation well? Versions, the profile's services, and a restore from end to end."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import subprocess
import sys
import time
from typing import Any, Final

from blocks.installation import installed_profile
from blocks.profile import Profile
from cli._check import as_json, print_findings
from cli._console import out, print_json, whole
from cli._environment import visiting_prefect
from deployments.checks import Finding, check, exit_code
from tasks.casa.versions import wheels_version
from tasks.errors import Failed

__all__ = ["run"]

_TRIAL: Final = "trial"
TRIAL_SECONDS: Final = 1800.0
"""The first one also simulates an observatory."""


def run(profile: Profile, with_trial: bool, machine: bool) -> int:
    """Print versions and findings; return the command's exit code."""
    versions = _versions()
    with visiting_prefect(profile):
        findings = check(profile)
    if not machine:
        _introduce(profile, versions)
    if with_trial:
        findings = (*findings, _trial())
    if machine:
        print_json({"profile": profile.name, "versions": versions, **as_json(findings)})
    else:
        print_findings(findings)
    return exit_code(findings)


def _versions() -> dict[str, str]:
    return {
        "PPI": importlib.metadata.version("ppi"),
        "installation": f"{sys.prefix} ({installed_profile() or 'of no particular profile'})",
        "Python": platform.python_version(),
        "Prefect": importlib.metadata.version("prefect"),
        "CASA wheels": wheels_version(),
        "host": f"{platform.node()}, {platform.platform()}",
    }


def _introduce(profile: Profile, versions: dict[str, str]) -> None:
    table = whole("what", "version")
    for what, version in versions.items():
        table.add_row(what, version)
    console = out()
    console.print(f"Profile {profile.name}", style="bold")
    console.print(table)


def _trial() -> Finding:
    """Restore the embedded environment's observation in a process of its own, as `ppi demo` does."""
    began = time.monotonic()
    command = (sys.executable, "-P", "-m", "cli", "demo", "--json")
    try:
        ended = subprocess.run(command, stdout=subprocess.PIPE, timeout=TRIAL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return _failed(f"`ppi demo` did not end within {TRIAL_SECONDS:.0f} s")
    if ended.returncode:
        return _failed(f"`ppi demo` ended with {ended.returncode}; its reason is printed above")
    done = _read(ended.stdout)
    if done.get("verdict", {}).get("outcome") != "success":
        return _failed(f"`ppi demo` ended without a success: {done.get('verdict')}")
    took = time.monotonic() - began
    return Finding(_TRIAL, "ok", f"restored {done['observation']} in {took:.0f} s; report: {done['report']}")


def _read(output: bytes) -> dict[str, Any]:
    try:
        read = json.loads(output)
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}


def _failed(why: str) -> Finding:
    return Finding(_TRIAL, "wrong", why, "run `ppi demo` by itself", Failed.exit_code)

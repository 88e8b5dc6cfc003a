"""`ppi profile check`: a line for each service, what is wrong with it and what to do."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from blocks.profile import Profile
from cli._console import out, print_json, whole
from cli._environment import visiting_prefect
from deployments.checks import Finding, check, exit_code

__all__ = ["as_json", "print_findings", "run"]

_STYLES = {"ok": "green", "wrong": "bold red", "unknown": "yellow", "not set": "dim"}


def run(profile: Profile, machine: bool) -> int:
    """Print what was found; return the command's exit code."""
    with visiting_prefect(profile):
        findings = check(profile)
    if machine:
        print_json({"profile": profile.name, **as_json(findings)})
    else:
        out().print(f"Profile {profile.name}", style="bold")
        print_findings(findings)
    return exit_code(findings)


def as_json(findings: tuple[Finding, ...]) -> dict[str, Any]:
    """Return findings for machines."""
    return {"ok": exit_code(findings) == 0, "findings": [asdict(finding) for finding in findings]}


def print_findings(findings: tuple[Finding, ...]) -> None:
    """Print a table, and how many of its lines ask for something."""
    table = whole("what", "state", "how it is, or what is wrong", "what to do")
    for finding in findings:
        table.add_row(finding.what, finding.state, finding.why, finding.todo, style=_STYLES[finding.state])
    console = out()
    console.print(table)
    count = sum(finding.exit_code != 0 for finding in findings)
    console.print("All is well." if not count else f"{count} of {len(findings)} need looking at.")

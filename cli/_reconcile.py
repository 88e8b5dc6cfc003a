"""`ppi reconcile`: what the dead have left in an environment, and what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blocks.profile import Profile
from cli._console import out, print_json, whole
from cli._environment import visiting_prefect

if TYPE_CHECKING:
    from deployments.reconcile import Finding

__all__ = ["run"]


def run(profile: Profile, dry_run: bool, as_json: bool) -> None:
    """Settle what the dead have left, and print it."""
    with visiting_prefect(profile):
        from deployments.reconcile import reconcile

        found = reconcile(profile, dry_run=dry_run)
    if as_json:
        print_json({"profile": profile.name, "dry_run": dry_run, "found": [_as_json(each) for each in found]})
    else:
        _show(profile, found, dry_run)


def _show(profile: Profile, found: tuple[Finding, ...], dry_run: bool) -> None:
    if not found:
        out().print(f"{profile.name}: nobody has left anything; there is nothing to do")
        return
    table = whole("what", "which", "why", "what would become of it" if dry_run else "what became of it")
    for each in found:
        table.add_row(each.kind, each.what, each.why, each.outcome or "left alone")
    out().print(table)


def _as_json(finding: Finding) -> dict[str, str | None]:
    outcome = finding.outcome or None
    return {"kind": finding.kind, "what": finding.what, "why": finding.why, "outcome": outcome}

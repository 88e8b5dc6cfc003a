"""`ppi deploy`: an environment brought to its own Prefect server, and what that changed."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.table import Table

from blocks.profile import Profile
from cli._console import out, print_json
from cli._environment import visiting_prefect

if TYPE_CHECKING:
    from deployments.deploy import Deployed
    from deployments.difference import Change

__all__ = ["run"]

_WIDTH = 60


def run(profile: Profile, dry_run: bool, as_json: bool) -> None:
    """Deploy, and print what that changed."""
    with visiting_prefect(profile):
        from deployments.deploy import deploy

        deployed = deploy(profile, dry_run)
    if as_json:
        print_json({**asdict(deployed), "changes": [change._asdict() for change in deployed.changes]})
    else:
        _show(deployed, dry_run)


def _show(deployed: Deployed, dry_run: bool) -> None:
    console, where = out(), f"{deployed.profile} on {deployed.server}"
    if not deployed.changes:
        console.print(f"{where}: nothing to do")
    else:
        console.print(f"{where}: {'this would be changed' if dry_run else 'this was changed'}")
        console.print(_table(deployed.changes, dry_run))
    for stranger in deployed.strangers:
        console.print(f"  note: {stranger} is no deployment of {deployed.profile}'s; its runs are refused here")
    for untold in deployed.untold:
        console.print(f"  note: nobody is told of failures by {untold}")


def _table(changes: tuple[Change, ...], dry_run: bool) -> Table:
    columns = ("what", "part", "now", "will be") if dry_run else ("what", "part", "was", "is")
    table = Table(*columns, box=None, pad_edge=False)
    for change in changes:
        table.add_row(change.what, change.part, _brief(change.now), _brief(change.wanted))
    return table


def _brief(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…"

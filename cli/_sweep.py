"""`ppi sweep`: one sweep, in this process, and its account."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import TYPE_CHECKING

from rich.table import Column, Table

from blocks.profile import Profile
from cli._console import out, print_json, whole
from cli._environment import visiting_prefect
from deployments import prefect_server
from tasks.errors import Failed

if TYPE_CHECKING:
    from tasks.sweep import Swept

__all__ = ["run"]


def run(profile: Profile, since: datetime | None, until: datetime | None, dry_run: bool, as_json: bool) -> None:
    """Sweep and print what was done, or would be.

    Raises
    ------
    Failed
        Part of it could not be done; what could be is, and the next sweep does the rest.
    """
    launches = not (since or until or dry_run)
    with visiting_prefect(profile):
        if launches:
            prefect_server.require(profile)
        done = _swept(profile, since, until, dry_run, launches)
    if as_json:
        print_json(_as_json(profile, done, dry_run))
    else:
        _show(profile, done, dry_run)
    if launches and not profile.prefect.api_url:
        sys.stderr.write(f"ppi: nothing is started: {profile.name} names no Prefect server (ppi.prefect.apiUrl)\n")
    if done.failures:
        what, todo = f"the sweep of {profile.name}", "the next sweep tries again"
        raise Failed(what, todo=todo, reasons=tuple(done.failures))


def _swept(
    profile: Profile, since: datetime | None, until: datetime | None, dry_run: bool, launches: bool
) -> Swept:
    from flows._launch import PrefectLauncher
    from flows.ingestion_sweep import swept

    launcher = PrefectLauncher(profile) if launches and profile.prefect.api_url else None
    return swept(profile, launcher, since, until, dry_run=dry_run)


def _as_json(profile: Profile, done: Swept, dry_run: bool) -> dict[str, object]:
    counts, rows = dict(done.counts()), done.rows()
    told = {"counts": counts, "more": done.more, "observations": rows, "failures": list(done.failures)}
    return {"profile": profile.name, "dry_run": dry_run, **told}


def _show(profile: Profile, done: Swept, dry_run: bool) -> None:
    console = out()
    console.print(f"{profile.name}: {'what a sweep would do' if dry_run else 'what the sweep did'}")
    numbers = Table(Column("", justify="right"), "", box=None, show_header=False, pad_edge=False)
    for what, many in done.counts().items():
        numbers.add_row(f"{many:,}", what)
    console.print(numbers)
    if rows := done.rows():
        table = whole("observation", "project", "what", "why")
        for row in rows:
            table.add_row(row["observation"], row["project"], row["what"], row["reason"])
        console.print(table)
    if done.more:
        console.print("There is more, which the next sweep finds.")

"""Sweep the archive: what can be restored is asked for and started, each observation once.

The flow's docstring has ``Args:`` because that is what Prefect reads to explain the parameters in its form.
"""

from __future__ import annotations

import json
from datetime import datetime

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.states import Completed

from blocks.profile import Profile
from flows._environment import enter
from flows._events import tell
from flows._launch import PrefectLauncher
from flows.restore_ous import restore_ous
from tasks._task_page import Shown
from tasks.errors import Failed
from tasks.report import sweep as report
from tasks.sweep import Swept
from tasks.sweep.tasks import sweep_profile

__all__ = ["ingestion_sweep", "swept"]


@flow(name="ingestion-sweep", flow_run_name="sweep {profile}", persist_result=False)
def ingestion_sweep(
    profile: str, since: datetime | None = None, until: datetime | None = None, dry_run: bool = False
) -> State[None]:
    """Find what can be restored, ask for it, and start as much of it as may run; settle what its runs did not say.

    Args:
        profile: The environment to do it in, such as naasc-test; a deployment has its own, to be left as it is.
        since: Ask for what became public then or later, however long ago, and start nothing; UTC.
        until: And before this; else until now.
        dry_run: Look, and change nothing.
    """
    environment = enter(profile, ingestion_sweep.name)
    done = swept(environment, PrefectLauncher(environment), since, until, dry_run=dry_run)
    _show(environment, done, dry_run)
    for failure in done.failures:
        get_run_logger().warning("%s", failure)
    if done.failures:
        raise Failed(f"the sweep of {profile}", todo="the next sweep tries again", reasons=tuple(done.failures))
    return Completed(message=report.sentence(done))


def swept(
    profile: Profile,
    launcher: PrefectLauncher | None,
    since: datetime | None = None,
    until: datetime | None = None,
    *,
    dry_run: bool = False,
) -> Swept:
    """Sweep, and tell of the changes of state; see `tasks.sweep.tasks.sweep_profile`."""
    done = sweep_profile(profile, restore_ous.name, launcher, since, until, dry_run=dry_run)
    tell(done.changes, profile)
    return done


def _show(profile: Profile, done: Swept, dry_run: bool) -> None:
    """Show the account on the run's own page: in numbers, and what was done to which observation."""
    said = f"{'what would be done: ' if dry_run else ''}{report.sentence(done)}"
    Shown("table", "sweep").write(json.dumps(report.numbers(done)), said)
    if rows := report.rows(done, profile.prefect.pages):
        Shown("table", "sweep-observations").write(json.dumps(rows), report.omitted(done))

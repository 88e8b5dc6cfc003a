"""Clear away what an environment does not need any more, by the ages and sizes that its profile says.

The flow's docstring has ``Args:`` because that is what Prefect reads to explain the parameters in its form.
"""

from __future__ import annotations

from contextlib import nullcontext

from prefect import flow

from blocks.profile import Profile
from flows._cancel import cancellable
from flows._environment import enter
from tasks._task_page import Shown
from tasks.retention.model import Account
from tasks.retention.page import rows
from tasks.retention.tasks import alone, as_task, cleaning_of

__all__ = ["housekeeping"]


@flow(name="housekeeping", flow_run_name="housekeeping {profile}", persist_result=False)
def housekeeping(profile: str, dry_run: bool = False) -> Account:
    """Remove attempts, logs of jobs, messages, runs and stored files that are old or too many, and are not needed.

    Args:
        profile: The environment to do it in, such as naasc-test; a deployment has its own, to be left as it is.
        dry_run: Find what would be removed, and remove nothing.
    """
    environment = enter(profile, housekeeping.name)
    with cancellable(), nullcontext() if dry_run else alone(environment):
        account = _cleaned(environment, dry_run)
    account.require_whole()
    return account


def _cleaned(environment: Profile, dry_run: bool) -> Account:
    """Clean up, and show on the run's own page how far that came, however it ends."""
    cleaning = cleaning_of(environment, dry_run=dry_run)
    try:
        cleaning.run(as_task)
    finally:
        account = cleaning.account
        Shown("table", "housekeeping").write(rows(account), account.summary)
    return account

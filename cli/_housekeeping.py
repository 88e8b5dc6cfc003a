"""`ppi housekeeping`: what is not needed any more is cleared away, and it is said what stays, and why."""

from __future__ import annotations

from contextlib import nullcontext

from rich.console import Console
from rich.table import Column, Table

from blocks.profile import Profile
from cli._console import out, print_json
from cli._environment import visiting_prefect
from tasks.report.units import count, size
from tasks.retention.model import Account

__all__ = ["run"]


def run(profile: Profile, dry_run: bool, as_json: bool) -> None:
    """Clean up, and print how far that came, however it ends.

    Raises
    ------
    Failed
        It is not whole.
    """
    with visiting_prefect(profile):
        from tasks.retention.tasks import alone, cleaning_of

        with nullcontext() if dry_run else alone(profile):
            cleaning = cleaning_of(profile, dry_run=dry_run)
            try:
                with Console(stderr=True).status("clearing away"):
                    cleaning.run()
            finally:
                _print(cleaning.account, as_json)
            cleaning.account.require_whole()


def _print(account: Account, as_json: bool) -> None:
    if as_json:
        print_json({**account.model_dump(mode="json"), "summary": account.summary})
        return
    if account.lines:
        out().print(_table(account))
    out().print(f"{account.profile}: {account.summary}")


def _table(account: Account) -> Table:
    right = ("how many", "size")
    columns = ("part", "outcome", "what", *right, "why")
    table = Table(
        *(Column(name, overflow="fold", justify="right" if name in right else "left") for name in columns)
    )
    for line in account.lines:
        of = "" if line.size is None else size(line.size)
        table.add_row(line.part, line.outcome, line.what, count(line.count), of, line.why)
    return table

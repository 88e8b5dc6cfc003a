"""`ppi store`: the shared store as an operator sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from blocks.profile import Profile
from cli._console import out, print_json, whole
from cli._display import fetching
from tasks.errors import Failed, Refused
from tasks.lease import Holder
from tasks.ngas.store import STAGE, Pruned, Standing, Verified
from tasks.ngas.tasks import shared_store, shared_streams
from tasks.report.units import bytes_of, count, moment, size

__all__ = ["prune", "status", "verify"]


def status(profile: Profile, as_json: bool) -> None:
    """Print what the store holds and who has what of it in hand."""
    standing = shared_store(profile).status()
    ngas, streams = profile.ngas, shared_streams(profile)
    open_now = {server: streams.busy(server) for server in ngas.servers}
    if as_json:
        print_json(_as_json(profile, standing, open_now))
        return
    console, limit = out(), profile.processing.store_limit
    of = f" of {limit}" if limit else ""
    amount = f"{size(standing.bytes)}{of} in {_files(standing.entries)}"
    console.print(f"{profile.processing.store_directory}: {amount}")
    _tell_if_missing(profile)
    console.print(f"  {size(standing.free)} are free on its file system")
    for title, holders in (("at work", standing.at_work), ("in use", standing.users)):
        console.print(_people(title, holders) if holders else f"  nothing is {title}")
    console.print(_streams(open_now, ngas.streams_per_server))


def _as_json(profile: Profile, standing: Standing, open_now: dict[str, int]) -> dict[str, object]:
    who = {"subject", "host", "pid"}
    most = profile.ngas.streams_per_server
    return {
        "store": str(profile.processing.store_directory),
        "entries": standing.entries,
        "bytes": standing.bytes,
        "limit": _limit(profile, None),
        "free": standing.free,
        "at_work": [holder.model_dump(include=who) for holder in standing.at_work],
        "in_use": [holder.model_dump(include=who) for holder in standing.users],
        "streams": {server: {"open": now, "limit": most} for server, now in open_now.items()},
    }


def _tell_if_missing(profile: Profile) -> None:
    """Say that there is no store: it may be too early, or the path may be wrong, or not mounted."""
    folder = profile.processing.store_directory
    if not folder.is_dir():
        out().print(f"  {folder} is not there; it is made when the first file is fetched")


def _files(number: int) -> str:
    return f"{count(number)} file{'' if number == 1 else 's'}"


def _people(title: str, holders: Iterable[Holder]) -> Table:
    table = whole(title, "by")
    for holder in sorted(holders, key=lambda each: each.subject):
        table.add_row(holder.subject, str(holder))
    return table


def _streams(open_now: dict[str, int], most: int) -> Table:
    table = whole("server", "streams open", "at most")
    for server, now in open_now.items():
        table.add_row(server, str(now), str(most))
    return table


def verify(profile: Profile, as_json: bool) -> int:
    """Read everything; print what is wrong, and return the exit code."""
    store = shared_store(profile)
    with fetching(STAGE, store.status().bytes, 1):
        found = store.verify()
    if as_json:
        print_json(found.model_dump())
    else:
        _tell_if_missing(profile)
        _print_verified(found)
    return Failed.exit_code if found.bad else 0


def _print_verified(found: Verified) -> None:
    console = out()
    console.print(f"read: {size(found.bytes)} in {_files(found.files)}; wrong: {count(len(found.bad))}")
    if found.bad:
        table = whole("taken out of service", "what was wrong", "what to do")
        for bad in found.bad:
            table.add_row(bad.file, bad.wrong, bad.todo)
        console.print(table)
    for file in found.recovered:
        console.print(f"  {file} was there without a valid record; it is right, and has one again")
    if found.dropped:
        console.print(f"  {count(found.dropped)} contents without a record could not be proven, and were removed")
    for path in found.strays:
        console.print(f"  {path} is not the store's: see whose it is")


def prune(profile: Profile, limit: str | None, dry_run: bool, as_json: bool) -> None:
    """Bring the store within its limit; print what was removed, and what stays although it should not."""
    most = _limit(profile, limit)
    if most is None:
        todo = "give --limit, or set ppi.processing.storeLimit"
        raise Refused(f"the store of profile {profile.name}", "it has no limit", todo)
    store = shared_store(profile)
    with _counting(store.status().entries) as on_entry:
        pruned = store.prune(most, dry_run=dry_run, on_entry=on_entry)
    if as_json:
        print_json({**pruned.model_dump(mode="json"), "over": pruned.over, "dry_run": dry_run})
    else:
        _tell_if_missing(profile)
        _print_pruned(pruned, dry_run)


def _limit(profile: Profile, given: str | None) -> int | None:
    text = given or profile.processing.store_limit
    try:
        return bytes_of(text) if text else None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--limit") from error


@contextmanager
def _counting(total: int) -> Iterator[Callable[[], None]]:
    columns = (SpinnerColumn(), TextColumn("looking at files"), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("", total=total)
        yield lambda: progress.advance(bar)


def _print_pruned(pruned: Pruned, dry_run: bool) -> None:
    console = out()
    if pruned.removed:
        console.print(_removed(pruned, "would be removed" if dry_run else "removed"))
    console.print(
        f"{size(pruned.before)} of {size(pruned.limit)}; {'then' if dry_run else 'now'} {size(pruned.after)}"
    )
    for kept in pruned.kept:
        console.print(f"  stay, {kept.reason}: {size(kept.bytes)} in {_files(kept.entries)}")
    if pruned.over:
        console.print(f"  {size(pruned.over)} too many cannot be freed now")


def _removed(pruned: Pruned, title: str) -> Table:
    table = Table(Column(title, overflow="fold"), Column("size", justify="right"), "last used")
    for each in pruned.removed:
        table.add_row(each.file, size(each.bytes), moment(each.used))
    return table

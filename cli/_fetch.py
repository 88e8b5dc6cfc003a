"""`ppi fetch`: files of the archive by their ids, a locator or a report, shown before they are fetched."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import typer
from rich.table import Column, Table

from blocks.profile import Profile
from cli._console import out, print_json
from cli._display import fetching
from cli._files import described, end
from tasks.errors import Missing, Refused
from tasks.ngas.client import NgasClient
from tasks.ngas.fetching import STAGE, Outcome, complete, fetch_all, find_all
from tasks.ngas.locations import LARGEST, Located, Locations, read_report
from tasks.ngas.locator import ask_locator
from tasks.ngas.store import Store
from tasks.ngas.tasks import archive_client, shared_store
from tasks.report.units import duration, rate, size

__all__ = ["run"]

_SOURCES = {"archive": "the archive", "store": "the store", "place": "there already"}


def run(
    profile: Profile,
    file_ids: Sequence[str],
    version: int | None,
    locator: str | None,
    report: str | None,
    to: Path,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Show what is to be fetched; fetch it to its places below a folder, unless it is a dry run."""
    if sum((bool(file_ids), locator is not None, report is not None)) != 1:
        raise typer.BadParameter("name files, or give --locator, or --report: one of the three")
    if version is not None and not file_ids:
        raise typer.BadParameter("a locator and a report say the versions themselves: leave --version away")
    client, store = archive_client(profile), shared_store(profile)
    if file_ids:
        locations = find_all(client, file_ids, version)
    else:
        locations = complete(_reported(profile, locator, report), client)
    if not as_json:
        _print_plan(locations, store, to)
    if not dry_run:
        _fetch(profile, client, store, locations, to, as_json)
    elif as_json:
        print_json(_plan(locations, store, to))


def _reported(profile: Profile, locator: str | None, report: str | None) -> Locations:
    ngas = profile.ngas
    if report is not None:
        called = "on standard input" if report == "-" else report
        return read_report(_read(report), f"the report {called}", ngas.execution_site)
    if ngas.locator_service_url_prefix is None:
        why = "the profile names no locator service"
        raise Refused(f"locator {locator}", why, "set ppi.ngas.locatorServiceUrlPrefix, or use --report")
    return ask_locator(ngas.locator_service_url_prefix, locator or "", ngas.execution_site, ngas.timeout_seconds)


def _read(report: str) -> bytes:
    if report == "-":
        return sys.stdin.buffer.read(LARGEST + 1)
    try:
        with Path(report).open("rb") as stream:
            return stream.read(LARGEST + 1)
    except FileNotFoundError as error:
        raise Missing(f"the report {report}", "there is no such file", "check its name") from error


def _print_plan(locations: Locations, store: Store, to: Path) -> None:
    numbers = (Column(name, justify="right") for name in ("version", "size"))
    table = Table(Column("file", overflow="fold"), *numbers, "server", "method", "in the store")
    to_come = 0
    for file in locations.files:
        stored, held = file.stored, store.held(file.stored)
        to_come += 0 if held else stored.size
        row = (str(stored.version), size(stored.size), stored.server, _method(file), "yes" if held else "no")
        table.add_row(str(file.path), *row)
    console = out()
    console.print(table)
    count = f"{len(locations.files)} files" if len(locations.files) > 1 else "1 file"
    console.print(f"{count}, {size(locations.size)}, of which {size(to_come)} are to be fetched")
    console.print(f"to {to.absolute()}")


def _method(file: Located) -> str:
    return "COPY" if file.direct else "STREAM"


def _plan(locations: Locations, store: Store, to: Path) -> dict[str, object]:
    held = [store.held(file.stored) is not None for file in locations.files]
    return {
        "destination": str(to.absolute()),
        "files": [{**_named(file), "in_store": there} for file, there in zip(locations.files, held, strict=True)],
        "bytes": locations.size,
        "bytes_to_fetch": sum(
            file.stored.size for file, there in zip(locations.files, held, strict=True) if not there
        ),
    }


def _named(file: Located) -> dict[str, object]:
    return {"path": str(file.path), **described(file.stored), "method": _method(file).lower()}


def _fetch(
    profile: Profile, client: NgasClient, store: Store, locations: Locations, to: Path, as_json: bool
) -> None:
    with fetching(STAGE, locations.size, len(locations.files)):
        outcomes = fetch_all(locations, store, client, to, profile.ngas.streams_per_server)
    if as_json:
        print_json(_result(outcomes, to))
    else:
        _print_result(outcomes)
    end(outcome.error for outcome in outcomes)


def _result(outcomes: Sequence[Outcome], to: Path) -> dict[str, object]:
    return {
        "destination": str(to.absolute()),
        "files": [_fetched(outcome) for outcome in outcomes],
        "bytes": sum(outcome.file.stored.size for outcome in outcomes if not outcome.error),
        "bytes_fetched": sum(outcome.transfer.size for outcome in outcomes if outcome.transfer),
    }


def _fetched(outcome: Outcome) -> dict[str, object]:
    how = {"server", "method", "seconds", "attempts", "resumed_from"}
    return {
        **_named(outcome.file),
        **(outcome.transfer.model_dump(include=how) if outcome.transfer else {"method": None}),
        "from": None if outcome.error else outcome.source,
        "error": str(outcome.error) if outcome.error else None,
    }


def _print_result(outcomes: Sequence[Outcome]) -> None:
    numbers = (Column(name, justify="right") for name in ("version", "bytes", "time", "rate"))
    table = Table(Column("file", overflow="fold"), *numbers, "server", "method", "from")
    for outcome in outcomes:
        stored, transfer = outcome.file.stored, outcome.transfer
        how = ("", "", "", "")
        if transfer:
            took = duration(transfer.seconds), rate(transfer.size - transfer.resumed_from, transfer.seconds)
            how = (*took, transfer.server, transfer.method.upper())
        source = "failed" if outcome.error else _SOURCES[outcome.source]
        table.add_row(str(outcome.file.path), str(stored.version), f"{stored.size:,}", *how, source)
    out().print(table)

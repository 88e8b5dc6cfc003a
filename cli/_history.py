"""`ppi history`: what was run in an environment, newest first, and all that is known of one execution."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from humanize import naturalsize
from rich.table import Column, Table

from blocks.profile import Profile
from cli._console import out, print_json
from tasks.alma.ids import EntityId
from tasks.catalog.catalog import IsHeld, Wanted
from tasks.catalog.model import Record, Step
from tasks.catalog.states import State
from tasks.catalog.tasks import catalog_of, database_of
from tasks.errors import Missing
from tasks.workspace.layout import Area

__all__ = ["show", "show_one"]


def show(
    profile: Profile,
    observation: str | None,
    states: Iterable[State],
    since: datetime | None,
    until: datetime | None,
    limit: int,
    as_json: bool,
) -> None:
    """Print a line for each execution that agrees with all that is given; times without a zone are UTC."""
    which = Wanted(
        observation=EntityId.parse(observation) if observation else None,
        states=frozenset(states),
        since=_in_utc(since),
        until=_in_utc(until),
        limit=limit,
    )
    is_there = database_of(profile).exists
    records = catalog_of(profile).look_up(which, _is_held(profile)) if is_there else ()
    if as_json:
        print_json([_as_json(record) for record in records])
        return
    console = out()
    console.print(_table(records) if records else f"Nothing of that kind was run yet in profile {profile.name}.")


def show_one(profile: Profile, number: int, as_json: bool) -> None:
    """Print all that is known of one execution: its stages, steps, pieces of work and products.

    Raises
    ------
    Missing
        There is no such execution.
    """
    if not database_of(profile).exists:
        raise Missing(f"execution {number}", f"nothing was run yet in profile {profile.name}", "see `ppi history`")
    record = catalog_of(profile).find(number, _is_held(profile))
    if as_json:
        print_json(_as_json(record))
        return
    console = out()
    for name, value in _facts(record).items():
        console.print(f"{name:>16}  {value}")
    for table in (_stages(record), _steps(record), _pieces(record), _products(record)):
        if table.row_count:
            console.print(table)


def _in_utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment else None


def _is_held(profile: Profile) -> IsHeld:
    area = Area(profile.processing.root_directory)
    return lambda observation: area.is_held(EntityId.parse(observation))


def _as_json(record: Record) -> dict[str, object]:
    return record.model_dump(mode="json") | {"wall_seconds": record.wall_seconds}


def _table(records: tuple[Record, ...]) -> Table:
    table = Table(
        "id", "started (UTC)", "observation", "project", "procedure", "state", Column("wall", justify="right"),
        Column("CPU", justify="right"), Column("peak memory", justify="right"),
        Column("fetched", justify="right"), Column("why", overflow="fold"),
    )  # fmt: skip
    for record in records:
        table.add_row(
            str(record.id),
            _time(record.started),
            record.observation,
            record.project or "",
            record.procedure or "",
            record.state,
            _seconds(record.wall_seconds),
            _seconds(record.cpu_seconds),
            _bytes(record.peak_memory_bytes),
            _bytes(record.bytes_fetched),
            record.error or "; ".join(record.reasons),
        )
    return table


def _facts(record: Record) -> dict[str, str]:
    facts = {
        "execution": f"{record.id}, {record.flow} in profile {record.profile}",
        "observation": f"{record.observation} ({record.project or 'project not known'})",
        "state": record.state,
        "error": record.error,
        "verdict": "; ".join([record.verdict, *record.reasons]) if record.verdict else None,
        "started": f"{_time(record.started)} UTC",
        "took": _seconds(record.wall_seconds),
        "by": f"{record.account} on {record.host}" if record.host else None,
        "flow run": record.flow_run,
        "procedure": record.procedure,
        "CASA": f"{record.casa_version} ({record.executor}, {record.recipe})" if record.casa_version else None,
        "calibrated with": record.calibrated_with,
        "PPI": record.ppi_version,
        "key": record.key,
        "fetched": _bytes(record.bytes_fetched),
        "delivery": record.delivery,
        "report": record.report,
    }
    return {name: value for name, value in facts.items() if value}


def _stages(record: Record) -> Table:
    table = Table("stage", "began (UTC)", Column("wall", justify="right"))
    for stage in record.stages:
        table.add_row(stage.name, _time(stage.started) if stage.started else "", _seconds(stage.wall_seconds))
    return table


def _steps(record: Record) -> Table:
    table = Table(
        "stage", "execution block", "step", Column("wall", justify="right"), Column("CPU", justify="right"),
        Column("peak memory", justify="right"), Column("fetched", justify="right"), "verdict",
    )  # fmt: skip
    for step in record.steps:
        table.add_row(
            step.stage,
            step.block or "",
            step.name,
            _seconds(step.wall_seconds),
            _seconds(step.cpu_seconds),
            _bytes(step.peak_memory_bytes),
            _bytes(step.bytes_fetched),
            _verdict(step),
        )
    return table


def _pieces(record: Record) -> Table:
    numbers = ("input", "wall", "CPU", "peak memory", "memory asked", "attempts")
    table = Table(
        "work of stage", "execution block", "step", *(Column(name, justify="right") for name in numbers), "where",
        "kind",
    )  # fmt: skip
    for piece in record.pieces:
        table.add_row(
            piece.stage,
            piece.item or "",
            f"{piece.step}{', by an earlier run' if piece.taken_over else ''}",
            _bytes(piece.input_bytes),
            _seconds(piece.wall_seconds),
            _seconds(piece.cpu_seconds),
            _bytes(piece.peak_memory_bytes),
            _bytes(piece.requested_memory_bytes),
            str(piece.attempts),
            piece.place or "",
            piece.kind,
        )
    return table


def _verdict(step: Step) -> str:
    return f"{step.verdict or ''}{', by an earlier run' if step.taken_over else ''}"


def _products(record: Record) -> Table:
    table = Table(
        "product", Column("size", justify="right"), Column("checksum", overflow="fold"), "in the delivery"
    )
    for product in record.products:
        place = product.path.removeprefix(f"{record.delivery}/")
        table.add_row(product.kind, _bytes(product.size), product.checksum or "", place)
    return table


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:,.1f} s"


def _bytes(size: int | None) -> str:
    return "" if size is None else naturalsize(size)

"""`ppi plan`: what a restore would do, shown before it is done."""

from __future__ import annotations

import dataclasses
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.filesize import decimal
from rich.syntax import Syntax
from rich.table import Column, Table

from blocks.profile import Profile
from cli._console import out, print_json
from tasks.alma.access import Decision, decide, require
from tasks.alma.ids import EntityId
from tasks.catalog.tasks import sizes_of
from tasks.cluster.tasks import CLASS_OF_STAGE, at_once, resources_of
from tasks.ngas.client import NgasClient
from tasks.ngas.model import StoredFile
from tasks.ngas.tasks import archive_client, shared_store
from tasks.ppr import xml as ppr_xml
from tasks.ppr.procedures import procedure_name
from tasks.restore.forecast import StageForecast, forecast
from tasks.restore.plan import Plan
from tasks.restore.tasks import look_up, make_restore_plan
from tasks.restore.work import works
from tasks.workspace.layout import Area

__all__ = ["show"]


def show(profile: Profile, mous: str, procedure: str, as_json: bool) -> None:
    """Print the plan; nothing is written, and only the small manifest is read from NGAS."""
    observation, asked_for = EntityId.parse(mous), procedure_name(procedure)
    decision = decide(look_up(profile, observation).evidence, profile.access.projects, datetime.now(UTC))
    if as_json and not decision.restorable:
        print_json(_refusal(profile, decision))
    require(decision)
    client = archive_client(profile)
    with tempfile.TemporaryDirectory() as folder:
        plan = make_restore_plan(
            profile, observation, lambda file: _brought(client, file, Path(folder, "manifest.xml")), asked_for
        )
    store = shared_store(profile)
    held = {file.name for file in plan.files if store.held(file.stored)}
    request = ppr_xml.write(plan.request(datetime.now(UTC), profile.site, "ppi")).decode()
    if as_json:
        print_json(_as_json(plan, profile, held, request))
    else:
        _print(plan, profile, held, request)


def _refusal(profile: Profile, decision: Decision) -> dict[str, object]:
    return {
        "observation": decision.mous,
        "profile": profile.name,
        "restorable": False,
        "standing": decision.standing,
        "reason": decision.reason,
    }


def _brought(client: NgasClient, file: StoredFile, path: Path) -> bytes:
    client.retrieve(file, path)
    return path.read_bytes()


def _as_json(plan: Plan, profile: Profile, held: set[str], request: str) -> dict[str, object]:
    return {
        "observation": plan.observation.mous,
        "project": plan.observation.project_code,
        "profile": profile.name,
        "restorable": True,
        "procedure": plan.procedure.title,
        "casa": plan.casa.model_dump(),
        "calibrated_with": plan.calibrated_with,
        "execution_blocks": [{"uid": block.uid, "session": block.session} for block in plan.blocks],
        "files": [
            {
                "name": file.name,
                "file_id": file.stored.file_id,
                "size": file.stored.size,
                "in_store": file.name in held,
            }
            for file in plan.files
        ],
        "bytes": plan.size,
        "bytes_to_fetch": _to_fetch(plan, held),
        "expected": [dataclasses.asdict(stage) for stage in _expected(plan, profile)],
        "caveats": plan.caveats,
        "destination": str(_destination(plan, profile)),
        "ppr": request,
    }


def _expected(plan: Plan, profile: Profile) -> tuple[StageForecast, ...]:
    """Return what each stage will probably take, and what its jobs will ask for where jobs are submitted."""
    stages = works(plan)
    sizes = sizes_of(profile, [work for todo in stages.values() for work in todo])

    def of(stage: str) -> StageForecast:
        name = CLASS_OF_STAGE[stage]
        asked = resources_of(profile, name) if profile.cluster.kind == "htcondor" else None
        return forecast(stage, stages[stage], sizes, at_once(profile, name), asked)

    return tuple(map(of, stages))


def _to_fetch(plan: Plan, held: set[str]) -> int:
    return sum(file.stored.size for file in plan.files if file.name not in held)


def _destination(plan: Plan, profile: Profile) -> Path:
    return Area(profile.processing.root_directory).destination(
        plan.observation.project_code, plan.observation.mous
    )


def _print(plan: Plan, profile: Profile, held: set[str], request: str) -> None:
    console = out()
    console.print(f"{plan.observation.mous} ({plan.observation.project_code}) may be restored", style="bold")
    console.print(f"  procedure {plan.procedure.title}")
    console.print(f"  in profile {profile.name}, with CASA {plan.casa.version} ({plan.casa.executor})")
    console.print(f"  calibrated with CASA {plan.calibrated_with}; recipe {plan.recipe}")
    console.print(f"  to {_destination(plan, profile)}")
    for caveat in plan.caveats:
        console.print(f"  note: {caveat}")
    console.print(_files(plan, held))
    console.print(f"  to fetch: {decimal(_to_fetch(plan, held))} of {decimal(plan.size)}")
    console.print(_forecasts(_expected(plan, profile)))
    console.print(Syntax(request, "xml"))


def _files(plan: Plan, held: set[str]) -> Table:
    table = Table(Column("file", overflow="fold"), "session", Column("size", justify="right"), "in the store")
    sessions = {block.raw.name: block.session for block in plan.blocks}
    for file in plan.files:
        there = "yes" if file.name in held else "no"
        table.add_row(file.stored.file_id, sessions.get(file.name, ""), decimal(file.stored.size), there)
    return table


def _forecasts(stages: tuple[StageForecast, ...]) -> Table:
    numbers = ("jobs", "at once", "memory asked", "peak memory", "CPU", "longest", "whole stage")
    table = Table("stage", "step", *(Column(name, justify="right") for name in numbers), "learnt from")
    for stage in stages:
        for step in stage.steps:
            table.add_row(
                stage.stage,
                step.step,
                str(step.jobs),
                str(stage.at_once),
                _bytes(step.requested_memory),
                _bytes(step.peak_memory),
                _time(step.cpu_seconds),
                _time(step.wall_seconds),
                _time(stage.wall_seconds),
                f"{step.runs} run{'s' * (step.runs > 1)}" if step.runs else "nothing measured yet",
            )
    return table


def _bytes(size: int | None) -> str:
    return "" if size is None else decimal(size)


def _time(seconds: float | None) -> str:
    """Write hours, minutes and seconds."""
    return "" if seconds is None else str(timedelta(seconds=max(round(seconds), 1)))

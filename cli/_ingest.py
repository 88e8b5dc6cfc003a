"""`ppi ingest`: one delivery, watched until the archive has it."""

from __future__ import annotations

from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

from blocks.profile import Profile
from cli._console import out, print_json
from cli._display import restoring
from cli._restore import interruptible
from cli._server import start_private_server
from flows.ingest_products import Ingested, ingest_products
from tasks.alma.ids import EntityId
from tasks.ingest.jobs import Placed
from tasks.ingest.page import said
from tasks.ingest.tasks import look_at_delivery
from tasks.report.units import size

__all__ = ["run"]


def run(profile: Profile, mous: str, as_json: bool) -> None:
    """Archive a delivery in this process; a refusal comes before a Prefect server is started.

    The run has no heartbeat, as that of `ppi restore`.
    """
    observation = EntityId.parse(mous)
    look_at_delivery(profile, observation)
    if not profile.prefect.api_url:
        start_private_server()
    with interruptible(), restoring(), temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        done = ingest_products(observation, profile.name)
    _report(done, as_json)


def _report(done: Ingested, as_json: bool) -> None:
    if as_json:
        print_json(_as_json(done))
        return
    console, delivery = out(), done.consignment.delivery
    console.print(f"{delivery.observation} ({delivery.project}): {said(done.files)}", style="bold")
    for placed in done.files:
        console.print(_line(placed))


def _line(placed: Placed) -> str:
    file = placed.file
    how = "was there already" if placed.was_there else "archived"
    stored = f"{file.file_id} version {file.version}"
    return f"  {stored}  {size(file.size)}  {file.checksum}  on {file.server}  {how}"


def _as_json(done: Ingested) -> dict[str, object]:
    delivery = done.consignment.delivery
    return {
        "observation": delivery.observation,
        "project": delivery.project,
        "delivery": delivery.path,
        "key": delivery.key,
        "files": [placed.file.model_dump() | {"was_there": placed.was_there} for placed in done.files],
        "is_news": done.is_news,
    }

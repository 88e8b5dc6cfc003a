"""`ppi restore`: one observation, watched to its end."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from prefect.exceptions import Abort
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

from blocks.profile import Profile
from cli._console import out, print_json
from cli._display import restoring
from cli._server import start_private_server
from flows._record import refusals_recorded
from flows.restore_ous import restore_ous
from tasks.alma.access import decide, require
from tasks.alma.ids import EntityId
from tasks.ppr.procedures import ProcedureName, procedure_name
from tasks.report.findings import pictured
from tasks.restore.deliver import Delivered
from tasks.restore.tasks import look_up

__all__ = ["interruptible", "report", "restore", "run"]


def run(profile: Profile, mous: str, again: bool, procedure: str, as_json: bool) -> None:
    """Restore and print where the result is."""
    report(restore(profile, mous, again, procedure_name(procedure)), as_json)


def restore(profile: Profile, mous: str, again: bool, procedure: ProcedureName = "hifa_restore") -> Delivered:
    """Restore an observation in this process; a refusal comes before a Prefect server is started.

    The run has no heartbeat: who waits for this command sees when it dies, and waiting for the heartbeat's end
    would cost a second.
    """
    observation = EntityId.parse(mous)
    with refusals_recorded(profile, restore_ous.name, observation):
        require(decide(look_up(profile, observation).evidence, profile.access.projects, datetime.now(UTC)))
    if not profile.prefect.api_url:
        start_private_server()
    with interruptible(), restoring(), temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        return restore_ous(observation, profile.name, procedure, again)


@contextmanager
def interruptible() -> Iterator[None]:
    """Take the end of a run on the Prefect server for what it is to who waits for it: an interruption."""
    try:
        yield
    except Abort as error:
        sys.stderr.write("ppi: it was ended on the Prefect server, where it is cancelled, or deleted\n")
        raise KeyboardInterrupt from error


def report(done: Delivered, as_json: bool) -> None:
    """Print what was delivered, and where."""
    provenance = done.provenance
    if as_json:
        print_json(_as_json(done))
        return
    console = out()
    verdict = provenance.verdict
    console.print(f"{provenance.observation} ({provenance.project}): {verdict.outcome}", style="bold")
    for reason in verdict.reasons:
        console.print(f"  note: {reason}")
    for block in provenance.blocks:
        proof = block.proof
        compared = f"reference {proof.reference}" if proof else "not proven"
        console.print(f"  {done.path / 'calibrated' / block.vis}  {proof.rows if proof else 0:,} rows, {compared}")
    if provenance.images:
        console.print(f"  {done.path / 'images'}  {pictured(provenance.images)}")
    console.print(f"  report: {done.report}")


def _as_json(done: Delivered) -> dict[str, object]:
    provenance = done.provenance
    return {
        "observation": provenance.observation,
        "delivery": str(done.path),
        "report": str(done.report),
        "measurement_sets": [str(done.path / "calibrated" / block.vis) for block in provenance.blocks],
        "images": [str(done.path / "images" / image.name) for image in provenance.images],
        "verdict": provenance.verdict.model_dump(mode="json"),
        "provenance": provenance.model_dump(mode="json"),
    }

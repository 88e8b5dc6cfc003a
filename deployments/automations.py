"""What a profile's Prefect server does by itself: notice crashes, sweep on announcements, tell of failures.

None of it is needed for the work to be right: a sweep comes anyway, and the catalog knows what became of all.
Whether an automation is switched off is the operator's to say; it stays.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Final
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterName
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState, RunDeployment, SendNotification
from prefect.events.filters import AutomationFilter, AutomationFilterTags
from prefect.events.schemas.automations import Automation, AutomationCore, EventTrigger, Posture
from prefect.exceptions import ObjectNotFound

from blocks.profile import Profile
from deployments.difference import Change, Thing, compared, new
from flows._events import ANNOUNCED, environment_of
from flows.ingestion_sweep import ingestion_sweep

__all__ = ["Told", "automations", "told_to"]

_SILENCE: Final = timedelta(minutes=5)
"""So long after its last heartbeat a run has crashed; it has one a minute."""
_HEARTBEAT: Final = "prefect.flow-run.heartbeat"
_ENDS: Final = tuple(
    f"prefect.flow-run.{end}" for end in ("Cancelled", "Completed", "Crashed", "Failed", "TimedOut")
)
_BAD_ENDS: Final = _ENDS[2:]
_UNKNOWN: Final = UUID(int=0)
_BODY: Final = """{{{{ flow.name }}}}, {{{{ flow_run.name }}}}: {{{{ flow_run.state.name }}}}
{{{{ flow_run.state.message }}}}
{pages}/runs/flow-run/{{{{ flow_run.id }}}}"""

_Deployed = Mapping[str, UUID]
"""The ids of a profile's deployments, by flow."""


@dataclass(frozen=True)
class Told:
    """A notification block that a profile names.

    Parameters
    ----------
    name
        As ``slack-webhook/operators``.
    block
        Its id on the server; None for one that cannot be used.
    fault
        Why it cannot.
    """

    name: str
    block: UUID | None
    fault: str = ""


def told_to(client: SyncPrefectClient, profile: Profile) -> tuple[Told, ...]:
    """Look for the notification blocks that a profile names."""
    return tuple(_told(client, name) for name in profile.notify.blocks)


def _told(client: SyncPrefectClient, name: str) -> Told:
    kind, _, block = name.partition("/")
    try:
        found = client.read_block_document_by_name(block, kind)
    except ObjectNotFound:
        return Told(name, None, "the server has no such block")
    if "notify" not in (found.block_schema.capabilities if found.block_schema else ()):
        return Told(name, None, f"a block of type {kind} notifies nobody")
    return Told(name, found.id)


def automations(client: SyncPrefectClient, profile: Profile, told: Collection[Told]) -> Iterator[Thing]:
    """Compare a profile's automations with what is wanted; one that is not wanted any more goes.

    What they name is looked up once more as they are written, since deployments may be written just before.

    Parameters
    ----------
    told
        Who is told of failures; blocks that cannot be used are passed over.
    """
    tagged = AutomationFilter(tags=AutomationFilterTags(all_=[_tag(profile)]))
    there = {each.name: each for each in client.read_automations(automations=tagged)}
    deployed, wanted = _deployed(client, profile), dict(_wanted(profile, told))
    for name, made in wanted.items():
        what, found = f"automation {name}", there.get(name)
        write = partial(_write, client, profile, made, found)
        now = _parts(found) if found else {}
        yield Thing(compared(what, now, _parts(made(deployed))) if found else new(what), write)
    for name in set(there) - set(wanted):
        change = Change(f"automation {name}", "all", "there", "none")
        yield Thing((change,), partial(client.delete_automation, there[name].id))


def _tag(profile: Profile) -> str:
    return f"ppi:{profile.name}"


def _deployed(client: SyncPrefectClient, profile: Profile) -> _Deployed:
    of_name = DeploymentFilter(name=DeploymentFilterName(any_=[profile.name]))
    found = client.read_deployments(deployment_filter=of_name)
    return {client.read_flow(each.flow_id).name: each.id for each in found}


def _write(
    client: SyncPrefectClient,
    profile: Profile,
    made: Callable[[_Deployed], AutomationCore],
    found: Automation | None,
) -> None:
    automation = made(_deployed(client, profile))
    if found is None:
        client.create_automation(automation)
        return
    whole = automation.model_dump(mode="json", exclude={"owner_resource"}) | {"enabled": found.enabled}
    client.update_automation(found.id, AutomationCore.model_validate(whole))  # it sends nothing that was not given


def _parts(automation: AutomationCore) -> dict[str, Any]:
    """Return what is compared: an automation's description, trigger and actions, sets in an order."""
    trigger = automation.trigger.model_dump(mode="json")
    ordered = {part: sorted(value) if _is_set(value) else value for part, value in trigger.items()}
    actions = [action.model_dump(mode="json") for action in automation.actions]
    return {"description": automation.description, "trigger": ordered, "actions": actions}


def _is_set(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _wanted(
    profile: Profile, told: Collection[Told]
) -> Iterator[tuple[str, Callable[[_Deployed], AutomationCore]]]:
    named = {"crashed runs": _crashed, "announcements": _announced}
    named |= {f"failures to {each.name}": partial(_notified, each) for each in told if each.block}
    for what, made in named.items():
        yield f"{profile.name}: {what}", partial(made, profile, f"{profile.name}: {what}")


def _crashed(profile: Profile, name: str, deployed: _Deployed) -> AutomationCore:
    minutes = int(_SILENCE.total_seconds()) // 60
    message = f"It has not been heard of for {minutes} minutes: its process is gone."
    return AutomationCore(
        name=name,
        description="A run that is not heard of any more has crashed.",
        tags=[_tag(profile)],
        trigger=EventTrigger(
            posture=Posture.Proactive,
            after={_HEARTBEAT},
            expect={_HEARTBEAT, *_ENDS},
            match={"prefect.resource.id": "prefect.flow-run.*"},
            match_related=_of(deployed),
            for_each={"prefect.resource.id"},
            within=_SILENCE,
        ),
        actions=[ChangeFlowRunState(state=StateType.CRASHED, message=message)],
    )


def _announced(profile: Profile, name: str, deployed: _Deployed) -> AutomationCore:
    sweep = deployed.get(ingestion_sweep.name, _UNKNOWN)
    return AutomationCore(
        name=name,
        description="Observations that were announced are swept at once.",
        tags=[_tag(profile)],
        trigger=EventTrigger(expect={ANNOUNCED}, match={"prefect.resource.id": environment_of(profile)}),
        actions=[RunDeployment(source="selected", deployment_id=sweep)],
    )


def _notified(told: Told, profile: Profile, name: str, deployed: _Deployed) -> AutomationCore:
    subject = f"{profile.name}: {{{{ flow_run.name }}}} {{{{ flow_run.state.name }}}}"
    body = _BODY.format(pages=profile.prefect.pages)
    return AutomationCore(
        name=name,
        description="Who looks after the environment is told of runs that failed or crashed.",
        tags=[_tag(profile)],
        trigger=EventTrigger(
            expect=set(_BAD_ENDS),
            match={"prefect.resource.id": "prefect.flow-run.*"},
            match_related=_of(deployed),
            for_each={"prefect.resource.id"},
        ),
        actions=[SendNotification(block_document_id=told.block or _UNKNOWN, subject=subject, body=body)],
    )


def _of(deployed: _Deployed) -> dict[str, str | list[str]]:
    ids = sorted(f"prefect.deployment.{each}" for each in deployed.values())
    return {"prefect.resource.role": "deployment", "prefect.resource.id": ids}

"""Telling a profile's Prefect server what became of requests, as well as that goes, for automations to follow.

What counts is in the catalog; who must hear of it hears it there or from the broker. So a server that is away is
not waited for, and nothing that goes wrong here is anything to the work.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any, Final

from prefect.client.orchestration import get_client
from prefect.events import Event
from prefect.runtime import flow_run
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    temporary_settings,
)

from blocks.profile import Profile
from tasks.catalog.request import Change

__all__ = ["ANNOUNCED", "announce", "environment_of", "tell"]

ANNOUNCED: Final = "ppi.observations.announced"
"""The event on which a deployment sweeps at once."""
_SECONDS: Final = 5.0
_MOST: Final = 1000
"""How many are told of at once: the server has a queue for so many, and drops what is too much."""
_log = logging.getLogger("ppi.events")


def tell(changes: Iterable[Change], profile: Profile) -> None:
    """Tell of changes of state that were committed, as ``ppi.request.<state>``."""
    events = [_changed(change, profile) for change in changes]
    if len(events) > _MOST:
        _log.warning("%d of %d changes of state are not told as events", len(events) - _MOST, len(events))
    _send(profile, events[:_MOST])


def announce(profile: Profile, count: int) -> None:
    """Tell that so many observations were announced and are asked for, so that a sweep looks at them soon."""
    resource = {"prefect.resource.id": environment_of(profile), "prefect.resource.name": profile.name}
    _send(profile, [Event(event=ANNOUNCED, resource=resource, related=_runs(), payload={"count": count})])


def environment_of(profile: Profile) -> str:
    """Return by which resource a profile is known in events."""
    return f"ppi.environment.{profile.name}"


def _changed(change: Change, profile: Profile) -> Event:
    name = change.observation.replace("://", "___").replace("/", "_")
    resource = {
        "prefect.resource.id": f"ppi.request.{profile.name}.{name}",
        "prefect.resource.name": f"{change.workflow} {change.observation}",
    }
    payload = change.model_dump(mode="json")
    return Event(event=f"ppi.request.{change.state.value}", resource=resource, related=_runs(), payload=payload)


def _runs() -> list[dict[str, str]]:
    run = flow_run.id
    return [{"prefect.resource.id": f"prefect.flow-run.{run}", "prefect.resource.role": "flow-run"}] if run else []


def _send(profile: Profile, events: list[Event]) -> None:
    if not (events and profile.prefect.api_url):
        return
    try:
        with ExitStack() as stack:
            stack.enter_context(temporary_settings(_impatient(profile)))
            client = stack.enter_context(get_client(httpx_settings={"timeout": _SECONDS}, sync_client=True))
            client.request("POST", "/events", json=[event.model_dump(mode="json") for event in events])
    except Exception as error:  # noqa: BLE001 - whatever is the matter with the server, the work goes on
        _log.warning("%d events are not told: %s", len(events), error or type(error).__name__)


def _impatient(profile: Profile) -> dict[Any, Any]:
    """Return settings with which the server is asked once; a worker has the login in its own."""
    username, password = profile.prefect.username, profile.prefect.password.get_secret_value()
    login = {PREFECT_API_AUTH_STRING: f"{username}:{password}"} if username and password else {}
    api = (profile.prefect.api_url or "").rstrip("/")
    return {PREFECT_API_URL: api, PREFECT_CLIENT_MAX_RETRIES: 0, **login}

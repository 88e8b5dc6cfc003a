"""What a run shows on its page at its Prefect server, as well as that goes: the work is worth more than its page.

A server that is away is not waited for. What it did not hear is dropped; what is shown next is made whole again.
"""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from typing import Any, Final
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from prefect.context import SettingsContext, get_settings_context
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_REQUEST_TIMEOUT, PREFECT_CLIENT_MAX_RETRIES, Settings

__all__ = ["Shown"]

_PATIENCE: Final[dict[bool, dict[Any, Any]]] = {
    False: {PREFECT_CLIENT_MAX_RETRIES: 0, PREFECT_API_REQUEST_TIMEOUT: 5.0},
    True: {PREFECT_CLIENT_MAX_RETRIES: 3, PREFECT_API_REQUEST_TIMEOUT: 5.0},
}
"""For what is soon shown anew, and for what is not; a busy server asks to be asked again."""
_PAUSE_SECONDS: Final = 10.0
_log = logging.getLogger("ppi.page")
_made: dict[bool, tuple[Settings, Settings]] = {}


class Shown:
    """Something on the page of the run that makes this.

    Parameters
    ----------
    kind
        ``progress``, ``table`` or ``markdown``, in which links are too.
    key
        What it is called.
    """

    def __init__(self, kind: str, key: str) -> None:
        self._kind, self._key, self._id, self._silent_until = kind, key, UUID(int=0), 0.0
        self._run = UUID(flow_run.id) if flow_run.id else None

    def write(self, data: object, description: str, *, last: bool = True) -> None:
        """Show it, in the place of what it was.

        Parameters
        ----------
        data
            A number, or text in JSON or Markdown.
        last
            Whether nothing follows soon that would be shown instead.
        """
        if not self._run or (not last and time.monotonic() < self._silent_until):
            return
        try:
            with ExitStack() as stack:
                stack.enter_context(_patience(last))
                self._send(stack.enter_context(get_client(sync_client=True)), self._run, data, description)
        except Exception as error:  # noqa: BLE001 - whatever is the matter with the server, the work goes on
            self._silent_until = time.monotonic() + _PAUSE_SECONDS
            _log.warning("%s is not shown as it is now: %s", self._key, error or type(error).__name__)

    def _send(self, client: SyncPrefectClient, run: UUID, data: Any, description: str) -> None:
        if self._id.int:
            client.update_artifact(self._id, ArtifactUpdate(data=data, description=description))
        else:
            new = ArtifactCreate(
                key=self._key, type=self._kind, description=description, data=data, flow_run_id=run
            )
            self._id = client.create_artifact(new).id


def _patience(last: bool) -> SettingsContext:
    """Return Prefect's settings with our patience; made once, since that takes 50 ms."""
    context = get_settings_context()
    base, made = _made.get(last, (None, None))
    if base is not context.settings or made is None:
        made = context.settings.copy_with_update(updates=_PATIENCE[last])
        _made[last] = context.settings, made
    return SettingsContext(profile=context.profile, settings=made)

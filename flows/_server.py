"""The Prefect server that a run tells what it does; it may be away for minutes, and the run goes on.

Prefect's client is patient once it has reached its server; `deployments.prefect_server` says how long. But a stage
is begun with a client of its own, which gives up at once: so the flow's own client asks first.
"""

from __future__ import annotations

from prefect.client.orchestration import SyncPrefectClient
from prefect.context import FlowRunContext

__all__ = ["await_server"]


def await_server() -> None:
    """Wait until the server of the run at hand answers, as long as its client is patient."""
    context = FlowRunContext.get()
    if context and isinstance(context.client, SyncPrefectClient):
        context.client.hello()

"""A client of a profile's own Prefect server, for a process whose Prefect may be pointed elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from blocks.profile import Profile
from deployments import prefect_server

__all__ = ["client_of"]


@contextmanager
def client_of(profile: Profile) -> Iterator[SyncPrefectClient]:
    """Talk to the server that the profile names.

    Raises
    ------
    Transient
        It does not answer.
    Refused
        It does not let us in.
    """
    prefect_server.require(profile)
    variables = prefect_server.variables(profile)
    settings = {setting: variables.get(setting.name) for setting in (PREFECT_API_URL, PREFECT_API_AUTH_STRING)}
    with temporary_settings(settings), get_client(sync_client=True) as client:
        yield client

"""What a Prefect server would tell anybody who asks it."""

from __future__ import annotations

import json
import urllib.request
from base64 import b64encode
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from typing import Any
from urllib.error import HTTPError


@dataclass(frozen=True)
class Records:
    """The records of the Prefect server at an API's address, which may ask for ``username:password``."""

    api: str
    login: str = ""

    @cached_property
    def headers(self) -> dict[str, str]:
        """What every request needs: a login, and the token that says that no other page sends it."""
        login = {"Authorization": f"Basic {b64encode(self.login.encode()).decode()}"} if self.login else {}
        return {"Content-Type": "application/json", **login, **self._token(login)}

    def _token(self, login: dict[str, str]) -> dict[str, str]:
        request = urllib.request.Request(f"{self.api}/csrf-token?client=tests", headers=login)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - our own server
                token = json.loads(answer.read())["token"]
        except HTTPError as error:
            if error.code != HTTPStatus.UNPROCESSABLE_ENTITY:  # this server asks for none
                raise
            return {}
        return {"Prefect-Csrf-Client": "tests", "Prefect-Csrf-Token": token}

    def ask(self, what: str, **wanted: Any) -> list[dict[str, Any]]:
        """Return the records of a kind, or those that fit a filter."""
        request = urllib.request.Request(  # noqa: S310 - our own server
            f"{self.api}/{what}/filter", json.dumps(wanted).encode(), self.headers
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            found: list[dict[str, Any]] = json.loads(answer.read())
        return found

    def flow_runs(self, run: str) -> dict[str, dict[str, Any]]:
        """Return a flow's run and those of its stages, by name."""
        own = self.ask("flow_runs", flow_runs={"id": {"any_": [run]}})
        stages = self.ask("flow_runs", flow_runs={"parent_flow_run_id": {"any_": [run]}})
        return {each["name"]: each for each in (*own, *stages)}

    def artifacts(self, runs: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """Return what was shown by some runs, by key."""
        ids = [run["id"] for run in runs.values()]
        return {each["key"]: each for each in self.ask("artifacts", artifacts={"flow_run_id": {"any_": ids}})}

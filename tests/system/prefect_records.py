"""What a Prefect server would tell anybody who asks it."""

from __future__ import annotations

import json
import urllib.request
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Records:
    """The records of the Prefect server at an API's address."""

    api: str

    def ask(self, what: str, **wanted: Any) -> list[dict[str, Any]]:
        """Return the records of a kind, or those that fit a filter."""
        request = urllib.request.Request(  # noqa: S310 - our own server
            f"{self.api}/{what}/filter", json.dumps(wanted).encode(), {"Content-Type": "application/json"}
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

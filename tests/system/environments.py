"""The environments of the system tests: profiles of their own on the shared observatory."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deployments.local.ngas_server import requests_of
from deployments.local.observatory.build import Observatory

MOUS = "uid://A001/X1284/X265f"
PROPRIETARY = "uid://A001/X1284/X9912"
HAND_CALIBRATED = "uid://A001/X1284/X9922"
NOT_CALIBRATED = "uid://A001/X1284/X9932"


@dataclass(frozen=True)
class Environment:
    """A profile of its own, with its own area, on the shared observatory."""

    name: str
    capo: Path
    area: Path
    archive: Path

    def write(self, properties: Mapping[str, str]) -> None:
        """Write the profile; `_` stands for the dots of a key after its `ppi.`.

        Sweeps start nothing, unless they are told since when.
        """
        given = {"processing_rootDirectory": str(self.area), "sweep_since": "2100-01-01", **properties}
        self.capo.mkdir(exist_ok=True)
        lines = (f"ppi.{key.replace('_', '.')} = {value}\n" for key, value in given.items())
        (self.capo / f"{self.name}.properties").write_text("".join(lines))

    def ppi(self, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            env=self.variables,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "cli", *arguments, "-P", self.name]

    @property
    def variables(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.area.parent),
            "CAPO_PATH": str(self.capo),
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }

    @property
    def destination(self) -> Path:
        return self.area / "delivered" / "2017.1.00886.L" / "MOUS_uid___A001_X1284_X265f"

    def retrieved(self) -> list[str]:
        """Ids of the files that crossed the wire whole or in part, one for each request."""
        return [request["file_id"] for request in requests_of(self.archive, "RETRIEVE")]

    def restored(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.destination / "provenance.json").read_bytes())
        return found


MakeEnvironment = Callable[..., Environment]


def own_archive(observatory: Observatory, root: Path) -> Path:
    """Copy the archive so that its request log and its faults are the test's own."""
    shutil.copytree(observatory.archive_root, root)
    (root / "requests.jsonl").unlink(missing_ok=True)
    return root

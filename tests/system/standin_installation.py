"""An installation of monolithic CASA that is none: `standin_casa.py` in the place of its program."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VERSION = "6.7.0-31"
LAYOUTS = ("pipeline", "pipeline/pipeline", "lib/py/lib/python3.10/site-packages/pipeline")
_STAND_IN = Path(__file__).with_name("standin_casa.py")


@dataclass(frozen=True)
class Installed:
    """A stand-in for an installed CASA."""

    home: Path
    root: Path
    made: Path

    def behave(self, act: str = "good", **changed: object) -> None:
        behaviour = {"act": act, "made": str(self.made)} | changed
        (self.root / "behaviour.json").write_text(json.dumps(behaviour))

    def seen(self) -> list[dict[str, Any]]:
        path = self.root / "seen.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def installed(home: Path, made: Path, version: str = VERSION, layout: str = LAYOUTS[0]) -> Installed:
    root = home / version
    program, script = root / "bin" / "casa", root / layout / "runpipeline.py"
    for path in (program, script):
        path.parent.mkdir(parents=True)
    program.write_text(f"#!{sys.executable} -IS\n{_STAND_IN.read_text()}")
    program.chmod(0o755)
    script.touch()
    found = Installed(home, root, made)
    found.behave()
    return found

"""What the retention's tests share: an area with attempts and deliveries, and a catalog with requests."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tasks.alma import EntityId
from tasks.casa.verdict import Outcome, Verdict
from tasks.catalog.needs import Needs
from tasks.retention.attempts import Attempts, Terms
from tasks.retention.cleaning import Cleaning
from tasks.retention.model import Account, Line, Part
from tasks.workspace.layout import Area
from tasks.workspace.provenance import Provenance

MOUS, OTHER = EntityId("uid://A001/X1284/X265f"), EntityId("uid://A001/X1284/X2660")
PROJECT, KEY = "2017.1.00886.L", "0123456789abcdef"
NOW = datetime(2030, 5, 4, 2, 0, tzinfo=UTC)
MONTH = Terms(timedelta(days=30))


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


def provenance(observation: EntityId, key: str, finished: datetime) -> Provenance:
    return Provenance(
        observation=observation, project=PROJECT, profile="site-test", flow_run=None, key=key, started=finished,
        finished=finished, ppi_version="0.1.0", casa_version="6.7.0", calibrated_with="6.7.0",
        executor="casatasks", recipe="hifa_restoredata/1", ppr_sha256="beef", inputs=(), blocks=(), stages=(),
        verdict=Verdict(outcome=Outcome.SUCCESS),
    )  # fmt: skip


@dataclass
class Site:
    """An area, and what its catalog says."""

    root: Path
    needs: Needs = field(default_factory=Needs)

    @property
    def area(self) -> Area:
        return Area(self.root)

    def attempt(self, observation: EntityId, days: float, size: int = 1000, key: str = KEY) -> Path:
        """Begin an attempt and leave it, so many days ago, with a file of some bytes."""

        def relative(_: datetime) -> str:
            number = sum(1 for _ in self.root.glob(f"{PROJECT}_*"))
            return f"{PROJECT}_{number:03}/SOUS_a/GOUS_b/MOUS_{observation.file_form}"

        tree = self.area.attempt(observation, key, PROJECT, relative)
        marker = tree.attempt / "attempt.json"
        stamp = tree.stamp.isoformat().replace("+00:00", "Z")
        assert stamp in marker.read_text()
        marker.write_text(marker.read_text().replace(stamp, ago(days).isoformat()))
        (tree.working / "data").write_bytes(bytes(size - marker.stat().st_size))
        aged(tree.attempt, days)
        return tree.attempt

    def deliver(self, observation: EntityId, days: float, key: str = KEY) -> Path:
        destination = self.area.destination(PROJECT, observation)
        destination.mkdir(parents=True, exist_ok=True)
        written = provenance(observation, key, ago(days)).model_dump_json()
        (destination / "provenance.json").write_text(written)
        return destination

    def ask(self, observations: Collection[str] = ()) -> Needs:
        return self.needs

    def attempts(self, terms: Terms = MONTH) -> Attempts:
        return Attempts(self.area, self.ask, terms, NOW)

    def clean(self, terms: Terms = MONTH, *, dry_run: bool = False) -> Account:
        cleaning = Cleaning("site-test", {Part.ATTEMPTS: self.attempts(terms).look}, dry_run=dry_run)
        cleaning.run()
        return cleaning.account


def aged(tree: Path, days: float) -> None:
    """Let everything in a tree, and itself, be last changed so many days ago."""
    for path in (*tree.rglob("*"), tree):
        os.utime(path, (ago(days).timestamp(), ago(days).timestamp()))


def told(account: Account) -> dict[str, tuple[str, str]]:
    """Return outcome and reason of each thing, by the end of its name."""
    return {Path(line.what).name: (line.outcome.value, line.why) for line in account.lines}


def line(account: Account, part: Part) -> Line:
    (found,) = [each for each in account.lines if each.part is part]
    return found

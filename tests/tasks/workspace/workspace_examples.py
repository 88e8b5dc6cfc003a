"""What the workspace's tests share: a restore to deliver."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tasks.alma import EntityId
from tasks.casa.launch import Exit
from tasks.casa.proof import Proof
from tasks.casa.verdict import Outcome, Verdict
from tasks.workspace.layout import Area, Tree
from tasks.workspace.provenance import BlockRecord, Provenance

MOUS, OTHER = EntityId("uid://A001/X1284/X265f"), EntityId("uid://A001/X1284/X2660")
BLOCKS = tuple(EntityId(f"uid://A002/Xc7111c/{end}") for end in ("X3979", "X409e"))
PROJECT = "2017.1.00886.L"
KEY = "0123456789abcdef"


def relative(stamp: datetime) -> str:
    time = stamp.strftime("%Y_%m_%dT%H_%M_%S.%f")[:-3]
    return f"{PROJECT}_{time}/SOUS_a/GOUS_b/MOUS_{MOUS.file_form}"


def attempt(area: Area, key: str = KEY, observation: EntityId = MOUS) -> Tree:
    return area.attempt(observation, key, PROJECT, relative)


def content(root: Path) -> dict[str, bytes | None]:
    """Return everything under a folder: the bytes of files, None for folders."""
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else None
        for path in sorted(root.rglob("*"))
    }


def block(uid: EntityId, **changes: Any) -> BlockRecord:
    vis = f"{uid.file_form}.ms"
    whole = BlockRecord(
        uid=uid,
        vis=vis,
        session="session_1",
        verdict=Verdict(outcome=Outcome.SUCCESS),
        proof=Proof(vis=vis, rows=12, has_corrected=True, figures=(f"{vis}.png",)),
        steps=(),
        exit=Exit(status=0, signal=None, timed_out=False, wall_seconds=1, cpu_seconds=1, peak_rss_bytes=1),
    )
    return whole.model_copy(update=changes)


def provenance(*blocks: BlockRecord, **changes: Any) -> Provenance:
    moment = datetime(2026, 5, 4, 14, 3, 11, tzinfo=UTC)
    whole = Provenance(
        observation=MOUS, project=PROJECT, profile="site-test", flow_run=None, key=KEY, started=moment,
        finished=moment, ppi_version="0.1.0", casa_version="6.7.0", calibrated_with="6.7.0", executor="casatasks",
        recipe="hifa_restoredata/1", ppr_sha256="beef", inputs=(), blocks=blocks, stages=(),
        verdict=Verdict(outcome=Outcome.SUCCESS),
    )  # fmt: skip
    return whole.model_copy(update=changes)


def restored(area: Area, blocks: tuple[EntityId, ...] = BLOCKS) -> tuple[Tree, tuple[BlockRecord, ...]]:
    """Make an attempt look as it does when CASA is through with it."""
    tree = attempt(area)
    for name in (
        f"{MOUS.file_form}.hifa_cal.pipeline_manifest.xml", f"{MOUS.file_form}.session_1.caltables.tgz",
        f"{MOUS.file_form}.hifa_cal.casa_pipescript.py", f"{MOUS.file_form}.hifa_cal.casa_commands.log",
        f"{MOUS.file_form}.hifa_cal.weblog.tgz", f"{MOUS.file_form}.hifa_cal.pprequest.xml",
    ):  # fmt: skip
        (tree.products / name).write_text(f"the product {name}")
    (tree.working / "PPR_uid___A001_X1284_X2660.xml").write_text("<SciPipeRequest/>")
    records = tuple(block(uid) for uid in blocks)
    for record in records:
        _finish(tree, record)
    return tree, records


def _finish(tree: Tree, record: BlockRecord) -> None:
    folder = tree.finished(Path(record.vis).stem)
    for name in (record.vis, f"{record.vis}.flagversions"):
        (folder / name / "SUB").mkdir(parents=True)
        (folder / name / "table.dat").write_text(f"the table {name}")
        (folder / name / "SUB" / "table.f0").write_text(f"the column {name}")
    for name in ("casa.log", "steps.jsonl", "stdout.txt", "stderr.txt", f"{record.vis}.png"):
        (folder / name).write_text(f"{name} of {record.uid}")
    (folder / "record.json").write_text(record.model_dump_json())

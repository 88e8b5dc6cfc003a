"""What the catalog is told of a restore: its steps with what they took, what it left, and what it delivered."""

from __future__ import annotations

import hashlib
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tasks.casa.launch import EXIT, Exit
from tasks.casa.proof import Proof
from tasks.casa.record import RECORD, BlockRecord
from tasks.casa.request import STEPS, StepTime
from tasks.casa.verdict import Outcome, Verdict
from tasks.catalog import measured
from tasks.catalog.model import PROCESS, Piece, Step
from tasks.catalog.states import State
from tasks.errors import Failed
from tasks.usage import Usage, Work
from tasks.workspace.layout import Tree
from tasks.workspace.provenance import Image, Input, Provenance, StageTime

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
BLOCKS = ("uid://A002/X1/X1", "uid://A002/X1/X2")
DIGEST = {"FLAG": {"0": "ab"}, "CORRECTED_DATA": {"0": "cd"}}


def name_of(uid: str) -> str:
    return uid.replace("://", "___").replace("/", "_")


def ended(**known: Any) -> Exit:
    whole = Exit(status=0, signal=None, timed_out=False, wall_seconds=9.0, cpu_seconds=7.0, peak_rss_bytes=700)
    return whole.model_copy(update=known)


def block(uid: str, exit_: Exit | None = None) -> BlockRecord:
    return BlockRecord(
        uid=uid,
        vis=f"{name_of(uid)}.ms",
        session="session_1",
        verdict=Verdict(outcome=Outcome.SUCCESS),
        proof=Proof(vis=f"{name_of(uid)}.ms", rows=1, has_corrected=True, digest=DIGEST),
        steps=(StepTime(step="import", seconds=4.0, cpu_seconds=3.0, peak_memory_bytes=600),),
        exit=exit_ or ended(wall_seconds=float(uid[-1])),
    )


def entry(name: str, size: int, server: str | None = "one:7777") -> Input:
    return Input(
        name=name, file_id=name, version=1, size=size, checksum=None, server=server, seconds=0.5 if server else 0
    )


def provenance(**known: Any) -> Provenance:
    whole = Provenance(
        observation="uid://A001/X1284/X265f", project="2017.1.00886.L", profile="site-test", flow_run="0f",
        key="f00d", started=NOON, finished=NOON + timedelta(minutes=1), ppi_version="0.1.0", casa_version="6.7.0",
        calibrated_with="5.1.1", executor="casatasks", recipe="hifa_restoredata/1", ppr_sha256="beef",
        inputs=(entry(name_of(BLOCKS[0]), 30), entry("flags.tgz", 2), entry("caltables.tgz", 3, None)),
        blocks=tuple(block(uid) for uid in BLOCKS), stages=(StageTime(stage="plan", seconds=1.0),),
        verdict=Verdict(outcome=Outcome.CAVEATS, reasons=("seen",)),
    )  # fmt: skip
    return whole.model_copy(update=known)


@pytest.fixture
def delivery(tmp_path: Path) -> Path:
    for uid in BLOCKS:
        (tmp_path / "calibrated" / f"{name_of(uid)}.ms" / "SUB").mkdir(parents=True)
        (tmp_path / "calibrated" / f"{name_of(uid)}.ms" / "SUB" / "table.f0").write_bytes(b"x" * 1000)
        (tmp_path / "calibrated" / f"{name_of(uid)}.ms" / "table.dat").write_bytes(b"x" * 24)
    for name in ("script/PPR_x.xml", "qa/report.html", "provenance.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def test_steps_are_the_fetches_and_those_of_casa_with_each_process_as_a_whole() -> None:
    made = provenance()
    steps = measured.steps_of(made.inputs, made.blocks, {BLOCKS[1]})
    assert [(step.stage, step.block, step.name, step.bytes_fetched, step.taken_over) for step in steps] == [
        ("gather", BLOCKS[0], "fetch", 30, False),
        ("gather", None, "fetch products", 2, False),
        ("process", BLOCKS[0], "import", None, False),
        ("process", BLOCKS[1], "import", None, True),
        ("process", BLOCKS[0], PROCESS, None, False),
        ("process", BLOCKS[1], PROCESS, None, True),
    ]
    assert steps[2] == Step(
        stage="process",
        block=BLOCKS[0],
        name="import",
        wall_seconds=4.0,
        cpu_seconds=3.0,
        peak_memory_bytes=600,
        verdict="success",
    )
    assert (steps[4].wall_seconds, steps[4].cpu_seconds, steps[4].peak_memory_bytes) == (1.0, 7.0, 700)
    assert measured.bytes_fetched(made.inputs) == 32


def test_a_process_that_did_all_blocks_is_counted_once() -> None:
    blocks = tuple(block(uid, ended()) for uid in BLOCKS)
    processes = [step for step in measured.steps_of((), blocks) if step.name == PROCESS]
    assert [(step.block, step.cpu_seconds, step.verdict) for step in processes] == [(None, 7.0, None)]


def test_a_piece_of_work_is_kept_as_it_was_reported() -> None:
    restore = Work("process", "restore", BLOCKS[0], "casatasks 6.7.0 hifa_restore", 7)
    known = Usage(restore, 9.12345, 7.00049, 800, 900, "slot1@one", 2)
    unknown = Usage(Work("gather", "fetch", BLOCKS[0]), 1.0)
    assert measured.pieces_of((known, unknown), {BLOCKS[0]}) == (
        Piece(
            stage="process",
            step="restore",
            item=BLOCKS[0],
            kind="casatasks 6.7.0 hifa_restore",
            input_bytes=7,
            wall_seconds=9.123,
            cpu_seconds=7.0,
            peak_memory_bytes=800,
            requested_memory_bytes=900,
            place="slot1@one",
            attempts=2,
            taken_over=True,
        ),
        Piece(stage="gather", step="fetch", item=BLOCKS[0], wall_seconds=1.0),
    )


@pytest.mark.parametrize(
    ("how", "verdict"),
    [
        (ended(status=1), "failed"),
        (ended(status=None, signal=15, timed_out=True), "failed"),
        (ended(status=None, signal=9), None),
        (None, None),
    ],
)
def test_what_a_run_left_is_told_apart_from_what_was_there(
    tmp_path: Path, how: Exit | None, verdict: str | None
) -> None:
    """The first block was finished; of the second an attempt of this run is left, and an older one."""
    tree = Tree(tmp_path, "2017_x/SOUS_a/GOUS_b/MOUS_c", NOON)
    finished, attempts = tree.finished(name_of(BLOCKS[0])), tree.working / "attempts"
    finished.mkdir(parents=True)
    (finished / RECORD).write_text(block(BLOCKS[0]).model_dump_json())
    for number, moment in ((1, NOON - timedelta(hours=1)), (2, NOON + timedelta(minutes=1))):
        directory = attempts / f"{name_of(BLOCKS[1])}.{number}"
        directory.mkdir(parents=True)
        lines = [StepTime(step="import", seconds=None), StepTime(step="import", seconds=2.0, cpu_seconds=1.0)]
        lines += [StepTime(step="flags", seconds=None)]
        (directory / STEPS).write_text("".join(line.model_dump_json() + "\n" for line in lines) + '{"half')
        os.utime(directory / STEPS, (moment.timestamp(),) * 2)
        if how:
            (directory / EXIT).write_text(how.model_dump_json())
    assert measured.finished_blocks(tree) == {BLOCKS[0]}
    first, whole, *left = measured.steps_left(tree, NOON, {BLOCKS[0]})
    assert (first.taken_over, whole.taken_over, whole.name) == (True, True, PROCESS)
    assert [(step.name, step.block, step.wall_seconds) for step in left] == [
        ("import", BLOCKS[1], 2.0),
        ("flags", BLOCKS[1], None),
        *([(PROCESS, BLOCKS[1], 9.0)] if how else []),
    ]
    assert {step.verdict for step in left} == {verdict}


def test_a_record_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    tree = Tree(tmp_path, "2017_x/SOUS_a/GOUS_b/MOUS_c", NOON)
    tree.finished(name_of(BLOCKS[0])).mkdir(parents=True)
    (tree.finished(name_of(BLOCKS[0])) / RECORD).write_text("{")
    with pytest.raises(Failed, match=r"record.json: it cannot be read"):
        measured.steps_left(tree, NOON, frozenset())


def test_products_have_size_and_checksum_and_name_their_provenance(delivery: Path) -> None:
    images = (Image(name="a.fits", size=7, sha256="11"), Image(name="weblog.tgz", size=8, sha256="22"))
    products = measured.products_of(delivery, provenance(images=images))
    shown = [
        (product.kind, Path(product.path).relative_to(delivery).as_posix(), product.size) for product in products
    ]
    assert shown == [
        *(("measurement set", f"calibrated/{name_of(uid)}.ms", 1024) for uid in BLOCKS),
        ("image", "images/a.fits", 7),
        ("export", "images/weblog.tgz", 8),
        ("request", "script/PPR_x.xml", 16),
        ("report", "qa/report.html", 14),
        ("provenance", "provenance.json", 15),
    ]
    sums = [product.checksum for product in products]
    assert sums[0] == sums[1]
    assert str(sums[0]).startswith("columns-sha256:")
    assert sums[2:4] == ["sha256:11", "sha256:22"]
    own = f"sha256:{hashlib.sha256(b'provenance.json').hexdigest()}"
    assert sums[-1] == own
    assert {product.provenance for product in products} == {own}


def test_the_checksum_of_a_measurement_set_is_that_of_its_proof(delivery: Path) -> None:
    def of(digest: dict[str, dict[str, str]]) -> str | None:
        proof = Proof(vis="x.ms", rows=1, has_corrected=True, digest=digest)
        made = provenance(blocks=(block(BLOCKS[0]).model_copy(update={"proof": proof}),))
        return measured.products_of(delivery, made)[0].checksum

    assert of(DIGEST) == of(dict(reversed(DIGEST.items())))
    assert of(DIGEST) != of({"FLAG": {"0": "xx"}})
    assert of({}) is None


def test_what_is_gone_has_no_size(tmp_path: Path) -> None:
    sizes = {
        product.kind: (product.size, product.checksum) for product in measured.products_of(tmp_path, provenance())
    }
    assert sizes["report"] == sizes["provenance"] == (None, None)
    assert sizes["measurement set"][0] is None


def test_a_delivery_tells_of_the_execution_that_made_it(delivery: Path) -> None:
    record = measured.late(delivery, provenance(), "restore-ous")
    assert (record.state, record.verdict, record.reasons) == (State.SUCCEEDED, "success with caveats", ("seen",))
    assert (record.started, record.wall_seconds, record.bytes_fetched) == (NOON, 60.0, 32)
    assert (record.key, record.flow_run, record.procedure) == ("f00d", "0f", "hifa_restore")
    assert (record.host, record.account) == (None, None)
    assert (record.delivery, record.report) == (str(delivery), str(delivery / "qa" / "report.html"))
    assert [(stage.name, stage.started, stage.wall_seconds) for stage in record.stages] == [("plan", None, 1.0)]
    assert len(record.steps) == 6
    assert len(record.products) == 5

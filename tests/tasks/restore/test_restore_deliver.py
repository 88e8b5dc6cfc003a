"""Delivering: whole, with a history that is true; interrupted and done again, it comes out the same."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from restore_examples import FIRST, MOUS, SECOND, THIRD, Archived

from tasks.alma import EntityId
from tasks.casa.launch import Exit
from tasks.casa.record import BlockRecord
from tasks.casa.verdict import Outcome, Verdict
from tasks.errors import Failed
from tasks.ppr.procedures import IMAGE
from tasks.restore.deliver import Delivered, Run, deliver
from tasks.restore.gather import write_request
from tasks.restore.plan import Plan
from tasks.workspace import images
from tasks.workspace.delivery import Staging, delivered
from tasks.workspace.layout import Area, Tree
from tasks.workspace.provenance import Image, Input, StageTime

RUN = Run(
    profile="site-test",
    flow_run="0f3c",
    started=datetime(2026, 5, 4, tzinfo=UTC),
    stages=(StageTime(stage="gather", seconds=1.5),),
)
CARDS = "".join(f"{card:80}" for card in ("SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 0", "END"))
FITS = CARDS.ljust(2880).encode()
INPUTS = (Input(name="a", file_id="a.tgz", version=1, size=2, checksum=None, server=None, seconds=0),)


@pytest.fixture
def area(tmp_path: Path) -> Area:
    with (area := Area(tmp_path / "area")).held(MOUS):
        return area


@pytest.fixture
def plan(archived: Archived) -> Plan:
    archived.put_all()
    return archived.plan()


def restored(area: Area, plan: Plan, outcome: Outcome = Outcome.SUCCESS) -> tuple[Tree, tuple[BlockRecord, ...]]:
    """Do what gathering and CASA would have done."""
    tree = area.attempt(MOUS, plan.key, plan.observation.project_code, plan.relative_path)
    write_request(plan, tree, "LOCAL", "ppi")
    for file in plan.products:
        (tree.products / file.name).write_text(file.name)
    return tree, tuple(_finish(tree, block.uid, outcome) for block in plan.blocks)


def imaged(area: Area, plan: Plan) -> tuple[Plan, Tree, tuple[BlockRecord, ...], tuple[Image, ...]]:
    """Do what the pipeline would have done where images are asked for."""
    asked = plan.model_copy(update={"procedure": IMAGE})
    tree, blocks = restored(area, asked)
    with images.exporting(tree) as directory:
        (tree.products / "target.cont.fits").write_bytes(FITS)
    return asked, tree, blocks, images.take(directory, tree, MOUS).images


def _finish(tree: Tree, uid: EntityId, outcome: Outcome) -> BlockRecord:
    vis, folder = f"{uid.file_form}.ms", tree.finished(uid.file_form)
    for name in (vis, f"{vis}.flagversions"):
        (folder / name).mkdir(parents=True)
        (folder / name / "table.dat").write_text(name)
    for name in ("casa.log", "steps.jsonl", "stdout.txt", "stderr.txt", f"{vis}.png"):
        (folder / name).write_text(name)
    ended = Exit(status=0, signal=None, timed_out=False, wall_seconds=1, cpu_seconds=1, peak_rss_bytes=1)
    reasons = () if outcome is Outcome.SUCCESS else (f"mind {vis}",)
    return BlockRecord(
        uid=uid, vis=vis, session="session_1", proof=None, steps=(), exit=ended,
        verdict=Verdict(outcome=outcome, reasons=reasons),
    )  # fmt: skip


def test_the_history_is_that_of_the_delivery(area: Area, plan: Plan) -> None:
    tree, blocks = restored(area, plan)
    done = deliver(plan, tree, RUN, INPUTS, blocks)
    assert done.path == area.destination("2017.1.00886.L", MOUS)
    assert "<html" in done.report.read_text()
    history = done.provenance
    assert delivered(done.path, plan.key) == history
    assert (history.observation, history.key, history.executor) == (MOUS, plan.key, "casatasks")
    assert (history.profile, history.flow_run, history.stages) == (RUN.profile, RUN.flow_run, RUN.stages)
    assert (history.inputs, history.blocks) == (INPUTS, blocks)
    (request,) = done.path.glob("script/PPR_*.xml")
    assert history.ppr_sha256 == hashlib.sha256(request.read_bytes()).hexdigest()
    assert history.verdict == Verdict(outcome=Outcome.SUCCESS)
    assert {path.name for path in area.root.iterdir()} == {".locks", "delivered"}, "the attempt is cleared away"


def test_the_verdict_tells_what_the_plan_and_each_execution_block_gave_reason_for(
    area: Area, archived: Archived
) -> None:
    archived.sessions = ((FIRST, THIRD), (), (SECOND,))
    archived.put_all()
    plan = archived.plan()
    tree, blocks = restored(area, plan, Outcome.CAVEATS)
    verdict = deliver(plan, tree, RUN, INPUTS, blocks).provenance.verdict
    assert verdict.outcome is Outcome.CAVEATS
    assert verdict.reasons == (*plan.caveats, *(f"mind {block.vis}" for block in blocks))
    assert len(plan.caveats) == 1


def test_images_are_delivered_beside_the_measurement_sets_that_they_are_of(area: Area, plan: Plan) -> None:
    asked, tree, blocks, made = imaged(area, plan)
    done = deliver(asked, tree, RUN, INPUTS, blocks)
    assert [image.name for image in made] == ["target.cont.fits"]
    assert (done.provenance.images, done.provenance.procedure) == (made, "hifa_image")
    assert (done.path / "images" / "target.cont.fits").read_bytes() == FITS
    assert [path.name for path in (done.path / "images").iterdir()] == ["target.cont.fits"]
    assert done.provenance.verdict.reasons == (
        "the pipeline left no manifest of its images: whether one is missing is not known",
    )
    assert "target.cont.fits" in done.report.read_text()
    assert delivered(done.path, plan.key) == done.provenance, "it is the delivery of a restore as well"


def test_a_delivery_with_images_takes_the_place_of_one_without_and_not_the_other_way(
    area: Area, plan: Plan
) -> None:
    plain = deliver(plan, *_of(restored(area, plan)))
    asked, tree, blocks, _ = imaged(area, plan)
    assert delivered(plain.path, asked.key) is None
    done = deliver(asked, tree, RUN, INPUTS, blocks)
    assert done.path == plain.path
    assert delivered(done.path, asked.key) == delivered(done.path, plan.key) == done.provenance


def _of(attempt: tuple[Tree, tuple[BlockRecord, ...]]) -> tuple[Tree, Run, Any, tuple[BlockRecord, ...]]:
    return attempt[0], RUN, INPUTS, attempt[1]


def test_nothing_is_delivered_where_images_are_gone(area: Area, plan: Plan) -> None:
    asked, tree, blocks, _ = imaged(area, plan)
    (tree.exported / "target.cont.fits").unlink()
    with pytest.raises(Failed, match="the images of"):
        deliver(asked, tree, RUN, INPUTS, blocks)
    assert not area.destination("2017.1.00886.L", MOUS).exists()


class Interrupted(BaseException):
    """As Ctrl-C would."""


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    ("kind", "step"),
    [
        *((Staging, name) for name in ("begin", "take_products", "take_block", "take_images", "finish")),
        (Area, "discard"),
    ],
)
def test_a_delivery_that_was_interrupted_is_done_again(
    area: Area, plan: Plan, monkeypatch: pytest.MonkeyPatch, kind: type[Any], step: str, after: bool
) -> None:
    plan, tree, blocks, made = imaged(area, plan)
    whole = getattr(kind, step)

    def interrupted(*given: Any) -> None:
        if after:
            whole(*given)
        raise Interrupted

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(kind, step, interrupted)
        deliver(plan, tree, RUN, INPUTS, blocks)
    done = _again(area, plan, tree, blocks)
    assert (done.provenance.blocks, done.provenance.images) == (blocks, made)
    assert (done.path / "images" / "target.cont.fits").read_bytes() == FITS
    assert {path.name for path in area.root.iterdir()} == {".locks", "delivered"}
    assert [path.name for path in done.path.parent.iterdir()] == [done.path.name]
    for block in blocks:
        assert (done.path / "calibrated" / block.vis / "table.dat").read_text() == block.vis


def _again(area: Area, plan: Plan, tree: Tree, blocks: tuple[BlockRecord, ...]) -> Delivered:
    """Do as the flow does."""
    destination = area.destination(plan.observation.project_code, MOUS)
    if history := delivered(destination, plan.key):
        area.discard(MOUS, plan.key, plan.observation.project_code, history.finished)
        return Delivered(path=destination, provenance=history)
    assert area.attempt(MOUS, plan.key, plan.observation.project_code, plan.relative_path) == tree
    return deliver(plan, tree, RUN, INPUTS, blocks)

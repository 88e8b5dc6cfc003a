"""A delivery is whole or not in its place, at whichever moment its maker is killed, and is always the same."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from killed_moments import moments
from workspace_examples import BLOCKS, KEY, MOUS, PROJECT, block, content, provenance, restored

from tasks.errors import Failed
from tasks.workspace.delivery import Staging, delivered
from tasks.workspace.layout import Area, Tree
from tasks.workspace.provenance import BlockRecord


@pytest.fixture
def area(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Area:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    with (area := Area(tmp_path / "area")).held(MOUS):
        return area


def deliver(area: Area, tree: Tree, blocks: tuple[BlockRecord, ...]) -> Path:
    staging = Staging(tree, area.destination(PROJECT, MOUS))
    staging.begin()
    (request,) = tree.working.glob("PPR_*.xml")
    staging.take_products([path.name for path in sorted(tree.products.iterdir())], request)
    for record in blocks:
        staging.take_block(record.vis)
    staging.finish(provenance(*blocks), "<html>the report</html>")
    return staging.destination


def test_a_delivery_has_everything_in_its_room(area: Area) -> None:
    destination = deliver(area, *restored(area))
    assert {path.relative_to(destination).as_posix() for path in destination.glob("*/*")} == {
        *(f"calibrated/{uid.file_form}.ms{end}" for uid in BLOCKS for end in ("", ".flagversions")),
        f"calibration/{MOUS.file_form}.hifa_cal.pipeline_manifest.xml",
        f"calibration/{MOUS.file_form}.session_1.caltables.tgz",
        *(f"log/{uid.file_form}" for uid in BLOCKS),
        f"log/{MOUS.file_form}.hifa_cal.casa_commands.log",
        f"script/{MOUS.file_form}.hifa_cal.casa_pipescript.py",
        f"script/{MOUS.file_form}.hifa_cal.pprequest.xml",
        "script/PPR_uid___A001_X1284_X2660.xml",
        *(f"qa/{uid.file_form}.ms.png" for uid in BLOCKS),
        f"qa/{MOUS.file_form}.hifa_cal.weblog.tgz",
        "qa/report.html",
    }
    (log,) = destination.glob(f"log/{BLOCKS[0].file_form}/casa.log")
    assert log.read_text() == f"casa.log of {BLOCKS[0]}"
    assert (destination / "calibrated" / f"{BLOCKS[1].file_form}.ms" / "SUB" / "table.f0").is_file()
    assert delivered(destination, KEY) == provenance(*(block(uid) for uid in BLOCKS))


def test_a_delivery_is_the_same_at_whichever_moment_it_was_interrupted(area: Area) -> None:
    tree, blocks = restored(area, BLOCKS[:1])
    prepared = area.root.with_name("prepared")
    _put_older(area.destination(PROJECT, MOUS))
    shutil.copytree(area.root, prepared)
    expected = content(deliver(area, tree, blocks).parent)
    seen: set[str | None] = set()
    for _ in moments(lambda: deliver(area, tree, blocks)):
        found = delivered(area.destination(PROJECT, MOUS), KEY)
        seen.add(found and found.key)
        if not found:
            deliver(area, tree, blocks)
        assert content(area.destination(PROJECT, MOUS).parent) == expected
        shutil.rmtree(area.root)
        shutil.copytree(prepared, area.root)
    assert seen == {None, KEY}


def _put_older(destination: Path) -> None:
    (destination / "calibrated" / "older.ms").mkdir(parents=True)
    (destination / "provenance.json").write_text(provenance(key="of before").model_dump_json())


def test_a_delivery_with_another_key_is_not_the_one_asked_for(area: Area) -> None:
    destination = area.destination(PROJECT, MOUS)
    assert delivered(destination, KEY) is None
    _put_older(destination)
    assert delivered(destination, KEY) is None
    found = delivered(destination, "of before")
    assert found is not None
    assert found.key == "of before"


def test_a_delivery_is_put_together_in_its_attempt(area: Area) -> None:
    tree, _ = restored(area)
    staging = Staging(tree, area.destination(PROJECT, MOUS))
    staging.begin()
    assert staging.root.parent == tree.attempt
    assert list(staging.destination.parent.iterdir()) == []


def test_a_spoilt_provenance_is_named(area: Area) -> None:
    destination = area.destination(PROJECT, MOUS)
    destination.mkdir(parents=True)
    (destination / "provenance.json").write_text('{"key": "0123')
    with pytest.raises(Failed, match=r"provenance\.json.*Next: "):
        delivered(destination, KEY)

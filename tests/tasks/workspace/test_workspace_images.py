"""Images are taken whole or not at all, and no archived product is touched by whatever exports them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from killed_moments import moments
from workspace_examples import MOUS, attempt, content

from tasks import disk
from tasks.errors import Failed
from tasks.workspace import images
from tasks.workspace.images import Imaged
from tasks.workspace.layout import Area, Tree
from tasks.workspace.provenance import Image

CARDS = ("SIMPLE  =                    T", "BITPIX  =                    8", "NAXIS   =                    1",
         "NAXIS1  =                 2880", "END")  # fmt: skip
FITS = "".join(card.ljust(80) for card in CARDS).ljust(2880).encode() + bytes(range(240)) * 12
TABLES, FLAGS = "m.session_1.caltables.tgz", "eb.ms.flagversions.tgz"
MADE = {
    "m.cont.fits": FITS,
    "m.cube.fits": FITS.replace(b"\x07", b"\x08"),
    "m.weblog.tgz": b"weblog",
    TABLES: b"made anew",
}


def manifest(*names: str) -> bytes:
    listed = "".join(f'<image name="{name}" imtype="target"/>' for name in names)
    return f'<piperesults name="m"><ous name="m">{listed}</ous></piperesults>'.encode()


MANIFEST = {"m.hifa_image.pipeline_manifest.xml": manifest("m.cont.fits", "m.cube.fits")}


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """An attempt whose products are links to a store."""
    store = tmp_path / "store"
    store.mkdir()
    with (area := Area(tmp_path / "area")).held(MOUS):
        tree = attempt(area)
    for name in (TABLES, FLAGS):
        (store / name).write_text(f"archived {name}")
        (store / name).chmod(0o444)
        (tree.products / name).hardlink_to(store / name)
    return tree


def archived(tree: Tree) -> tuple[dict[str, bytes | None], ...]:
    return content(tree.root.parent / "store"), content(tree.products)


def exported(tree: Tree, made: dict[str, bytes]) -> Path:
    """Do as the pipeline would."""
    with images.exporting(tree) as directory:
        for name, data in made.items():
            (tree.products / name).write_bytes(data)
    return directory


def test_what_was_exported_is_taken_and_the_archive_is_as_it_was(tree: Tree) -> None:
    before = archived(tree)
    imaged = images.take(exported(tree, MADE | MANIFEST), tree, MOUS)
    assert archived(tree) == before
    assert before[0] == before[1]
    made = MADE | MANIFEST
    assert imaged == Imaged(
        images=tuple(
            Image(name=name, size=len(made[name]), sha256=hashlib.sha256(made[name]).hexdigest())
            for name in sorted(made)
        )
    )
    assert content(tree.exported) == made
    assert images.finished(tree) == imaged


def test_what_is_in_a_folder_is_listed_with_it(tree: Tree) -> None:
    with images.exporting(tree) as directory:
        (tree.products / "m.cont.fits").write_bytes(FITS)
        (tree.products / "aqua").mkdir()
        (tree.products / "aqua" / "report.xml").write_text("<x/>")
    imaged = images.take(directory, tree, MOUS)
    assert [image.name for image in imaged.images] == ["aqua/report.xml", "m.cont.fits"]


def test_without_a_manifest_it_is_not_known_whether_an_image_is_missing(tree: Tree) -> None:
    assert [each.split(":")[1] for each in images.take(exported(tree, MADE), tree, MOUS).caveats] == [
        " whether one is missing is not known"
    ]


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        ({}, "the pipeline exported no image"),
        ({"m.weblog.tgz": b"weblog"}, "the pipeline exported no image"),
        ({"m.cont.fits": b""}, "m.cont.fits: it is no FITS file"),
        (MADE | {"m.cube.fits": FITS[:-1]}, f"m.cube.fits: it has {len(FITS) - 1} bytes"),
        (MADE | {"pipeline_manifest.xml": manifest("m.cont.fits", "m.line.fits")}, "m.line.fits is not there"),
        (MADE | {"pipeline_manifest.xml": b"<pipe"}, "pipeline_manifest.xml: not well-formed"),
        (MADE | {"pipeline_manifest.xml": b"<other/>"}, "pipeline_manifest.xml: its root is other"),
    ],
)
def test_what_is_not_whole_is_a_failure_and_left_for_inspection(
    tree: Tree, made: dict[str, bytes], reason: str
) -> None:
    before, directory = archived(tree), exported(tree, made)
    with pytest.raises(Failed) as raised:
        images.take(directory, tree, MOUS)
    (said,) = raised.value.reasons
    assert said.startswith(reason)
    assert str(directory) in raised.value.todo
    assert content(directory / "files").items() >= made.items()
    assert images.finished(tree) is None
    assert archived(tree) == before


def test_a_pipeline_that_fails_leaves_the_archive_as_it_was(tree: Tree) -> None:
    before = archived(tree)
    with pytest.raises(Failed, match="the pipeline"), images.exporting(tree) as directory:
        (tree.products / TABLES).write_bytes(b"half")
        raise Failed("the pipeline")
    assert archived(tree) == before
    assert (directory / "files" / TABLES).read_bytes() == b"half"


def test_the_store_is_untouched_and_images_are_whole_whenever_it_is_killed(tree: Tree) -> None:
    store, seen = archived(tree)[0], set()
    for _ in moments(lambda: images.take(exported(tree, MADE | MANIFEST), tree, MOUS)):
        found = images.finished(tree)
        seen.add(found is not None)
        assert content(tree.root.parent / "store") == store
        _gather_anew(tree)
        if not found:
            images.take(exported(tree, MADE | MANIFEST), tree, MOUS)
        assert content(tree.exported) == MADE | MANIFEST
        disk.remove(tree.images)
    assert seen == {False, True}


def _gather_anew(tree: Tree) -> None:
    """Do as gathering and the clearing before a run of the pipeline do."""
    disk.remove(tree.products)
    tree.products.mkdir()
    for path in (tree.root.parent / "store").iterdir():
        (tree.products / path.name).hardlink_to(path)


@pytest.mark.parametrize(
    "spoil", [lambda path: path.unlink(), lambda path: path.write_bytes(FITS[:-1])], ids=["gone", "shorter"]
)
def test_images_that_are_not_all_there_any_more_are_not_finished(
    tree: Tree, spoil: Callable[[Path], object]
) -> None:
    images.take(exported(tree, MADE | MANIFEST), tree, MOUS)
    spoil(tree.exported / "m.cont.fits")
    assert images.finished(tree) is None

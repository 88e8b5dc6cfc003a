"""What operators are told of a cluster, in docs/cluster.md, is what is done."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from blocks.profile import Resources
from tasks.cluster import budget, description, dispatcher, watch
from tasks.cluster.fate import Kind
from tasks.cluster.tag import Tag, own
from tasks.cluster.tasks import CLASS_OF_STAGE, MOST_JOBS

DOCUMENT = (Path(__file__).parents[3] / "docs" / "cluster.md").read_text()
TEXT = " ".join(DOCUMENT.split())


@pytest.mark.parametrize(
    ("kind", "row"),
    [
        (Kind.EVICTED, "is evicted"),
        (Kind.REMOVED, "is removed"),
        (Kind.HELD, "is held"),
        (Kind.ENDED, "ends, or is killed"),
        (Kind.VANISHED, "is not heard"),
    ],
)
def test_budgets(kind: Kind, row: str) -> None:
    (told,) = re.findall(rf"^\| {row}.*\| (\d+) times \|$", DOCUMENT, re.MULTILINE)
    assert budget._LOSSES[kind] == int(told)


def test_times_and_numbers() -> None:
    assert f"({MOST_JOBS} if it is not set)" in TEXT
    assert f"is not heard for {watch._SILENT_SECONDS:.0f} s" in TEXT
    assert f"After {watch._AWAY_SECONDS / 60:.0f} minutes without an answer" in TEXT
    assert f"After {watch._TOLD_SECONDS:.0f} s the run's log says it" in TEXT
    assert (watch._HOPELESS_SECONDS, dispatcher._SPARE_SECONDS) == (300.0, 10.0)
    assert (dispatcher._UNBORN, dispatcher._REFUSALS) == (3, 3)
    assert (budget._GROWTH, description._MARGIN) == (2, 0.05)


def test_classes_and_their_keys() -> None:
    assert dict(re.findall(r"^\| (gather|process|finish) \| `(\w+)`", DOCUMENT, re.MULTILINE)) == CLASS_OF_STAGE
    table = DOCUMENT.partition("## What does a class ask for?")[2].partition("\n\n**")[0]
    keys = {re.sub(r"[A-Z]", lambda letter: f"_{letter[0].lower()}", key) for key in re.findall(r"`(\w+)`", table)}
    assert set(Resources.model_fields) <= keys


def test_every_attribute_of_ours_in_an_ad() -> None:
    tag = Tag("p", "", "", "f", "s", "r", "c", own("h", 1))
    told = set(re.findall(r"`(PPI\w+)`", DOCUMENT))
    assert told == {*tag.attributes(), "PPIName"}


def test_every_link_leads_somewhere() -> None:
    anchors = {
        re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.*)", DOCUMENT, re.M)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", DOCUMENT)) <= anchors
    folder = Path(__file__).parents[3] / "docs"
    files = {link.partition("#")[0] for link in re.findall(r"\]\(([^#)][^)]*)\)", DOCUMENT)}
    assert [name for name in files if not (folder / name).is_file()] == []

"""Why a run failed, as its own page says it: the reason, what is next, and links to what CASA said in this run."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from tasks.errors import Failed, Missing
from tasks.report import failure
from tasks.workspace.casalogs import is_log
from tasks.workspace.layout import Tree

MOUS = "uid://A001/X1284/X265f"
BEGUN = datetime(2026, 11, 21, 12, tzinfo=UTC)
RELATIVE = "p [1]_2026/SOUS_a/GOUS_b/MOUS_c"


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """An attempt at which two runs have worked."""
    made = Tree(tmp_path, RELATIVE, BEGUN)
    logs = ("attempts/x.1/casa.log", "attempts/x.2/casa.log", "attempts/x.2/stderr.txt", "casa.log")
    for minutes, name in zip((-10, 10, 20, 30), logs, strict=True):
        path = made.working / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("" if name == "casa.log" else "said")
        at = (BEGUN + timedelta(minutes=minutes)).timestamp()
        os.utime(path, (at, at))
    return made


def rendered(text: str) -> str:
    return MarkdownIt("commonmark", {"html": False}).render(text)


def test_the_logs_of_this_run_are_linked_the_last_first(tree: Tree) -> None:
    todo = f"read {tree.working}/attempts/x.2/casa.log"
    error = Failed("the restore of *X1*", todo=todo, reasons=("SEVERE in <b>log</b>", "rows missing"))
    page = rendered(failure.markdown(MOUS, error, tree, BEGUN, "http://here/reports/"))
    assert f"<h1>Failed: {MOUS}</h1>" in page
    assert "the restore of *X1*" in page
    assert "<li>SEVERE in &lt;b&gt;log&lt;/b&gt;</li>" in page
    assert "read …/working/attempts/x.2/casa.log" in page
    links = [part.partition('"')[0] for part in page.split('href="')[1:]]
    at = "http://here/reports/attempts/p%20%5B1%5D_2026/SOUS_a/GOUS_b/MOUS_c/working/attempts"
    assert links == [f"{at}/x.2/stderr.txt", f"{at}/x.2/casa.log"]


def test_without_pages_the_logs_are_named(tree: Tree) -> None:
    page = rendered(failure.markdown(MOUS, Missing("a file", "it is gone"), tree, BEGUN, None))
    assert "href" not in page
    assert f"<li>{tree.working}/attempts/x.2/casa.log</li>" in page


def test_what_never_came_to_casa_has_no_logs() -> None:
    page = rendered(failure.markdown(MOUS, ValueError("no"), None, BEGUN, "http://here"))
    assert "<h1>ValueError" in page
    assert "CASA" not in page


@pytest.mark.parametrize(
    ("path", "is_one"),
    [
        ("p/SOUS_a/GOUS_b/MOUS_c/working/casa.log", True),
        ("p/SOUS_a/GOUS_b/MOUS_c/working/casa-20261120-184000.log", True),
        ("p/SOUS_a/GOUS_b/MOUS_c/working/attempts/x.1/stderr.txt", True),
        ("p/SOUS_a/GOUS_b/MOUS_c/working/uid___A/casa.log", True),
        ("p/SOUS_a/GOUS_b/MOUS_c/rawdata/casa.log", False),
        ("p/SOUS_a/GOUS_b/MOUS_c/working/a/b/c/casa.log", False),
        ("p/SOUS_a/GOUS_b/MOUS_c/working/casa.log\n", False),
        ("SOUS_a/GOUS_b/MOUS_c/working/casa.log", False),
        ("p/SOUS_a/GOUS_b/MOUS_c/working/provenance.json", False),
    ],
)
def test_a_log_is_known_by_its_path(path: str, is_one: bool) -> None:
    assert is_log(path) is is_one

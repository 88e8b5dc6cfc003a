"""What of a delivery is archived, and what is refused before anything is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ingest_examples import FITS, KEY, MOUS, NAMES, PREFIX, PROJECT, VIS, block, deliver

from tasks.casa.verdict import Outcome, Verdict
from tasks.errors import Failed, Missing, Refused
from tasks.ingest.consignment import Consignment, look_at
from tasks.workspace.layout import Area
from tasks.workspace.provenance import Image

FAULTY = Verdict(outcome=Outcome.FAILED, reasons=("12 rows, but Main.xml promises 13",))


@pytest.fixture
def area(tmp_path: Path) -> Area:
    return Area(tmp_path / "area")


def seen(area: Area, key: str | None = None) -> Consignment:
    return look_at(area, MOUS, "site-test", key)


def test_all_that_was_made_is_archived_and_what_came_from_the_archive_is_not(area: Area) -> None:
    place = deliver(area)
    found = seen(area)
    assert sorted(product.file_id for product in found.products) == NAMES
    assert found.products[-1].path == "provenance.json"
    assert {product.path: product.size for product in found.products if not product.members} == {
        path: (place / path).stat().st_size for path in (f"images/{FITS}", "qa/report.html", "provenance.json")
    }
    assert all(product.content(place).size == product.size for product in found.products)
    assert (found.delivery.observation, found.delivery.project, found.delivery.key) == (MOUS, PROJECT, KEY)
    assert [lot.name for lot in found.lots] == [block().uid, "images", "log", "script", "report.html"]


def test_the_same_delivery_is_the_same_consignment_and_one_made_anew_is_another(area: Area) -> None:
    deliver(area)
    before = seen(area)
    assert seen(area) == before
    deliver(area, ppi_version="0.2.0")
    assert seen(area).delivery.provenance != before.delivery.provenance


def test_what_is_not_delivered_is_not_archived(area: Area) -> None:
    with pytest.raises(Missing, match="restore it first"):
        seen(area)
    area.destination(PROJECT, MOUS).mkdir(parents=True)
    with pytest.raises(Missing):
        seen(area)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"verdict": FAULTY}, "promises 13"),
        ({"blocks": (block(verdict=FAULTY),)}, "promises 13"),
        ({"blocks": ()}, "no execution block"),
        ({"observation": "uid://A001/X1284/X2660"}, "X2660"),
        ({"images": tuple(Image(name=n, size=9, sha256="") for n in (FITS, FITS))}, "two files"),
        ({"images": (Image(name=FITS, size=9, sha256=""), Image(name=FITS, size=9, sha256=""))}, "two files"),
    ],
)
def test_what_is_not_proven_or_not_itself_is_refused(area: Area, changes: dict[str, Any], why: str) -> None:
    deliver(area, **changes)
    with pytest.raises(Refused, match=why):
        seen(area)


def test_caveats_do_not_keep_it_from_the_archive(area: Area) -> None:
    deliver(area, verdict=Verdict(outcome=Outcome.CAVEATS, reasons=("flagged by hand",)))
    assert len(seen(area).products) == len(NAMES)


def test_a_certain_delivery_is_archived_or_none(area: Area) -> None:
    deliver(area, covers=("abcd",))
    assert seen(area, KEY) == seen(area, "abcd") == seen(area)
    with pytest.raises(Refused, match="and not another"):
        seen(area, "another")


def test_what_lies_in_two_projects_is_refused(area: Area) -> None:
    place = deliver(area)
    other = area.deliveries / "2018.1.00001.S" / place.name
    other.mkdir(parents=True)
    (other / "provenance.json").touch()
    with pytest.raises(Refused, match="several"):
        seen(area)


@pytest.mark.parametrize("name", [f"calibrated/{VIS}/table.dat", f"images/{FITS}", "qa/report.html"])
def test_a_delivery_that_is_not_whole_is_not_archived(area: Area, name: str) -> None:
    place = deliver(area)
    path = place / name
    path.unlink()
    if path.parent.suffix == ".ms":
        (path.parent / "ANTENNA" / "table.f0").unlink()
        (path.parent / "ANTENNA").rmdir()
        path.parent.rmdir()
    with pytest.raises(Missing):
        seen(area)


def test_an_image_that_is_not_the_delivered_one_is_not_sent(area: Area) -> None:
    place = deliver(area)
    (place / "images" / FITS).write_text("XIMPLE  =")
    (image,) = (product for product in seen(area).products if product.path == f"images/{FITS}")
    with pytest.raises(Failed, match="not what was delivered"):
        image.content(place)


def test_a_provenance_that_cannot_be_read_is_named(area: Area) -> None:
    (deliver(area) / "provenance.json").write_text("{}")
    with pytest.raises(Failed, match=r"provenance\.json"):
        seen(area)


def test_a_name_that_is_too_long_is_refused(area: Area) -> None:
    name = "x" * 230 + ".fits"
    place = deliver(area, images=(Image(name=name, size=1, sha256=""),))
    (place / "images" / name).write_text("x")
    assert len(f"{PREFIX}.images.{name}") > 256
    with pytest.raises(Refused, match="more than 256"):
        seen(area)

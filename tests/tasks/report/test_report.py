"""The report: everything that was found is on it, nothing on it reaches out, and no name can take it over."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import html
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tasks.casa.launch import Exit
from tasks.casa.proof import FieldFlags, Proof, Reference
from tasks.casa.request import StepTime
from tasks.casa.verdict import Outcome, Verdict, worst
from tasks.report import markdown, render
from tasks.workspace.provenance import BlockRecord, Image, Input, Provenance, StageTime

PNG = b"\x89PNG\r\n\x1a\n not really"
HOSTILE = (
    "x|y <script>alert(1)</script> [a](http://e.org) ![i](x) https://e.org www.e.org `c` *b* &lt; me@e.org \\| \"'"
)
SUCCESS = Verdict(outcome=Outcome.SUCCESS)


def flags(fields: int = 2, spws: int = 2, **changes: Any) -> tuple[FieldFlags, ...]:
    entry = FieldFlags(field="", spw=0, archived=0.031, restored=0.042, lost=0, calibrated=True)
    return tuple(
        entry.model_copy(update={"field": f"field {field}", "spw": 16 + 2 * spw, **changes})
        for spw in range(spws)
        for field in range(fields)
    )


def proof(number: int = 1, **changes: Any) -> Proof:
    vis = f"uid___A002_X1_X{number:x}.ms"
    whole = Proof(
        vis=vis, rows=12_345, has_corrected=True, flags=flags(), by_antenna={"DA41": 0.25}, by_spw={"16": 0.75},
        reference=Reference.EQUAL, figures=(f"{vis}.png",),
    )  # fmt: skip
    return whole.model_copy(update=changes)


def block(number: int = 1, **changes: Any) -> BlockRecord:
    whole = BlockRecord(
        uid=f"uid://A002/X1/X{number:x}",
        vis=f"uid___A002_X1_X{number:x}.ms",
        session="session_3",
        verdict=SUCCESS,
        proof=proof(number),
        steps=(StepTime(step="import", seconds=4.2), StepTime(step="calibrate", seconds=8.4)),
        exit=Exit(
            status=0, signal=None, timed_out=False, wall_seconds=14.2, cpu_seconds=21.7, peak_rss_bytes=712_000_000
        ),
    )
    return whole.model_copy(update=changes)


def record(*blocks: BlockRecord, **changes: Any) -> Provenance:
    started = datetime(2026, 5, 4, 14, 3, 11, tzinfo=UTC)
    whole = Provenance(
        observation="uid://A001/X1284/X265f", project="2017.1.00886.L", profile="local", flow_run=None, key="f00d",
        started=started, finished=started + timedelta(seconds=65), ppi_version="0.1.0", casa_version="6.7.0.31",
        calibrated_with="5.1.1-5", executor="casatasks", recipe="hifa_restoredata", ppr_sha256="beef",
        inputs=(
            Input(name="a", file_id="a.tar", version=2, size=30_000_000, checksum="crc32:123", server="n1:7777",
                  seconds=0.5),
            Input(name="b", file_id="b.tgz", version=1, size=1_000_000, checksum=None, server=None, seconds=0),
        ),
        blocks=blocks, stages=(StageTime(stage="gather", seconds=3.0), StageTime(stage="process", seconds=60.0)),
        verdict=worst(tuple(block.verdict for block in blocks)),
    )  # fmt: skip
    return whole.model_copy(update=changes)


def failed() -> BlockRecord:
    ended = Exit(status=None, signal=9, timed_out=False, wall_seconds=5, cpu_seconds=4, peak_rss_bytes=1)
    verdict = Verdict(outcome=Outcome.FAILED, reasons=("it was killed by signal 9",))
    steps = (StepTime(step="import", seconds=4.2), StepTime(step="flags", seconds=None))
    return block(9, proof=None, verdict=verdict, exit=ended, steps=steps)


def page(provenance: Provenance, pictures: dict[str, bytes] | None = None) -> html.HtmlElement:
    return html.document_fromstring(render(provenance, pictures or {}))


def text(element: html.HtmlElement) -> str:
    return " ".join(" ".join(element.xpath("//body//text()")).split())


def tokens(document: str) -> Iterator[Token]:
    for token in MarkdownIt("commonmark").enable("table").parse(document):
        yield token
        yield from token.children or ()


def cells(document: str) -> list[str]:
    inside = [after for before, after in pairwise(tokens(document)) if before.type == "td_open"]
    return ["".join(child.content for child in cell.children or ()) for cell in inside]


def test_page_shows_everything_that_was_recorded() -> None:
    said = text(page(record(block(1), block(2))))
    for expected in (
        "uid://A001/X1284/X265f", "2017.1.00886.L", "✓ Success", "local", "casatasks", "5.1.1-5", "f00d", "beef",
        "2026-05-04 14:03:11 UTC", "1 min 05 s", "gather 3.0 s", "import 4.2 s", "712.0 MB", "21.7 s",
        "exit status 0", "uid___A002_X1_X2.ms", "session_3", "12,345", "DA41 25.0 %", "Spw 18",
        "4.2 % 3.1 % archived", "crc32:123", "n1:7777", "60.0 MB/s", "calibrated/",
        "size only: no checksum archived", "CORRECTED_DATA",
        "2 of 2 execution blocks bitwise equal to the archived reference.",
        "1 file (30.0 MB) fetched at 60.0 MB/s each on average; 1 file (1.0 MB) already in the store",
    ):  # fmt: skip
        assert expected in said


def test_how_the_files_came_is_told_of_each_and_of_all() -> None:
    fetched = Input(name="a", file_id="a.tar", version=1, size=30_000_000, checksum="crc32:1", server="n1:7777",
                    seconds=2, attempts=3, resumed_from=10_000_000)  # fmt: skip
    copied = fetched.model_copy(update={"attempts": 1, "resumed_from": 0, "method": "copy", "size": 40_000_000})
    held = Input(name="b", file_id="b.tgz", version=1, size=1_000_000, checksum=None)
    said = text(page(record(block(), inputs=(fetched, copied, held))))
    for expected in (
        "Over the wire 20.0 MB Copied by the archive 40.0 MB From the store 1.0 MB",
        "Left by an interrupted run 10.0 MB Wall time of the stage 3.0 s Mean rate of the stage 20.0 MB/s",
        "a.tar 1 30.0 MB crc32:1 stream, resumed from 10.0 MB, 3 attempts n1:7777 2.0 s 10.0 MB/s",
        "a.tar 1 40.0 MB crc32:1 copy n1:7777 2.0 s 20.0 MB/s",
        "b.tgz 1 1.0 MB size only: no checksum archived store — —",
    ):
        assert expected in said
    only_held = text(page(record(block(), inputs=(held,))))
    assert "From the store 1.0 MB" in only_held
    assert "Over the wire" not in only_held
    assert "Mean rate" not in only_held


def test_a_record_of_an_older_version_is_read_and_shown() -> None:
    new = ("attempts", "resumed_from", "method")
    written = record(block()).model_dump(mode="json")
    written["inputs"] = [{key: of[key] for key in of if key not in new} for of in written["inputs"]]
    old = Provenance.model_validate(written)
    assert [(item.attempts, item.method, item.moved) for item in old.inputs] == [
        (0, "stream", 30_000_000), (0, "stream", 0),
    ]  # fmt: skip
    assert "crc32:123 stream n1:7777 0.5 s 60.0 MB/s" in text(page(old))


def test_images_are_listed_with_what_proves_them() -> None:
    images = (
        Image(name="m.cont.fits", size=30_000_000, sha256="c0ffee"),
        Image(name="m.weblog.tgz", size=7, sha256="bad"),
    )
    provenance = record(block(), images=images, procedure="hifa_image")
    said = text(page(provenance))
    for expected in (
        "1 image, and 1 more file (30.0 MB)", "m.cont.fits 30.0 MB c0ffee", "m.weblog.tgz 7 Bytes bad",
        "hifa_image", "The images are FITS files in images/",
    ):  # fmt: skip
        assert expected in said
    assert "1 image, and 1 more file (30.0 MB)." in markdown(provenance)
    assert "Images" not in text(page(record(block())))
    assert "0 images" not in markdown(record(block()))


def test_every_execution_block_has_a_row_that_leads_to_its_details() -> None:
    document = page(record(*(block(number) for number in range(1, 8))))
    for link in document.xpath("//tbody//a"):
        (target,) = document.xpath("//*[@id=$id]", id=link.get("href").removeprefix("#"))
        assert link.text_content() in target.getparent().text_content()
    assert len(document.xpath("//tbody//a")) == 7


def test_nothing_is_loaded_and_nothing_runs() -> None:
    document = page(record(block(), failed()), {"uid___A002_X1_X1.ms.png": PNG})
    references = document.xpath("//@src | //@href | //@srcset | //@action | //@data | //@poster")
    assert references
    assert all(reference.startswith(("data:", "#")) for reference in references)
    assert not document.xpath(
        "//script | //iframe | //object | //embed | //form | //@*[starts-with(name(), 'on')]"
    )
    assert not re.search(r"url\(|@import|https?:", document.xpath("string(//style)"))
    (policy,) = document.xpath("//meta[@http-equiv='Content-Security-Policy']/@content")
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'")


def test_pictures_are_embedded_with_words_and_a_missing_one_is_named() -> None:
    document = page(record(block(1), block(2)), {"uid___A002_X1_X1.ms.png": PNG})
    (picture,) = document.xpath("//img")
    assert picture.get("src").startswith("data:image/png;base64,iVBORw0KGgo")
    assert "uid___A002_X1_X1.ms" in picture.get("alt")
    assert "The picture uid___A002_X1_X2.ms.png is not there." in text(document)


def test_a_failed_record_says_so_and_why_and_where_it_stopped() -> None:
    document = page(record(block(1), failed()))
    said = text(document)
    (badge,) = document.xpath("//*[contains(@class, 'badge')]")
    assert "Failed" in badge.text_content()
    assert "it was killed by signal 9 uid://A002/X1/X9" in said
    assert "flags did not end" in said
    assert "1 of 2 execution blocks bitwise equal to the archived reference; 1 not proven." in said
    assert "Do not use it" in said
    assert "datacolumn" not in said


def test_a_record_without_execution_blocks_proves_nothing() -> None:
    provenance = record(inputs=(), stages=())
    said = text(page(provenance))
    assert "Nothing was processed, so nothing is proven." in said
    assert "Nothing was fetched" in said
    assert "nothing was processed" in markdown(provenance)


def test_caveats_are_given_once_with_the_execution_blocks_that_have_them() -> None:
    verdict = Verdict(outcome=Outcome.CAVEATS, reasons=("calibrated with CASA 5.1.1-5, restored with 6.7.0.31",))
    few = text(page(record(*(block(number, verdict=verdict) for number in (1, 2)))))
    many = text(page(record(*(block(number, verdict=verdict) for number in range(1, 6)))))
    assert "! Success with caveats" in few
    assert f"{verdict.reasons[0]} uid://A002/X1/X1, uid://A002/X1/X2" in few
    assert f"{verdict.reasons[0]} 5 execution blocks" in many
    assert (
        markdown(record(*(block(number, verdict=verdict) for number in range(1, 6)))).count("calibrated with") == 1
    )


def test_many_reasons_are_folded_but_all_there() -> None:
    reasons = tuple(f"SEVERE in the log: line {number}" for number in range(30))
    provenance = record(block(verdict=Verdict(outcome=Outcome.FAILED, reasons=reasons)))
    said = text(page(provenance))
    assert "22 more" in said
    assert all(reason in said for reason in reasons)
    assert "and 18 more: see the report" in "".join(token.content for token in tokens(markdown(provenance)))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"reference": Reference.EQUAL}, "1 of 1 execution block bitwise equal to the archived reference"),
        ({"reference": Reference.DIFFERENT, "unequal": ("FLAG",)}, "1 of 1 execution block different from"),
        ({"reference": Reference.ABSENT}, "without an archived reference: rows, flags and calibration checked"),
        (
            {"reference": Reference.ABSENT, "flags": flags(archived=None)},
            "reference: rows and calibration checked",
        ),
        (
            {"reference": Reference.ABSENT, "flags": (), "has_corrected": False},
            "1 of 1 execution block not proven",
        ),
    ],
)
def test_what_was_proven_is_said_and_no_more(changes: dict[str, Any], said: str) -> None:
    provenance = record(block(proof=proof(**changes)))
    assert said in text(page(provenance))
    assert said in markdown(provenance)


def test_a_failed_block_without_a_reference_is_not_called_checked() -> None:
    verdict = Verdict(outcome=Outcome.FAILED, reasons=("10 rows, but Main.xml promises 20",))
    provenance = record(block(verdict=verdict, proof=proof(reference=Reference.ABSENT)))
    assert "1 of 1 execution block not proven" in text(page(provenance))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"lost": 1834}, "7,336 archived flags lost"),
        ({"lost": 1834}, "1,834 lost"),
        ({"calibrated": False}, "0 of 4 seen to be calibrated"),
        ({"calibrated": False}, "not calibrated"),
        ({"calibrated": None}, "no unflagged sample"),
        ({"archived": None}, "no archived flags to compare with"),
        ({"restored": 0.00001}, "<0.1 % flagged"),
        ({"restored": 0.99999}, ">99.9 % flagged"),
        ({"restored": 1.0}, "100 % flagged"),
        ({"restored": 0.0}, "0 % flagged"),
    ],
)
def test_flags_that_are_not_as_they_should_be_stand_out(changes: dict[str, Any], said: str) -> None:
    assert said in text(page(record(block(proof=proof(flags=flags(**changes))))))


def test_fields_of_one_name_keep_a_row_each() -> None:
    mosaic = flags(fields=5, field="NGC 6822")
    (table,) = page(record(block(proof=proof(flags=mosaic)))).xpath("//table[@class='flags']")
    assert [row.text_content() for row in table.xpath(".//tbody//th")] == ["NGC 6822"] * 5
    assert len(table.xpath(".//tbody//td")) == 10


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"status": 1}, "exit status 1"),
        ({"status": None, "signal": 11}, "killed by signal 11"),
        ({"status": None, "signal": 15, "timed_out": True}, "ended at its time limit"),
        ({"status": None}, "ended in an unknown way"),
    ],
)
def test_how_casa_ended_is_said(changes: dict[str, Any], said: str) -> None:
    assert said in text(page(record(block(exit=block().exit.model_copy(update=changes)))))


def test_tables_have_headers_and_every_picture_words() -> None:
    document = page(record(block(), failed()), {"uid___A002_X1_X1.ms.png": PNG})
    assert document.get("lang") == "en"
    assert all(table.xpath(".//thead//th[@scope='col']") for table in document.xpath("//table"))
    assert all(row.xpath("./th[@scope='row']") for row in document.xpath("//tbody/tr"))
    assert all(picture.get("alt") for picture in document.xpath("//img"))
    identities = document.xpath("//@id")
    assert len(identities) == len(set(identities))


def test_text_can_be_read_on_its_ground_in_light_and_dark() -> None:
    style = page(record(block())).xpath("string(//style)")
    themes = [
        dict(re.findall(r"--([\w-]+): (#\w{6});", rules)) for rules in style.split("prefers-color-scheme")[:2]
    ]
    assert len(themes) == 2
    for colours in themes:
        pairs = [(ink, ground) for ink in ("ink", "soft", "link") for ground in ("card", "ground")]
        pairs += [(tone, f"{tone}-ground") for tone in ("good", "warn", "bad")]
        pairs += [(ink, f"{tone}-ground") for ink in ("ink", "soft") for tone in ("good", "warn", "bad")]
        pairs += [("bad", "card")]
        assert all(contrast(colours[ink], colours[ground]) >= 4.5 for ink, ground in pairs)


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of WCAG 2."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    parts = [value / 255 for value in bytes.fromhex(colour[1:])]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def hostile(name: str) -> Provenance:
    strange = proof(
        vis=name, flags=flags(field=name), by_antenna={name: 0.5}, figures=(name,), unequal=(name,),
        reference=Reference.DIFFERENT,
    )  # fmt: skip
    verdict = Verdict(outcome=Outcome.FAILED, reasons=(name,))
    steps = (StepTime(step=name, seconds=1.0),)
    image = Image(name=name, size=1, sha256=name)
    taken = Input(name=name, file_id=name, version=1, size=1, checksum=name, server=name, seconds=1)
    named = dict.fromkeys(
        ("observation", "project", "profile", "flow_run", "key", "ppi_version", "casa_version", "calibrated_with",
         "procedure", "executor", "recipe", "ppr_sha256"), name,
    )  # fmt: skip
    return record(
        block(uid=name, vis=name, session=name, verdict=verdict, proof=strange, steps=steps),
        inputs=(taken,), images=(image,), stages=(StageTime(stage=name, seconds=1.0),), **named,
    )  # fmt: skip


def test_hostile_names_are_only_text_on_the_page() -> None:
    ours, theirs = page(hostile("plain"), {"plain": PNG}), page(hostile(HOSTILE), {HOSTILE: PNG})
    assert [element.tag for element in theirs.iter()] == [element.tag for element in ours.iter()]
    assert [sorted(element.keys()) for element in theirs.iter()] == [
        sorted(element.keys()) for element in ours.iter()
    ]
    assert " ".join(HOSTILE.split()) in text(theirs)


def test_hostile_names_are_only_text_in_the_summary() -> None:
    ours, theirs = markdown(hostile("plain")), markdown(hostile(HOSTILE))
    kinds = {"heading_open", "table_open", "tr_open", "td_open", "list_item_open", "inline"}
    assert [t.type for t in tokens(theirs) if t.type in kinds] == [t.type for t in tokens(ours) if t.type in kinds]
    unwanted = {
        "link_open",
        "image",
        "html_inline",
        "html_block",
        "code_inline",
        "em_open",
        "strong_open",
        "fence",
    }
    assert not unwanted & {token.type for token in tokens(theirs)}
    assert cells(theirs)[0] == HOSTILE
    assert not re.search(r"https?:/|www\.|\w@", theirs)


@given(st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1))
def test_any_name_stays_in_its_cell(name: str) -> None:
    document = markdown(record(block(uid=name, session="s")))
    shown = cells(document)
    assert shown[0] == " ".join(name.split())
    assert shown[1] == "s"


def test_summary_is_short_and_without_pictures() -> None:
    document = markdown(record(block(1), failed()))
    assert "image" not in document
    assert cells(document) == [
        "uid://A002/X1/X1", "session_3", "success", "12,345", "bitwise equal", "14.2 s", "712.0 MB",
        "uid://A002/X1/X9", "session_3", "failed", "not known", "not measured", "5.0 s", "1 Byte",
        "gather", "3.0 s", "process", "1 min 00 s",
    ]  # fmt: skip


def test_sixty_execution_blocks_are_folded_and_rendered_within_a_second() -> None:
    blocks = tuple(block(number, proof=proof(number, flags=flags(6, 8))) for number in range(60))
    pictures = {name: PNG * 10_000 for entry in blocks if entry.proof for name in entry.proof.figures}
    started = time.perf_counter()
    rendered = render(record(*blocks), pictures)
    assert time.perf_counter() - started < 1
    document: html.HtmlElement = html.document_fromstring(rendered, parser=html.HTMLParser(huge_tree=True))
    assert len(document.xpath("//img")) == 60
    assert len(document.xpath("//details[contains(@class, 'block')][not(@open)]")) == 60
    assert len(document.xpath("//table[@class='flags']//td")) == 60 * 48

"""PPRs are written and read exactly, and what the pipeline would misread is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from lxml import etree
from ppr_examples import BLOCKS, MOUS, NAMESPACED, STAMP, pprs, seed_004
from pydantic import ValidationError

from tasks.errors import Refused
from tasks.ppr import RESTORE, Ppr, compose, differences, read, write
from tasks.ppr.model import DataSet


def _plain() -> Ppr:
    ppr = compose(seed_004(), RESTORE, stamp=STAMP, site="NAASC", operator="almapipe", execution_blocks=BLOCKS)
    return ppr.model_copy(update={"intents": (*ppr.intents, ("max_cube_size", "40.0"))})


DOCUMENT = write(_plain()).decode()


@given(pprs())
def test_the_round_trip_is_exact(ppr: Ppr) -> None:
    document = write(ppr)
    again = read(document)

    assert again == ppr
    assert write(again) == document
    assert differences(again, ppr) == ()


def test_the_written_form_is_the_plain_dialect() -> None:
    lines = DOCUMENT.splitlines()

    assert lines[0] == '<?xml version="1.0" encoding="UTF-8"?>'
    assert lines[1] == '<SciPipeRequest xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
    assert lines[2:4] == ["    <ProjectSummary>", "        <ProposalCode>2017.1.00886.L</ProposalCode>"]
    assert "                    <Value/>" in lines
    assert "                    <ParameterSet/>" in lines
    assert f"                            <AsdmDiskName>{BLOCKS[0].file_form}</AsdmDiskName>" in lines
    assert f'        <OUSStatusRef entityId="{MOUS}" entityTypeName="OUSStatus"/>' in lines
    assert DOCUMENT.count("<Keyword>") == sum("<Keyword>" in line for line in lines)
    assert "xmlns=" not in DOCUMENT
    assert [child.tag for child in etree.fromstring(DOCUMENT.encode())] == [
        "ProjectSummary",
        "ProjectStructure",
        "ProcessingRequests",
        "ResultsProcessing",
    ]


def test_the_namespaced_dialect_is_the_same_request() -> None:
    namespaced = read(NAMESPACED.encode())
    plain = compose(seed_004(), RESTORE, stamp=STAMP, site="NAASC", operator="almapipe", execution_blocks=BLOCKS)

    assert namespaced.entity is not None
    assert namespaced.summary.creation_time == "2019-01-02T03:04:05.678"
    assert namespaced.results.archive_results is True
    assert namespaced.session_of(BLOCKS[2]) == "session_3"
    assert differences(namespaced, plain) == ()
    assert read(write(namespaced)) == namespaced


def test_order_of_siblings_does_not_matter() -> None:
    root = etree.fromstring(DOCUMENT.encode())
    for element in root.iter("ProjectSummary", "ProjectStructure", "ProcessingRequest", "AsdmIdentifier"):
        element[:] = list(reversed(element))
    root[:] = list(reversed(root))

    assert read(etree.tostring(root)) == _plain()


def test_a_comment_between_elements_and_a_missing_title_are_borne() -> None:
    document = DOCUMENT.replace("<ProcedureTitle>hifa_restore</ProcedureTitle>", "<!-- no title -->")
    assert read(document.encode()).procedure.title == ""


_B = BLOCKS
MISREAD = {
    "empty title": ("<ObsUnitSetTitle>Undefined</ObsUnitSetTitle>", "<ObsUnitSetTitle/>"),
    "no title": ("<ObsUnitSetTitle>Undefined</ObsUnitSetTitle>", ""),
    "no code": ("<ProposalCode>2017.1.00886.L</ProposalCode>", "<ProposalCode></ProposalCode>"),
    "no project status": (
        '<ProjectStatusRef entityId="uid://A001/X1220/Xddd" entityTypeName="ProjectStatus"/>',
        "",
    ),
    "no mous": (f'entityId="{MOUS}"', ""),
    "mous with a blank": (f'entityId="{MOUS}"', f'entityId="{MOUS} "'),
    "mous in another form": (f'entityId="{MOUS}"', f'entityId="{MOUS.file_form}"'),
    "no parameter set": ("<ParameterSet/>", ""),
    "no asdm reference": ("AsdmRef>", "AsdmReference>"),
    "two paths": ("<RelativePath>", "<RelativePath>x</RelativePath><RelativePath>"),
    "two scheduling blocks": ("</SchedBlockIdentifier>", "</SchedBlockIdentifier><SchedBlockIdentifier/>"),
    "two sets": ("</SchedBlockSet>", "</SchedBlockSet><SchedBlockSet/>"),
    "two requests": ("</ProcessingRequest>", "</ProcessingRequest><ProcessingRequest/>"),
    "comment in a leaf": (">hifa_restoredata", ">hifa_restoredata<!-- the one -->"),
    "instruction in a leaf": (">hifa_restoredata", ">hifa_<?go now?>restoredata"),
    "element in a leaf": ("<Keyword>PROCESS<", "<Keyword>PROCESS<b/><"),
    "blank in a path": ("<RelativePath>", "<RelativePath> "),
    "line break in a path": ("/MOUS_", "/\nMOUS_"),
    "path that leaves": ("<RelativePath>", "<RelativePath>../"),
    "absolute path": ("<RelativePath>", "<RelativePath>/"),
    "blank in a disk name": (f"{_B[0].file_form}</Asdm", f"{_B[0].file_form}\n</Asdm"),
    "disk name of another": (f"{_B[0].file_form}</Asdm", f"{_B[1].file_form}</Asdm"),
    "block twice": (f">{_B[1]}</Exec", f">{_B[0]}</Exec"),
    "blank in a value": ("<Value>true", "<Value> true"),
    "blank value": ("<Value>true", "<Value> "),
    "blank in a keyword": ("<Keyword>SESSION_1<", "<Keyword>SESSION_1 <"),
    "comma": (f"{_B[0]} | {_B[1]}", f"{_B[0]},{_B[1]}"),
    "bar without blanks": (f"{_B[0]} | {_B[1]}", f"{_B[0]}|{_B[1]}"),
    "two blanks": (f"{_B[0]} | {_B[1]}", f"{_B[0]} |  {_B[1]}"),
    "block in two sessions": (f"{_B[0]} | {_B[1]}", f"{_B[0]} | {_B[1]} | {_B[2]}"),
    "block in no session": (f"{_B[0]} | {_B[1]}", str(_B[0])),
    "omitted session": ("<Keyword>SESSION_2<", "<Keyword>max_product_size<"),
    "omitted first session": ("<Keyword>SESSION_1<", "<Keyword>max_product_size<"),
    "session in small letters": ("<Keyword>SESSION_4<", "<Keyword>session_4<"),
    "session with a zero": ("<Keyword>SESSION_4<", "<Keyword>SESSION_04<"),
    "session twice": ("<Keyword>SESSION_2<", "<Keyword>SESSION_1<"),
    "no intents": ("ProcessingIntents>", "Intentions>"),
    "no commands": ("ProcessingCommand>", "Commands>"),
    "not a boolean": ("<CleanUpDisk>false", "<CleanUpDisk>0"),
    "another root": ("SciPipeRequest", "SciPipeResults"),
    "not well-formed": ("</SciPipeRequest>", ""),
    "control character": ("<Value>true", "<Value>tr\x01ue"),
}


@pytest.mark.parametrize("case", MISREAD)
def test_what_would_be_misread_is_refused(case: str) -> None:
    right, wrong = MISREAD[case]
    assert right in DOCUMENT
    read(DOCUMENT.encode())

    with pytest.raises(Refused) as caught:
        read(DOCUMENT.replace(right, wrong).encode())

    assert caught.value.why
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "declaration",
    [
        '<!DOCTYPE SciPipeRequest [<!ENTITY a "aa"><!ENTITY b "&a;&a;&a;">]>',
        '<!DOCTYPE SciPipeRequest [<!ENTITY a SYSTEM "file:///etc/hostname">]>',
        '<!DOCTYPE SciPipeRequest [<!ENTITY % a SYSTEM "file:///etc/hostname"> %a;]>',
        '<!DOCTYPE SciPipeRequest [<!ATTLIST OUSStatusRef entityId CDATA "uid://A001/X0/X0">]>',
        '<!DOCTYPE SciPipeRequest SYSTEM "http://127.0.0.1:9/request.dtd">',
    ],
)
def test_entities_and_document_types_are_refused(declaration: str) -> None:
    document = DOCUMENT.replace("<SciPipeRequest ", f"{declaration}<SciPipeRequest ")
    with pytest.raises(Refused):
        read(document.encode())


def test_the_use_of_an_entity_is_refused() -> None:
    declared = DOCUMENT.replace("<SciPipeRequest ", '<!DOCTYPE x [<!ENTITY a "SCIENCE">]><SciPipeRequest ')
    with pytest.raises(Refused, match="entities"):
        read(declared.replace("<Mode>SCIENCE", "<Mode>&a;").encode())


def test_the_reason_names_element_and_line() -> None:
    with pytest.raises(Refused, match=r"ProcessingCommand \(line \d+\) has no ParameterSet"):
        read(DOCUMENT.replace("<ParameterSet/>", "").encode())


def test_a_request_without_sessions_has_one() -> None:
    ppr = _plain().model_copy(update={"intents": (("PROCESS", "true"),)})
    again = read(write(ppr))
    assert {again.session_of(uid) for uid in BLOCKS} == {"session_1"}


def test_the_session_is_found_by_the_pipelines_rule() -> None:
    ppr = _plain()
    assert [ppr.session_of(uid) for uid in BLOCKS] == ["session_1", "session_1", "session_3", "session_4"]
    assert ppr.session_of("uid://A002/X0/X0") == "session_1"


@pytest.mark.parametrize("path", ["", "a\tb", " a", "a\x00", "/a", "a/../b"])
def test_the_model_itself_holds_no_bad_path(path: str) -> None:
    with pytest.raises(ValidationError):
        DataSet(relative_path=path, sched_block=None, sched_block_status=None, execution_blocks=BLOCKS)

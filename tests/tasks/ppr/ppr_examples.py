"""Awkward but legal PPRs for hypothesis, an observation to compose from, and two documents of our own making."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import strategies as st

from tasks.alma import ArchiveFile, EntityId, ExecutionBlock, ObservingUnitSet, Session
from tasks.ppr.model import (
    Command,
    DataSet,
    Ppr,
    Procedure,
    ProjectStructure,
    ProjectSummary,
    RequestEntity,
    ResultsProcessing,
)

MOUS = EntityId("uid://A001/X1284/X265f")
BLOCKS = tuple(
    EntityId(f"uid://A002/{end}") for end in ("Xc7111c/X3979", "Xc7111c/X409e", "Xc7111c/X86a7", "Xc72427/X2dfe")
)
STAMP = datetime(2018, 11, 20, 17, 30, tzinfo=UTC)


def observation(*sessions: tuple[EntityId, ...], blocks: tuple[EntityId, ...] = BLOCKS) -> ObservingUnitSet:
    """The observation of seed 004, its blocks in the sessions given."""
    return ObservingUnitSet(
        mous=MOUS,
        gous=EntityId("uid://A001/X1284/X265e"),
        sous=EntityId("uid://A001/X1284/X265d"),
        project_code="2017.1.00886.L",
        project_uid=EntityId("uid://A001/X1220/Xdd9"),
        project_status=EntityId("uid://A001/X1220/Xddd"),
        part_id="X870875696",
        sched_block=EntityId("uid://A001/X1284/X2641"),
        sched_block_status=EntityId("uid://A001/X1284/X2660"),
        state=None,
        qa2_status=None,
        sessions=tuple(
            Session(number=number, execution_blocks=blocks, start=None, end=None)
            for number, blocks in enumerate(sessions, start=1)
        ),
        execution_blocks=tuple(
            ExecutionBlock(
                uid=uid,
                sched_block=None,
                raw=ArchiveFile(file_id=f"{uid.file_form}.asdm.sdm.tar", file_class="raw", size=None),
            )
            for uid in blocks
        ),
        products=(),
        delivery=None,
    )


def seed_004() -> ObservingUnitSet:
    """Four blocks in four sessions, of which the second is empty."""
    return observation(BLOCKS[:2], (), BLOCKS[2:3], BLOCKS[3:])


_XML = st.characters(
    exclude_categories=["Cs", "Cc"], include_characters="\t\n\r", exclude_characters="\ufffe\uffff"
)
_LINE_XML = st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")
TEXTS = st.text(_XML, max_size=12).map(str.strip) | st.sampled_from(["", "true", "<&>]]>\"'", "a\r\n\tb", "&#13;"])
LINES = st.text(_LINE_XML, min_size=1, max_size=12).map(str.strip).filter(bool)
IDS = st.from_regex(r"uid://A00[12]/X[0-9a-f]{1,6}/X[0-9a-fA-F]{1,4}", fullmatch=True).map(EntityId)
_OPTIONAL = st.none() | IDS
_NOT_SESSIONS = LINES.filter(lambda text: "session" not in text.casefold())
_PATHS = LINES.filter(lambda text: not text.startswith("/") and ".." not in text.split("/"))


def _settings(keywords: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[tuple[str, str], ...]]:
    return st.lists(st.tuples(keywords, TEXTS), max_size=4, unique_by=lambda pair: pair[0]).map(tuple)


@st.composite
def _sessions(draw: st.DrawFn) -> tuple[tuple[tuple[str, str], ...], tuple[EntityId, ...]]:
    blocks = tuple(draw(st.lists(IDS, min_size=1, max_size=6, unique=True)))
    count = draw(st.integers(0, 4))
    places = [draw(st.integers(1, count)) for _ in blocks] if count else []
    values = (
        (f"SESSION_{n}", " | ".join(uid for uid, place in zip(blocks, places, strict=False) if place == n))
        for n in range(1, count + 1)
    )
    return tuple(values), blocks


@st.composite
def pprs(draw: st.DrawFn) -> Ppr:
    sessions, blocks = draw(_sessions())
    intents = draw(st.permutations([*sessions, *draw(_settings(_NOT_SESSIONS))]))
    return Ppr(
        entity=draw(
            st.none() | st.builds(RequestEntity, entity_id=TEXTS, entity_type_name=TEXTS, datamodel_version=TEXTS)
        ),
        summary=draw(
            st.builds(
                ProjectSummary,
                proposal_code=LINES,
                observatory=LINES,
                telescope=LINES,
                processing_site=TEXTS,
                operator=TEXTS,
                mode=TEXTS,
                version=TEXTS,
                creation_time=TEXTS,
            )
        ),
        structure=draw(
            st.builds(
                ProjectStructure,
                project=IDS,
                part_id=TEXTS,
                title=LINES,
                unit_type=LINES,
                project_status=_OPTIONAL,
                mous=IDS,
            )
        ),
        intents=tuple(intents),
        procedure=Procedure(
            title=draw(TEXTS),
            commands=tuple(
                draw(st.lists(st.builds(Command, name=LINES, parameters=_settings(LINES)), min_size=1, max_size=4))
            ),
        ),
        data_set=DataSet(
            relative_path=draw(_PATHS),
            sched_block=draw(_OPTIONAL),
            sched_block_status=draw(_OPTIONAL),
            title=draw(TEXTS),
            execution_blocks=blocks,
        ),
        results=draw(
            st.builds(
                ResultsProcessing,
                archive_results=st.booleans(),
                clean_up_disk=st.booleans(),
                update_project_life_cycle=st.booleans(),
                notify_operator_when_done=st.booleans(),
                pipeline_operator_adress=TEXTS,
            )
        ),
    )


NAMESPACED = f"""<?xml version="1.0" encoding="UTF-8"?>
<ppr:SciPipeRequest xmlns:ppr="Alma/pipelinescience/SciPipeRequest">
  <ppr:SciPipeRequestEntity entityId="UID_UNASSIGNED" entityTypeName="SciPipeRequest" datamodelVersion="0.1"/>
  <ppr:ProjectSummary>
    <ProposalCode xmlns="">2017.1.00886.L</ProposalCode><Observatory xmlns="">ALMA Joint Observatory</Observatory>
    <Telescope xmlns="">ALMA</Telescope><ProcessingSite xmlns="">NAASC</ProcessingSite>
    <Operator xmlns="">almapipe</Operator><Mode xmlns="">SCIENCE</Mode><Version xmlns="">Undefined</Version>
    <CreationTime xmlns="">2019-01-02T03:04:05.678</CreationTime>
  </ppr:ProjectSummary>
  <ppr:ProjectStructure><ppr:AlmaStructure>
    <n1:ObsUnitSetRef xmlns:n1="Alma/ObsPrep/ObsProject" entityId="uid://A001/X1220/Xdd9" partId="X870875696"
       entityTypeName="ObsProject"/>
    <ObsUnitSetTitle xmlns="">Undefined</ObsUnitSetTitle><ObsUnitSetType xmlns="">Member</ObsUnitSetType>
    <n2:ProjectStatusRef xmlns:n2="Alma/Scheduling/ProjectStatus" entityId="uid://A001/X1220/Xddd"
       entityTypeName="ProjectStatus"/>
    <n3:OUSStatusRef xmlns:n3="Alma/Scheduling/OUSStatus" entityId="{MOUS}" entityTypeName="OUSStatus"/>
  </ppr:AlmaStructure></ppr:ProjectStructure>
  <ppr:ProcessingRequests><ppr:ProcessingRequest>
    <ppr:ProcessingIntents>
      <Intents xmlns=""><Keyword>PROCESS</Keyword><Value>true</Value></Intents>
      <Intents xmlns=""><Keyword>SESSION_1</Keyword><Value>{BLOCKS[0]} | {BLOCKS[1]}</Value></Intents>
      <Intents xmlns=""><Keyword>SESSION_2</Keyword><Value/></Intents>
      <Intents xmlns=""><Keyword>SESSION_3</Keyword><Value>{BLOCKS[2]}</Value></Intents>
      <Intents xmlns=""><Keyword>SESSION_4</Keyword><Value>{BLOCKS[3]}</Value></Intents>
      <Intents xmlns=""><Keyword>INTERFEROMETRY_STANDARD_OBSERVING_MODE</Keyword><Value>Undefined</Value></Intents>
    </ppr:ProcessingIntents>
    <ppr:ProcessingProcedure>
      <ProcedureTitle xmlns="">hifa_restore</ProcedureTitle>
      <ppr:ProcessingCommand><Command xmlns="">hifa_restoredata</Command><ParameterSet xmlns=""/></ppr:ProcessingCommand>
    </ppr:ProcessingProcedure>
    <ppr:DataSet><ppr:SchedBlockSet><ppr:SchedBlockIdentifier>
      <RelativePath xmlns="">2017.1.00886.L_2019_01_02T03_04_05.678/SOUS_uid___A001_X1284_X265d/GOUS_uid___A001_X1284_X265e/MOUS_{
    MOUS.file_form
}</RelativePath>
      <n4:SchedBlockRef xmlns:n4="Alma/ObsPrep/SchedBlock" entityId="uid://A001/X1284/X2641"
         entityTypeName="SchedBlock" documentVersion="1"/>
      <n5:SBStatusRef xmlns:n5="Alma/Scheduling/SBStatus" entityId="uid://A001/X1284/X2660" entityTypeName="SBStatus"/>
      <SBTitle xmlns="">Undefined</SBTitle>
      <!-- one block for each execution -->
{
    "".join(
        f'''      <ppr:AsdmIdentifier><AsdmRef xmlns=""><ExecBlockId>{uid}</ExecBlockId></AsdmRef>
        <AsdmDiskName xmlns="">{uid.file_form}</AsdmDiskName></ppr:AsdmIdentifier>
'''
        for uid in BLOCKS
    )
}    </ppr:SchedBlockIdentifier></ppr:SchedBlockSet></ppr:DataSet>
  </ppr:ProcessingRequest></ppr:ProcessingRequests>
  <ppr:ResultsProcessing>
    <ArchiveResults xmlns="">true</ArchiveResults><CleanUpDisk xmlns="">false</CleanUpDisk>
    <UpdateProjectLifeCycle xmlns="">false</UpdateProjectLifeCycle>
    <NotifyOperatorWhenDone xmlns="">false</NotifyOperatorWhenDone>
    <PipelineOperatorAdress xmlns="">Unknown</PipelineOperatorAdress>
  </ppr:ResultsProcessing>
</ppr:SciPipeRequest>
"""  # noqa: E501 (a path must be on one line)

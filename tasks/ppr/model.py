"""The pipeline processing request (PPR) as values, which cannot hold what CASA's pipeline would misread.

The pipeline reads a PPR without complaining: a session that it does not find becomes ``session_1``, and the
execution block gets the calibration tables of another. So what would be misread cannot be made here: text with
white space around it, sessions with a gap, an execution block outside all sessions. The tree is that of the
public ``SciPipeRequest``; no schema of it is public.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from tasks.alma.ids import EntityId
from tasks.errors import Refused

__all__ = [
    "Command",
    "DataSet",
    "Ppr",
    "Procedure",
    "ProjectStructure",
    "ProjectSummary",
    "RequestEntity",
    "ResultsProcessing",
    "refusal",
]

_SEPARATOR = " | "
_SESSION = re.compile(r"\s*session_?\d*\s*", re.IGNORECASE)
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _text(value: str) -> str:
    if value != value.strip():
        raise ValueError("white space around it would not be stripped by the pipeline")
    if _FORBIDDEN.search(value):
        raise ValueError("it holds characters that XML cannot")
    return value


def _line(value: str) -> str:
    if not value or re.search(r"[\t\n\r]", value):
        raise ValueError("it must be one line, and not empty")
    return value


def _relative(value: str) -> str:
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError("it must lead down from the processing root")
    return value


Text = Annotated[str, AfterValidator(_text)]
Line = Annotated[Text, AfterValidator(_line)]
Setting = tuple[Line, Text]
"""A keyword and its value, which is text here; the pipeline casts numbers and booleans itself."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _require_distinct(keywords: Sequence[str]) -> None:
    twice = sorted({keyword for keyword in keywords if keywords.count(keyword) > 1})
    if twice:
        raise ValueError(f"{', '.join(twice)} is there more than once")


class RequestEntity(_Frozen):
    """The document's own identity, if it has one."""

    entity_id: Text = "UID_UNASSIGNED"
    entity_type_name: Text = "SciPipeRequest"
    datamodel_version: Text = "0.1"


class ProjectSummary(_Frozen):
    """Whose data these are, and who processes them."""

    proposal_code: Line
    observatory: Line = "ALMA Joint Observatory"
    telescope: Line = "ALMA"
    processing_site: Text
    operator: Text
    mode: Text = "SCIENCE"
    version: Text = "Undefined"
    creation_time: Text
    """ISO, milliseconds, UTC, without an offset."""


class ProjectStructure(_Frozen):
    """Where the member observing unit set is in its project."""

    project: EntityId
    part_id: Text
    title: Line = "Undefined"
    unit_type: Line = "Member"
    project_status: EntityId | None
    mous: EntityId


class Command(_Frozen):
    """A pipeline task with its parameters; the order of both is kept."""

    name: Line
    parameters: tuple[Setting, ...] = ()

    @model_validator(mode="after")
    def _once_each(self) -> Self:
        _require_distinct([keyword for keyword, _ in self.parameters])
        return self


class Procedure(_Frozen):
    """What the pipeline is to do, in order."""

    title: Text
    commands: tuple[Command, ...] = Field(min_length=1)

    @property
    def exports(self) -> bool:
        """Whether it makes products of its own, beside the measurement sets."""
        return any(command.name.endswith("_exportdata") for command in self.commands)


class DataSet(_Frozen):
    """The data: one scheduling block's execution blocks."""

    relative_path: Annotated[Line, AfterValidator(_relative)]
    """From the processing root to the MOUS's directory."""
    sched_block: EntityId | None
    sched_block_status: EntityId | None
    title: Text = "Undefined"
    execution_blocks: tuple[EntityId, ...] = Field(min_length=1)
    """In order; each one's name on disk is its `file_form`."""

    @model_validator(mode="after")
    def _once_each(self) -> Self:
        _require_distinct(self.execution_blocks)
        return self


class ResultsProcessing(_Frozen):
    """What the observatory's system would do with the results; here nothing."""

    archive_results: bool = False
    clean_up_disk: bool = False
    update_project_life_cycle: bool = False
    notify_operator_when_done: bool = False
    pipeline_operator_adress: Text = "Unknown"


class Ppr(_Frozen):
    """A pipeline processing request for a member observing unit set.

    Raises
    ------
    pydantic.ValidationError
        It would hold what the pipeline misreads.
    """

    entity: RequestEntity | None = None
    summary: ProjectSummary
    structure: ProjectStructure
    intents: tuple[Setting, ...]
    """Keywords and values in order; ``SESSION_N`` are execution blocks joined by ``" | "``, or empty."""
    procedure: Procedure
    data_set: DataSet
    results: ResultsProcessing = ResultsProcessing()

    def session_of(self, asdm_uid: str) -> str:
        """Return the session, such as ``session_3``, whose tables the pipeline would give an execution block.

        Its rule: the first of SESSION_1, 2, ... that names the block, up to the first that is missing; a block
        that is in none gets ``session_1``.
        """
        numbers = (number for number, blocks in enumerate(self._sessions(), start=1) if asdm_uid in blocks)
        return f"session_{next(numbers, 1)}"

    def _sessions(self) -> list[list[str]]:
        values, found = dict(self.intents), list[list[str]]()
        while (value := values.get(f"SESSION_{len(found) + 1}")) is not None:
            found.append(value.split(_SEPARATOR) if value else [])
        return found

    @model_validator(mode="after")
    def _sessions_are_read_as_written(self) -> Self:
        keywords, sessions = [keyword for keyword, _ in self.intents], self._sessions()
        _require_distinct(keywords)
        expected = {f"SESSION_{number}" for number in range(1, len(sessions) + 1)}
        if stray := sorted({keyword for keyword in keywords if _SESSION.fullmatch(keyword)} - expected):
            raise ValueError(
                f"{', '.join(stray)} would not be seen: sessions are SESSION_1, SESSION_2, ... without gap"
            )
        named = [block for session in sessions for block in session]
        _require_exact_ids(named)
        _require_distinct(named)
        if sessions and (outside := sorted(set(self.data_set.execution_blocks) - set(named))):
            raise ValueError(f"{', '.join(outside)} is in no session, and would get the tables of session_1")
        return self


def _require_exact_ids(texts: Sequence[str]) -> None:
    for text in texts:
        try:
            exact = EntityId(text) == text
        except Refused:
            exact = False
        if not exact:
            raise ValueError(f"{text!r} is no execution block: a session's are joined by exactly {_SEPARATOR!r}")


def refusal(what: str, error: ValidationError) -> Refused:
    """Say in one line what is wrong with a value that a model does not accept."""
    reasons = (
        ": ".join(filter(None, (".".join(map(str, entry["loc"])), entry["msg"].removeprefix("Value error, "))))
        for entry in error.errors(include_url=False, include_context=False)
    )
    return Refused(what, "; ".join(reasons))

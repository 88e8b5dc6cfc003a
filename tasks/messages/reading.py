"""What messages say: their bodies are hostile until they were read, and no text of theirs gets further unread."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, TypeVar
from uuid import UUID

from pydantic import (
    AfterValidator,
    AliasChoices,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)

from tasks.alma.ids import EntityId
from tasks.errors import Refused

__all__ = ["MOST_BYTES", "Announced", "Told", "read_announcement", "read_status", "short"]

MOST_BYTES: Final = 1_000_000
"""A longer message is not looked into: those that we understand have some hundreds."""
_LONGEST_ID, _LONGEST_WHY, _MOST_WRONG = 64, 400, 3
_FROM_THE_FUTURE: Final = timedelta(hours=1)
"""By how much others' clocks may be ahead."""


def _is_short(value: Any) -> Any:
    if isinstance(value, str) and len(value) > _LONGEST_ID:
        raise ValueError(f"it has more than {_LONGEST_ID} characters")
    return value


def _is_past(time: datetime) -> datetime:
    if time > datetime.now(UTC) + _FROM_THE_FUTURE:
        raise ValueError("it is in the future")
    return time


Uid = Annotated[EntityId, BeforeValidator(_is_short)]
Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
Code = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.+-]{0,63}$")]
Words = Annotated[str, Field(pattern=r"^[ -~]{1,64}$")]


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    profile: str | None = None


T = TypeVar("T", bound=_Body)


class Announced(_Body):
    """An observation that was ingested.

    Parameters
    ----------
    profile
        For whom it is, if it says so.
    mous
        Which; also called ``observation``.
    project, priority
        As in `tasks.catalog.request.Ask`.
    """

    mous: Uid = Field(validation_alias=AliasChoices("mous", "observation"))
    project: Code | None = None
    priority: Annotated[int, Field(strict=True, ge=-1000, le=1000)] = 0


class Told(_Body):
    """How far a run has come.

    Parameters
    ----------
    profile
        Whose it is, if it says so.
    workflow, observation, flow_run
        Which.
    state, stage
        What it does; the stage, if it is in one.
    time
        Since when.
    """

    workflow: Word
    observation: Uid
    flow_run: UUID | None = None
    state: Word
    stage: Words | None = None
    time: Annotated[AwareDatetime, AfterValidator(_is_past)]


def read_announcement(body: bytes, profile: str) -> Announced:
    """Read an announcement that is for a profile, or for nobody in particular.

    Raises
    ------
    Refused
        It is malformed, or for another profile.
    """
    announced = _read(Announced, body)
    if announced.profile not in (None, profile):
        raise Refused("it is not for us", f"it is for profile {short(announced.profile)}, and this is {profile}")
    return announced


def read_status(body: bytes) -> Told:
    """Read a status.

    Raises
    ------
    Refused
        It is malformed.
    """
    return _read(Told, body)


def _read(kind: type[T], body: bytes) -> T:
    if len(body) > MOST_BYTES:
        raise Refused("it is too long", f"{len(body)} bytes, and {MOST_BYTES} are the most that are looked into")
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        raise Refused("it cannot be understood", "; ".join(map(_said, found[:_MOST_WRONG]))) from error


def _said(error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"])
    text = str(error["msg"]).removeprefix("Value error, ")
    return short(f"{where}: {text}" if where else text)


def short(text: object) -> str:
    """Return a text that is safe to log and not long, whatever it was."""
    plain = str(text)[:_LONGEST_WHY].encode("ascii", "backslashreplace").decode()
    return "".join(letter if letter.isprintable() else " " for letter in plain)[:_LONGEST_WHY]

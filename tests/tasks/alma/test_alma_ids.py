"""Entity ids: one type, three spellings, nothing else."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from tasks.alma import EntityId
from tasks.errors import Refused

_HEX = st.from_regex(r"[xX][0-9a-fA-F]{1,8}", fullmatch=True)
_PARTS = st.tuples(st.from_regex(r"[0-9A-Za-z]{1,6}", fullmatch=True), _HEX, _HEX)


class _Holder(BaseModel):
    uid: EntityId


@given(_PARTS, st.sampled_from(["", " ", "\n\t"]))
def test_every_spelling_is_the_same_id(parts: tuple[str, str, str], blank: str) -> None:
    file_form = "uid___" + "_".join(parts)
    spellings = ["uid://" + "/".join(parts), file_form, "_".join(parts)]

    ids = {EntityId.parse(blank + spelling + blank) for spelling in spellings}

    assert ids == {"uid://" + "/".join(parts)}
    (uid,) = ids
    assert uid.file_form == file_form
    assert uid.short == "_".join(parts[1:])
    assert EntityId.parse(uid.file_form) == uid


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A001",
        "uid://A001/X1284",
        "uid://A001/X1284/X265g",
        "uid://A001/1284/X265f",
        "uid://A001/X1284/X265f/X1",
        "uid://A001/X1284/X265f#X1",
        "uid://A001/X1284/../X265f",
        "uid://A001_X1284_X265f",
        "uid___A001/X1284/X265f",
        "uid://A001/X1284/X265f\nuid://A001/X1284/X2660",
        "uid://A001/X1284/X265\uff46",
    ],
)
def test_what_is_no_id_is_refused_by_name(text: str) -> None:
    with pytest.raises(Refused) as caught:
        EntityId.parse(text)
    assert repr(text) in str(caught.value)


def test_the_constructor_holds_nothing_else_either() -> None:
    with pytest.raises(Refused):
        EntityId("junk")


def test_an_id_survives_json_pickle_and_validation() -> None:
    held = _Holder.model_validate({"uid": "A001_X1284_X265f"})

    assert held.model_dump_json() == '{"uid":"uid://A001/X1284/X265f"}'
    again = _Holder.model_validate_json(held.model_dump_json()).uid
    assert again == held.uid
    assert isinstance(again, EntityId)
    assert isinstance(pickle.loads(pickle.dumps(again)), EntityId)  # noqa: S301 (our own bytes)
    assert _Holder.model_json_schema()["properties"]["uid"]["type"] == "string"


def test_a_bad_id_in_a_model_is_a_validation_error_that_says_why() -> None:
    with pytest.raises(ValidationError, match="is not an ALMA id"):
        _Holder.model_validate({"uid": "junk"})

"""One type for ALMA's entity ids, because every service spells the same id in its own way.

The metadata database says ``uid://A001/X1284/X265f``, file names say ``uid___A001_X1284_X265f`` and the
public archive's `obs_id` says ``A001_X1284_X265f``. Past this module there is one spelling, and no other
text. The grammar is ALMA's public ``EntityIdT``, without the ``fake`` prefix and ``#`` fragments.
"""

from __future__ import annotations

import re
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from tasks.errors import Refused

__all__ = ["PROJECT_CODE", "EntityId"]

PROJECT_CODE = re.compile(r"\w[\w.+-]*")
"""A project's code, as in ``2017.1.00886.L``: safe to name directories by."""

_SPELLINGS = (
    re.compile(r"[uU][iI][dD]://([0-9A-Za-z]+)/([xX][0-9A-Fa-f]+)/([xX][0-9A-Fa-f]+)"),
    re.compile(r"(?:[uU][iI][dD]___)?([0-9A-Za-z]+)_([xX][0-9A-Fa-f]+)_([xX][0-9A-Fa-f]+)"),
)


class EntityId(str):
    """An ALMA entity id; as text it is always ``uid://A001/X1284/X265f``.

    Parameters
    ----------
    text
        Any of the three spellings; surrounding white space is dropped, the case of the digits kept.

    Raises
    ------
    Refused
        The text is not an entity id.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> EntityId:
        """Hold nothing that is not an id."""
        matches = (spelling.fullmatch(text.strip()) for spelling in _SPELLINGS)
        found = next((match for match in matches if match), None)
        if found is None:
            raise Refused(
                f"{text!r} is not an ALMA id",
                "it does not read like uid://A001/X1284/X265f",
                "give an id such as uid://A001/X1284/X265f or uid___A001_X1284_X265f",
            )
        return super().__new__(cls, "uid://" + "/".join(found.groups()))

    @classmethod
    def parse(cls, text: str) -> EntityId:
        """Read an id in any of its spellings; `Refused` if it is none."""
        return cls(text)

    @classmethod
    def of_column(cls, text: str | None, column: str) -> EntityId:
        """Read an id that a database must have; where it has none, `Refused` names the column."""
        try:
            return cls(text or "")
        except Refused as error:
            todo = "ask the archive's operators"
            raise Refused(f"{column} of the ALMA metadata database: {error.what}", error.why, todo) from error

    @property
    def file_form(self) -> str:
        """As in file names: ``uid___A001_X1284_X265f``."""
        return self.replace("://", "___").replace("/", "_")

    @property
    def short(self) -> str:
        """What people call it: ``X1284_X265f``."""
        return self.file_form.split("_", maxsplit=4)[-1]

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(cls._validated, core_schema.str_schema())

    @classmethod
    def _validated(cls, text: str) -> EntityId:
        try:
            return cls(text)
        except Refused as error:
            raise ValueError(str(error)) from error

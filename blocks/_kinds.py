"""The block types: one for a profile, and one for each of its sections, made from the models so as not to drift.

A block holds each value as text, as a properties file would; secrets are SecretStr, which Prefect encrypts.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import new_class
from typing import Any
from uuid import UUID

from prefect.blocks.core import Block
from pydantic import BaseModel, Field, SecretStr

from blocks.keys import is_saved, section_of
from blocks.profile import Profile

__all__ = ["PROFILE", "Kind"]

_ACRONYMS = frozenset({"casa", "ngas"})


@dataclass(frozen=True)
class Kind:
    """The block type of a profile, or of one of its sections.

    Parameters
    ----------
    block
        The type as Prefect knows it.
    values
        Names of the fields that hold a value.
    parts
        The types of the sections within.
    """

    block: type[Block]
    values: tuple[str, ...]
    parts: dict[str, Kind]

    @property
    def slug(self) -> str:
        """The type's name in Prefect's addresses."""
        return self.block.get_block_type_slug()

    @property
    def type_id(self) -> UUID:
        """The type's id on the server on which it was last registered."""
        return _known(self.block._block_type_id)

    @property
    def schema_id(self) -> UUID:
        """The id of the type's fields, likewise."""
        return _known(self.block._block_schema_id)


def _known(given: UUID | None) -> UUID:
    if given is None:
        raise LookupError("the block types were not registered")
    return given


def _kind(model: type[BaseModel], path: tuple[str, ...] = ()) -> Kind:
    saved = {name: field for name, field in model.model_fields.items() if is_saved(field)}
    sections = {name: section for name, field in saved.items() if (section := section_of(field))}
    parts = {name: _kind(section, (*path, name)) for name, section in sections.items()}
    values = {name: field for name, field in saved.items() if name not in sections}
    kinds: dict[str, Any] = {
        name: SecretStr if field.annotation is SecretStr else str for name, field in values.items()
    }
    annotations = kinds | {name: part.block for name, part in parts.items()}
    helped = {name: Field(description=field.description) for name, field in values.items()}
    return Kind(_block(path, _doc(model), annotations, helped), tuple(values), parts)


def _doc(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").partition("\n")[0]


def _block(path: tuple[str, ...], doc: str, annotations: dict[str, Any], helped: dict[str, Any]) -> type[Block]:
    words = [word.upper() if word in _ACRONYMS else word.capitalize() for word in path or ("profile",)]
    mark = {"profile": str} if path else {"digest": str}
    namespace = {
        "__module__": __name__,
        "__doc__": doc,
        "__annotations__": mark | annotations,
        "_block_type_name": " ".join(("PPI", *words)),
        "_description": f"{doc} Written by `ppi deploy` from CAPO properties: change it there.",
    }
    return new_class(f"Ppi{''.join(words)}", (Block,), {}, lambda body: body.update(namespace | helped))


PROFILE = _kind(Profile)
"""The type of the block that holds a whole profile."""

"""Which property fills which field: the keys follow from the models, so that the two cannot drift apart.

A field `streams_per_server` of the section `ngas` is `ppi.ngas.streamsPerServer`; a field of the profile itself,
such as `site`, is `ppi.profile.site`; an alias stands for the field's name. The profile's name is no key, but the
name of the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo

__all__ = ["FallBack", "Key", "NotSaved", "clock", "is_saved", "keys_of", "section_of", "shown"]


@dataclass(frozen=True)
class FallBack:
    """Marks a field (in `Annotated`) that another system's key fills when ours is given nowhere."""

    key: str


class NotSaved:
    """Marks a field (in `Annotated`) that no run needs, and that is therefore not saved in blocks."""


@dataclass(frozen=True)
class Key:
    """A property and the field that it fills.

    Parameters
    ----------
    name
        The key as it is written, e.g. `ppi.ngas.streamsPerServer`.
    path
        The field's names from the profile down, e.g. `("ngas", "streams_per_server")`.
    field
        The field itself.
    saved
        Whether blocks hold it.
    """

    name: str
    path: tuple[str, ...]
    field: FieldInfo
    saved: bool = True

    @property
    def fall_backs(self) -> tuple[str, ...]:
        """The other systems' keys that may stand in, in the form in which keys are compared."""
        return tuple(mark.key.lower() for mark in self.field.metadata if isinstance(mark, FallBack))

    @property
    def is_secret(self) -> bool:
        """Whether the value is never to be shown."""
        return self.field.annotation is SecretStr

    @property
    def example(self) -> str:
        """A line as it could stand in a properties file."""
        value = (self.field.examples or [""])[0]
        return f"{self.name} = {value}"

    def value_in(self, model: BaseModel) -> Any:
        """Return the field's value in a profile."""
        value: Any = model
        for name in self.path:
            value = getattr(value, name)
        return value


def keys_of(model: type[BaseModel]) -> tuple[Key, ...]:
    """Return the keys of a profile model, in the order of its fields."""
    return tuple(_keys(model, ()))


def section_of(field: FieldInfo) -> type[BaseModel] | None:
    """Return the model of a field that is a section, None for one that holds a value."""
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def is_saved(field: FieldInfo) -> bool:
    """Return whether blocks hold a field."""
    return not any(isinstance(mark, NotSaved) for mark in field.metadata)


def _keys(model: type[BaseModel], path: tuple[str, ...], saved: bool = True) -> Iterator[Key]:
    for name, field in model.model_fields.items():
        here, kept = (*path, name), saved and is_saved(field)
        section = section_of(field)
        if section is not None:
            yield from _keys(section, here, kept)
        elif here != ("name",):
            parts = (*(path or ("profile",)), field.alias or to_camel(name))
            yield Key(".".join(("ppi", *parts)), here, field, kept)


def shown(value: object) -> str:
    """Write a value as it would stand in a properties file, except for a secret."""
    if value is None:
        return ""
    if isinstance(value, tuple | frozenset):
        return ",".join(sorted(value) if isinstance(value, frozenset) else value)
    if isinstance(value, timedelta):
        return clock(value)
    return str(value).removesuffix(".0") if isinstance(value, float) else str(value)


def clock(duration: timedelta) -> str:
    """Write a duration as hours:minutes:seconds."""
    minutes, seconds = divmod(int(duration.total_seconds()), 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}"

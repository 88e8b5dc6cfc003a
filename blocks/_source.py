"""From properties to models: a pydantic-settings source, and pydantic's complaints in an operator's words."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from blocks.capo import Properties, Property
from blocks.errors import Origin, Problem
from blocks.keys import Key, keys_of, section_of

__all__ = ["CapoSource"]

_DERIVED = "default_factory_not_called"  # follows from another field's error, which is told anyway


class CapoSource(PydanticBaseSettingsSource):
    """Fills a profile model from CAPO properties; nothing else, the environment included, has a say.

    An empty value is as good as none: the default holds.
    """

    def __init__(self, settings_cls: type[BaseSettings], properties: Properties) -> None:
        super().__init__(settings_cls)
        self.properties = properties
        self.keys = keys_of(settings_cls)
        held = properties.values
        candidates = ((key, (key.name.lower(), *key.fall_backs)) for key in self.keys)
        found = ((key, next((held[name] for name in names if name in held), None)) for key, names in candidates)
        self._given: dict[tuple[str, ...], Property] = {key.path: entry for key, entry in found if entry}

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return the value of a field of the profile, its name, and False: no value is JSON."""
        if field_name == "name":
            return self.properties.profile, field_name, False
        return self._value(field, (field_name,)), field_name, False

    def _value(self, field: FieldInfo, path: tuple[str, ...]) -> Any:
        section = section_of(field)
        if section is not None:
            return self._filled(section, path)
        entry = self._given.get(path)
        return entry.value or None if entry else None

    def _filled(self, section: type[BaseModel], path: tuple[str, ...]) -> dict[str, Any]:
        values = {name: self._value(field, (*path, name)) for name, field in section.model_fields.items()}
        return {name: value for name, value in values.items() if value is not None}

    def __call__(self) -> dict[str, Any]:
        """Return what is given, nested as the model is; each section is there, if only empty."""
        fields = self.settings_cls.model_fields.items()
        values = {name: self.get_field_value(field, name)[0] for name, field in fields}
        return {name: value for name, value in values.items() if value is not None}

    def origins(self) -> dict[str, Origin]:
        """Return where the value of each key was read, leaving out those that keep their default."""
        return {
            key.name: entry.origin for key in self.keys if (entry := self._given.get(key.path)) and entry.value
        }

    def unknown(self) -> tuple[Problem, ...]:
        """Return the lines with a key that begins as ours do and is none of ours."""
        known = {key.name.lower(): key.name for key in self.keys}
        ours = (line for line in self.properties.lines if line.key.startswith("ppi."))
        return tuple(_unknown(line, known) for line in ours if line.key not in known)

    def explain(self, error: ValidationError) -> tuple[Problem, ...]:
        """Put what pydantic found into an operator's words; a value is shown only where it cannot be a secret."""
        keys = {key.path: key for key in self.keys}
        faults = error.errors(include_url=False, include_input=False, include_context=False)
        return tuple(
            self._explained(keys[tuple(map(str, fault["loc"]))], fault["type"], fault["msg"])
            for fault in faults
            if fault["type"] != _DERIVED
        )

    def _explained(self, key: Key, kind: str, message: str) -> Problem:
        entry = self._given.get(key.path)
        if kind == "missing":
            return self._missing(key, entry)
        reason = message.removeprefix("Value error, ")
        if kind != "value_error" and entry is not None:
            reason = f"{entry.value!r} cannot be used: {message[:1].lower()}{message[1:]}"
        todo = f"correct that line, e.g. {key.example}"
        return Problem(key.name, reason, todo, entry.origin if entry else None)

    def _missing(self, key: Key, entry: Property | None) -> Problem:
        if entry is not None:
            return Problem(key.name, "it is required, but empty", f"give it, e.g. {key.example}", entry.origin)
        files = ", ".join(map(str, self.properties.files)) or "none"
        reason = f"it is required, and no file that could be read gives it (read: {files})"
        return Problem(key.name, reason, f"add a line to one of them, e.g. {key.example}")


def _unknown(line: Property, known: dict[str, str]) -> Problem:
    nearest = get_close_matches(line.key, known, n=1, cutoff=0.0)[0]
    todo = f"write {known[nearest]} if that is meant, else remove the line"
    return Problem(line.origin.key, "PPI has no such key", todo, line.origin)

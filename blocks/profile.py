"""What a profile is: everything that differs between environments, in one frozen thing.

Its parts are in `blocks.sections`. It comes from CAPO properties (`Profile.load`), or on a worker from the blocks
that were saved from them (`blocks.current`).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple, Self

from pydantic import Field, PrivateAttr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from blocks._source import CapoSource
from blocks._types import AbsolutePath
from blocks._warnings import warnings_about
from blocks.capo import read
from blocks.errors import Origin, Problem, ProfileError
from blocks.keys import keys_of, shown
from blocks.names import slug
from blocks.sections import (
    Access,
    Broker,
    Casa,
    Catalog,
    Cluster,
    Database,
    Metadata,
    Ngas,
    Notify,
    Prefect,
    Processing,
    Reports,
    Resources,
    Retention,
    Sweep,
)

__all__ = [
    "Access",
    "Broker",
    "Casa",
    "Catalog",
    "Cluster",
    "Database",
    "Metadata",
    "Ngas",
    "Notify",
    "Prefect",
    "Processing",
    "Profile",
    "Reports",
    "Resources",
    "Retention",
    "Setting",
    "Sweep",
]


class Setting(NamedTuple):
    """One line of a profile's description; an origin of None means the built-in default."""

    key: str
    value: str
    origin: Origin | None


class Profile(BaseSettings):
    """Everything that differs between environments; from `Profile.load`, or from values alone.

    Parameters
    ----------
    name
        The profile's name, e.g. `naasc-test`: the name of its properties files.
    """

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: str
    site: str = Field("unknown", description="the site", examples=["NAASC"])
    environment: str = Field("unknown", description="the environment at that site", examples=["test"])
    authoritative_directory: AbsolutePath | None = Field(
        None,
        description="where the authoritative copies of these files can be read, if this is not the place",
        examples=["/nm/home/casa/capo"],
    )
    prefect: Prefect = Prefect()
    processing: Processing
    metadata: Metadata
    catalog: Catalog = Catalog()
    ngas: Ngas
    casa: Casa = Casa()
    cluster: Cluster = Cluster()
    broker: Broker = Broker()
    access: Access = Access()
    reports: Reports = Reports()
    sweep: Sweep = Sweep()
    notify: Notify = Notify()
    retention: Retention = Retention()

    _origins: dict[str, Origin] = PrivateAttr(default_factory=dict)
    _warnings: tuple[Problem, ...] = PrivateAttr(())
    _left_out: frozenset[str] = PrivateAttr(frozenset())

    @field_validator("prefect")
    @classmethod
    def _name_pool(cls, prefect: Prefect, info: ValidationInfo) -> Prefect:
        named = prefect.work_pool or "name" not in info.data
        return prefect if named else prefect.model_copy(update={"work_pool": slug(info.data["name"])})

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take the values given and nothing else: no environment variable overrides a profile."""
        return (init_settings,)

    @classmethod
    def load(cls, name: str | None = None, search_path: str | None = None) -> Self:
        """Read a profile from its CAPO properties.

        Parameters
        ----------
        name
            The profile; by default what CAPO_PROFILE says, else the installation that PPI runs from.
        search_path
            Directories, separated by colons; by default what CAPO_PATH says, else the built-in ones. `~/.capo` is
            always read last.

        Raises
        ------
        ProfileError
            The profile cannot be used; the message lists all that is wrong with it.
        """
        properties = read(name, search_path)
        source = CapoSource(cls, properties)
        made = cls._made(source)
        wrong = made if isinstance(made, tuple) else ()
        problems = (*properties.problems, *source.unknown(), *wrong)
        if problems or isinstance(made, tuple):
            raise ProfileError(properties.profile, tuple(sorted(problems, key=_place)))
        made._warnings = warnings_about(made, properties)
        return made

    @classmethod
    def _made(cls, source: CapoSource) -> Self | tuple[Problem, ...]:
        # Problems are handed back, not raised: an error raised here would carry pydantic's, which holds values.
        try:
            profile = cls(_build_sources=((source,), {}))
        except ValidationError as error:
            return source.explain(error)
        profile._origins.update(source.origins())
        profile._origins.update(profile._origins_of_logins())
        return profile

    def _origins_of_logins(self) -> dict[str, Origin]:
        """Return the origin of each name and password that was taken out of a URL: the URL's."""
        logins = [key for key in keys_of(type(self)) if key.path[-1] in {"username", "password"}]
        urls = {key.name: f"{key.name.rpartition('.')[0]}.url" for key in logins if key.value_in(self)}
        missing = {name: url for name, url in urls.items() if name not in self._origins}
        return {name: self._origins[url] for name, url in missing.items() if url in self._origins}

    @property
    def origins(self) -> Mapping[str, Origin]:
        """Where each value that is no default was read, by key."""
        return MappingProxyType(self._origins)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What should be looked at, though the profile can be used: a copy that is not the authoritative one."""
        return self._warnings

    @property
    def left_out(self) -> frozenset[str]:
        """Keys that this copy of the profile does not carry: none, unless it comes from blocks."""
        return self._left_out

    def describe(self) -> list[Setting]:
        """Return every key with its value, secrets masked, and where it was read."""
        keys = keys_of(type(self))
        return [Setting(key.name, shown(key.value_in(self)), self._origins.get(key.name)) for key in keys]


def _place(problem: Problem) -> tuple[str, int]:
    return (str(problem.origin.file), problem.origin.line) if problem.origin else ("", 0)

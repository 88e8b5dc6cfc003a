"""What a profile is: everything that differs between environments, in one frozen thing.

Each of its parts (where, what with, how) is a section of its own, so that it can be stored and shown by itself. A
field's description and example are what operators are told about its key.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    PrivateAttr,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from blocks._source import CapoSource
from blocks._types import (
    AbsolutePath,
    BrokerUrl,
    DatabaseUrl,
    HttpUrl,
    Projects,
    Servers,
    Size,
    Walltime,
    split_login,
)
from blocks.capo import read
from blocks.errors import Origin, Problem, ProfileError
from blocks.keys import FallBack, keys_of

__all__ = [
    "Access",
    "Broker",
    "Casa",
    "Catalog",
    "Cluster",
    "Database",
    "Metadata",
    "Ngas",
    "Prefect",
    "Processing",
    "Profile",
    "Reports",
    "Resources",
    "Setting",
]

_FETCHER = "edu.nrao.archive.datafetcher.DataFetcherSettings"


class Section(BaseModel):
    """A part of a profile: frozen, without unknown fields, and silent about its values when it refuses one."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, validate_by_name=True)


class Processing(Section):
    """The environment's area."""

    root_directory: AbsolutePath = Field(
        description="the environment's processing area",
        examples=["/lustre/naasc/web/almapipe/pipeline/naasc-test"],
    )
    store_directory: AbsolutePath = Field(
        default_factory=lambda given: given["root_directory"] / "store",
        description="the site's shared store of fetched files",
        examples=["/lustre/naasc/web/almapipe/store"],
    )


class Login(Section):
    """What a service with a name and password has; those in a URL are moved out of it."""

    username: str = Field("", description="the account; else the one in the URL", examples=["ppi_reader"])
    password: SecretStr = Field(
        SecretStr(""), description="its password; else the one in the URL", examples=["${env:PPI_PASSWORD}"]
    )

    @model_validator(mode="before")
    @classmethod
    def _split_login(cls, values: Any) -> Any:
        return split_login(values)


class Database(Login):
    """The Prefect server's own database: known to who serves the environment, and to no run."""

    url: DatabaseUrl | None = Field(
        None,
        description="the Prefect server's own database; else an SQLite file in the area",
        examples=["postgresql+psycopg://ppidb:5432/prefect_naasc_test"],
    )


class Prefect(Section):
    """The environment's own Prefect server."""

    api_url: HttpUrl | None = Field(
        None, description="the Prefect server's API", examples=["http://prefect-test:4200/api"]
    )
    work_pool: str | None = Field(
        None, description="the environment's work pool; else it has the profile's name", examples=["naasc-test"]
    )
    username: str = Field("", description="the account that the server asks for", examples=["ppi"])
    password: SecretStr = Field(
        SecretStr(""), description="its password", examples=["${env:PPI_PREFECT_PASSWORD}"]
    )
    retention_days: PositiveInt = Field(
        90, description="how long the server keeps runs, their logs and events", examples=["90"]
    )
    database: Database = Database()


class Metadata(Login):
    """The ALMA metadata database, which is only ever read."""

    url: DatabaseUrl = Field(
        description="the ALMA metadata database: SQLAlchemy URL (sqlite, postgresql+psycopg, oracle+oracledb)",
        examples=["postgresql+psycopg://almadb:5432/alma"],
    )
    schema_name: str = Field("", alias="schema", description="the schema of its tables", examples=["alma"])


class Catalog(Login):
    """The environment's own database."""

    url: DatabaseUrl | None = Field(
        None,
        description="the environment's own database: SQLAlchemy URL",
        examples=["postgresql+psycopg://ppidb:5432/naasc_test"],
    )


class Ngas(Section):
    """The archive's file servers, and the service that says what is where."""

    servers: Servers = Field(
        description="NGAS servers, host:port, separated by commas", examples=["ngas01:7777,ngas02:7777"]
    )
    streams_per_server: Annotated[PositiveInt, FallBack(f"{_FETCHER}.defaultThreadsPerHost")] = Field(
        4, description="files fetched at once from one server", examples=["4"]
    )
    timeout_seconds: float = Field(
        60.0, gt=0, allow_inf_nan=False, description="how long a server may be silent", examples=["60"]
    )
    username: str = Field("", description="the account, where servers ask for one", examples=["ppi"])
    password: SecretStr = Field(SecretStr(""), description="its password", examples=["${env:PPI_NGAS_PASSWORD}"])
    locator_service_url_prefix: Annotated[HttpUrl | None, FallBack(f"{_FETCHER}.locatorServiceUrlPrefix")] = Field(
        None, description="the locations report", examples=["https://archive-service/location"]
    )
    execution_site: Annotated[str | None, FallBack(f"{_FETCHER}.executionSite")] = Field(
        None, description="this site's name in a locations report", examples=["NAASC"]
    )


class Casa(Section):
    """How CASA is run."""

    executor: Literal["casatasks", "pipeline"] = Field(
        "casatasks", description="casatasks (the wheels) or pipeline (monolithic CASA)", examples=["casatasks"]
    )
    home: AbsolutePath | None = Field(
        None, description="where CASA versions are installed", examples=["/home/casa/packages/pipeline"]
    )
    default_version: str | None = Field(
        None, description="the CASA version to use; else the one that calibrated", examples=["6.5.4-9"]
    )
    timeout_seconds: PositiveInt = Field(
        6 * 3600, description="how long CASA may take for one execution block", examples=["21600"]
    )
    measures_directory: AbsolutePath | None = Field(
        None, description="CASA's measures data", examples=["/home/casa/data"]
    )


Cores = Annotated[PositiveInt, Field(description="cores of a job", examples=["1"])]
Memory = Annotated[Size, Field(description="memory of a job", examples=["16 GB"])]
Disk = Annotated[Size, Field(description="local disk of a job", examples=["20 GB"])]
Longest = Annotated[
    Walltime, Field(description="longest time of a job, hours:minutes:seconds", examples=["12:00:00"])
]


class Resources(Section):
    """What one job of a resource class asks of the cluster; the defaults are those of the class `light`.

    `memory` and `disk` are sizes as dask-jobqueue takes them; `requirements` is a ClassAd expression, and
    `concurrency_limits` names HTCondor's limits on what environments share.
    """

    cores: Cores = 1
    memory: Memory = "2 GB"
    disk: Disk = "2 GB"
    walltime: Longest = timedelta(hours=1)
    requirements: str | None = Field(
        None, description="ClassAd expression that a node must meet", examples=['(TARGET.NodeClass == "highmem")']
    )
    concurrency_limits: str | None = Field(
        None, description="HTCondor limits that a job counts against", examples=["ARCHIVE:1.5"]
    )


class TransferResources(Resources):
    """What a job that fetches or delivers asks for."""

    memory: Memory = "4 GB"
    disk: Disk = "10 GB"
    walltime: Longest = timedelta(hours=12)


class CasaResources(Resources):
    """What a job that runs CASA asks for."""

    memory: Memory = "16 GB"
    disk: Disk = "20 GB"
    walltime: Longest = timedelta(hours=24)


class Cluster(Section):
    """Where jobs run, and what each class of them asks for."""

    kind: Literal["local", "htcondor"] = Field(
        "local", description="local (this machine) or htcondor", examples=["htcondor"]
    )
    max_workers: PositiveInt | None = Field(
        None, description="most jobs at once; by default one a core of this machine", examples=["16"]
    )
    transfer: TransferResources = TransferResources()
    casa: CasaResources = CasaResources()
    light: Resources = Resources()


class Broker(Login):
    """The AMQP message broker."""

    url: BrokerUrl | None = Field(None, description="the AMQP message broker", examples=["amqp://amqp-test:5672/"])


class Access(Section):
    """What may be processed before it is public."""

    projects: Projects = Field(
        frozenset(),
        description="codes of projects whose proprietary data may be processed, separated by commas; * for all",
        examples=["2017.1.00886.L,2019.1.00001.S"],
    )


class Reports(Section):
    """Where browsers see what was delivered."""

    url: HttpUrl | None = Field(
        None,
        description="where the reports in `<rootDirectory>/delivered` are served",
        examples=["http://archive-test:4280"],
    )


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

    _origins: dict[str, Origin] = PrivateAttr(default_factory=dict)

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
            The profile; by default what CAPO_PROFILE says.
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

    def describe(self) -> list[Setting]:
        """Return every key with its value, secrets masked, and where it was read."""
        keys = keys_of(type(self))
        return [Setting(key.name, _shown(key.value_in(self)), self._origins.get(key.name)) for key in keys]


def _place(problem: Problem) -> tuple[str, int]:
    return (str(problem.origin.file), problem.origin.line) if problem.origin else ("", 0)


def _shown(value: object) -> str:
    """Write a value as it would stand in a properties file, except for a secret."""
    if value is None:
        return ""
    if isinstance(value, tuple | frozenset):
        return ",".join(sorted(value) if isinstance(value, frozenset) else value)
    if isinstance(value, timedelta):
        minutes, seconds = divmod(int(value.total_seconds()), 60)
        return f"{minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}"
    return f"{value:g}" if isinstance(value, float) else str(value)

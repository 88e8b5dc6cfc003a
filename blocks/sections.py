"""The parts of a profile: where (its area, its servers), what with (archive, databases, CASA), how (the cluster).

Each is a section of its own, so that it can be stored and shown by itself. A field's description and example are
what operators are told about its key.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from blocks._types import (
    AbsolutePath,
    AccountingGroup,
    BrokerUrl,
    ConcurrencyLimits,
    DatabaseUrl,
    Expression,
    HttpUrl,
    Interface,
    Names,
    Projects,
    Servers,
    Size,
    Walltime,
    number_of,
    split_login,
)
from blocks.keys import FallBack, NotSaved

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
    "Reports",
    "Resources",
    "Retention",
    "Sweep",
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
    store_limit: Size | None = Field(
        None, description="how large `ppi store prune` lets the store be", examples=["40 TB"]
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
    work_pool: str = Field(
        "", description="the environment's work pool; else it has the profile's name", examples=["naasc-test"]
    )
    username: str = Field("", description="the account that the server asks for", examples=["ppi"])
    password: Annotated[SecretStr, NotSaved()] = Field(
        SecretStr(""), description="its password", examples=["${env:PPI_PREFECT_PASSWORD}"]
    )
    retention_days: PositiveInt = Field(
        90, description="how long the server keeps runs, their logs and events", examples=["90"]
    )
    database: Annotated[Database, NotSaved()] = Database()

    @property
    def pages(self) -> str:
        """Where browsers see the server; empty for none."""
        return (self.api_url or "").rstrip("/").removesuffix("/api")


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
Memory = Annotated[Size, Field(description="memory of a job, where nothing is known yet", examples=["16 GB"])]
Disk = Annotated[Size, Field(description="local disk of a job", examples=["20 GB"])]
Longest = Annotated[
    Walltime, Field(description="longest time of a job, hours:minutes:seconds", examples=["12:00:00"])
]


class Resources(Section):
    """What one job of a resource class asks of the cluster; the defaults are those of the class `light`.

    `memory` and `disk` are sizes as dask-jobqueue takes them; `requirements` and `rank` are ClassAd expressions;
    `concurrency_limits` names HTCondor's limits on what environments share.
    """

    cores: Cores = 1
    memory: Memory = "2 GB"
    least_memory: Size = Field(
        default_factory=lambda given: min("512 MB", given["memory"], key=number_of),
        description="least memory of a job, however little was measured",
        examples=["1 GB"],
    )
    memory_limit: Size | None = Field(
        None,
        description="most memory of a job, however much was too little; else four times `memory`",
        examples=["64 GB"],
    )
    disk: Disk = "2 GB"
    walltime: Longest = timedelta(hours=1)
    requirements: Expression | None = Field(
        None, description="ClassAd expression that a node must meet", examples=['(TARGET.NodeClass == "highmem")']
    )
    rank: Expression | None = Field(
        None, description="ClassAd expression: nodes with more of it are preferred", examples=["TARGET.KFlops"]
    )
    concurrency_limits: ConcurrencyLimits | None = Field(
        None, description="HTCondor limits that a job counts against", examples=["ARCHIVE:1.5"]
    )
    accounting_group: AccountingGroup | None = Field(
        None, description="HTCondor accounting group of a job", examples=["group_prod.ppi"]
    )

    @field_validator("least_memory")
    @classmethod
    def _least_is_least(cls, least: str, info: ValidationInfo) -> str:
        memory = info.data.get("memory")
        if memory and number_of(least) > number_of(memory):
            raise ValueError(f"'{least}' is more than `memory` of that class, which is {memory}")
        return least

    @field_validator("memory_limit")
    @classmethod
    def _limit_is_most(cls, limit: str | None, info: ValidationInfo) -> str | None:
        memory = info.data.get("memory")
        if limit and memory and number_of(limit) < number_of(memory):
            raise ValueError(f"'{limit}' is less than `memory` of that class, which is {memory}")
        return limit


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
        None,
        description="most jobs at once of a stage; else one a core here, or 64 in htcondor",
        examples=["16"],
    )
    interface: Interface | None = Field(
        None,
        description="network interface at which jobs reach the run that they work for; else the host's own",
        examples=["ib0"],
    )
    condor_config: AbsolutePath | None = Field(
        None, description="the pool's condor_config; else HTCondor's own", examples=["/etc/condor/condor_config"]
    )
    condor_programs: AbsolutePath | None = Field(
        None, description="where condor_submit and its kin are; else on PATH", examples=["/usr/bin"]
    )
    python: AbsolutePath | None = Field(
        None,
        description="the Python of jobs, as their nodes see it; else the installation's",
        examples=["/home/ppi/dsoc-test/bin/python"],
    )
    log_directory: AbsolutePath | None = Field(
        None,
        description="where the logs of jobs are, as they and this host see it; else `jobs` in the area",
        examples=["/lustre/naasc/web/almapipe/pipeline/naasc-test/jobs"],
    )
    longest_idle: Walltime = Field(
        timedelta(hours=24),
        description="how long a job may wait for a node before its run gives up, hours:minutes:seconds",
        examples=["24:00:00"],
    )
    transfer: TransferResources = TransferResources()
    casa: CasaResources = CasaResources()
    light: Resources = Resources()


class Broker(Login):
    """The AMQP message broker."""

    url: BrokerUrl | None = Field(None, description="the AMQP message broker", examples=["amqp://amqp-test:5672/"])
    exchange: str = Field(
        "archive.events",
        pattern=r"^[\w.:-]{1,127}$",
        description="the topic exchange in which the archive's events are",
        examples=["archive.events"],
    )


class Sweep(Section):
    """How the environment finds what can be processed, and how much of it it starts by itself."""

    most_runs: PositiveInt = Field(8, description="most runs at once that sweeps have started", examples=["16"])
    audit_size: PositiveInt = Field(
        10_000,
        description="observations that each sweep looks at anew, whether or not anything tells that they changed",
        examples=["10000"],
    )
    since: date | None = Field(
        None,
        description="what became public before this day is left to people; else all is restored",
        examples=["2026-01-01"],
    )


class Notify(Section):
    """Whom runs that fail or crash are told to."""

    blocks: Names = Field(
        (),
        description="notification blocks on the Prefect server, type/name, separated by commas",
        examples=["slack-webhook/operators"],
    )


class Retention(Section):
    """How long what is not needed any more is kept."""

    attempts_days: PositiveInt = Field(
        30, description="days that the attempts are kept of what is delivered or given up", examples=["14"]
    )
    attempts_limit: Size | None = Field(
        None, description="how large those may be together, the oldest go first", examples=["20 TB"]
    )
    jobs_days: PositiveInt = Field(30, description="days that the logs of jobs are kept", examples=["30"])
    messages_days: PositiveInt = Field(
        30, description="days that the catalog keeps messages that were sent", examples=["30"]
    )


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

"""What the catalog holds, as plain values."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, String, Text, TypeDecorator
from sqlmodel import Field, SQLModel

from tasks.catalog.states import State

__all__ = ["PROCESS", "Execution", "Piece", "Product", "Record", "Stage", "Step", "Utc"]

PROCESS = "casa"
"""The name of the step that is a CASA process as a whole."""


class Utc(TypeDecorator[datetime]):
    """A time with its zone, which is UTC; SQLite knows no zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Write UTC."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Read UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class _StateText(TypeDecorator[State]):
    """A state, kept as its word."""

    impl = String(16)
    cache_ok = True

    def process_bind_param(self, value: State | None, dialect: Dialect) -> str | None:
        """Write the word."""
        return None if value is None else value.value

    def process_result_value(self, value: str | None, dialect: Dialect) -> State | None:
        """Read the word."""
        return None if value is None else State(value)


class _Sentences(TypeDecorator[tuple[str, ...]]):
    """Sentences, kept as a JSON list."""

    impl = JSON
    cache_ok = True

    def process_result_value(self, value: list[str] | None, dialect: Dialect) -> tuple[str, ...]:
        """Read them."""
        return tuple(value or ())


def _text(**options: Any) -> Any:
    return Field(sa_type=Text, **options)


class Execution(SQLModel):
    """One run of a flow on one observation; what is not known is None.

    Parameters
    ----------
    flow_run, flow
        Prefect's id of the run, and the flow's name.
    profile
        The environment.
    observation, project
        What it was run on.
    procedure, key
        What was asked for, and the hash of all that decides the result.
    host, account
        Where it ran, and as whom.
    owner
        The flow's process, as `tasks.cluster.tag.Owner` writes it.
    ppi_version, casa_version, calibrated_with, executor, recipe
        The software, and the CASA of the original calibration.
    state
        What became of it.
    verdict, reasons
        The verdict on what was made.
    error
        Why it did not come to that.
    started, finished
        UTC; one that was killed has no end.
    bytes_fetched
        What crossed the wire for it.
    delivery, report
        Where they are.
    """

    flow_run: str | None = Field(default=None, sa_type=String(36), index=True)
    flow: str = _text()
    profile: str = _text()
    observation: str = Field(sa_type=String(64), index=True)
    project: str | None = _text(default=None)
    procedure: str | None = _text(default=None)
    key: str | None = Field(default=None, sa_type=String(64))
    host: str | None = _text(default=None)
    account: str | None = _text(default=None)
    owner: str | None = _text(default=None)
    ppi_version: str | None = _text(default=None)
    casa_version: str | None = _text(default=None)
    calibrated_with: str | None = _text(default=None)
    executor: str | None = _text(default=None)
    recipe: str | None = _text(default=None)
    state: State = Field(default=State.RUNNING, sa_type=_StateText, index=True)
    verdict: str | None = _text(default=None)
    reasons: tuple[str, ...] = Field(default=(), sa_type=_Sentences)
    error: str | None = _text(default=None)
    started: datetime = Field(sa_type=Utc, index=True)
    finished: datetime | None = Field(default=None, sa_type=Utc)
    bytes_fetched: int | None = Field(default=None, sa_type=BigInteger)
    delivery: str | None = _text(default=None)
    report: str | None = _text(default=None)


class Stage(SQLModel):
    """A stage of an execution; one that did not end well has no time."""

    name: str = _text()
    started: datetime | None = Field(default=None, sa_type=Utc)
    wall_seconds: float | None = None


class Step(SQLModel):
    """A step: a fetch, one of CASA's steps, or ``casa``, a CASA process as a whole.

    Parameters
    ----------
    stage, name
        Which step of which stage.
    block
        The execution block; None for what belongs to all.
    wall_seconds, cpu_seconds, peak_memory_bytes
        As measured; None where that was not possible.
    bytes_fetched
        Of a fetch: what crossed the wire; 0 where the store held it.
    verdict
        The verdict on the execution block; None where it did not come to one.
    taken_over
        Whether an earlier run did it, and this one found it done.
    """

    stage: str = _text()
    block: str | None = Field(default=None, sa_type=String(64))
    name: str = _text()
    wall_seconds: float | None = None
    cpu_seconds: float | None = None
    peak_memory_bytes: int | None = Field(default=None, sa_type=BigInteger)
    bytes_fetched: int | None = Field(default=None, sa_type=BigInteger)
    verdict: str | None = _text(default=None)
    taken_over: bool = False


class Piece(SQLModel):
    """A piece of work, with all that it took of the place where it was done; steps happen in it.

    Parameters
    ----------
    stage, step
        Which step of which stage, as in ``process`` and ``restore``.
    item
        The execution block; None for what belongs to all.
    kind
        What else decides how much it takes, as in ``casatasks 6.7.0 hifa_restore``.
    input_bytes
        What it read or fetched; None where that is not known.
    wall_seconds
        Of the attempt that ended.
    cpu_seconds, peak_memory_bytes
        Of the worker and all its children; None where others worked in the same process.
    requested_memory_bytes
        What its job had asked for; None where it was no job.
    place
        The slot of its job, or the host.
    attempts
        How often it was begun until it ended.
    taken_over
        Whether an earlier run did it, and this one found it done.
    """

    stage: str = _text()
    step: str = _text()
    item: str | None = Field(default=None, sa_type=String(64))
    kind: str = _text(default="")
    input_bytes: int | None = Field(default=None, sa_type=BigInteger)
    wall_seconds: float | None = None
    cpu_seconds: float | None = None
    peak_memory_bytes: int | None = Field(default=None, sa_type=BigInteger)
    requested_memory_bytes: int | None = Field(default=None, sa_type=BigInteger)
    place: str | None = _text(default=None)
    attempts: int = 1
    taken_over: bool = False


class Product(SQLModel):
    """Something that was delivered.

    Parameters
    ----------
    path
        Where it was put.
    kind
        ``measurement set``, ``image``, ``request``, ``report`` or ``provenance``.
    size
        Bytes.
    checksum
        ``sha256:…`` of a file's content; ``columns-sha256:…`` of a measurement set's proven columns.
    provenance
        Checksum of the ``provenance.json`` that says how it was made.
    """

    path: str = _text()
    kind: str = _text()
    size: int | None = Field(default=None, sa_type=BigInteger)
    checksum: str | None = _text(default=None)
    provenance: str | None = _text(default=None)


class Record(Execution):
    """An execution with all that belongs to it, and its number in the catalog."""

    id: int
    stages: tuple[Stage, ...] = ()
    steps: tuple[Step, ...] = ()
    pieces: tuple[Piece, ...] = ()
    products: tuple[Product, ...] = ()

    @property
    def wall_seconds(self) -> float | None:
        """How long it took, if that is known."""
        return (self.finished - self.started).total_seconds() if self.finished else None

    @property
    def cpu_seconds(self) -> float | None:
        """Processor time of the CASA processes that this execution started itself, if any is known."""
        known = [step.cpu_seconds for step in self._processes() if step.cpu_seconds is not None]
        return sum(known) if known else None

    @property
    def peak_memory_bytes(self) -> int | None:
        """The most memory that one of those held, if that is known."""
        return max((step.peak_memory_bytes for step in self._processes() if step.peak_memory_bytes), default=None)

    def _processes(self) -> list[Step]:
        return [step for step in self.steps if step.name == PROCESS and not step.taken_over]

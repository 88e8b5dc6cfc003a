"""What is in the archive of what runs delivered, and how far the archiving of it has come.

A file is written down when the archive has it, so that what comes after a kill goes on from there. That a delivery
is archived whole is told in the transaction that writes down the last of its files, its provenance: so, once.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel, ConfigDict
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col, select, update

from tasks.catalog.connection import Database
from tasks.catalog.outbox import write
from tasks.catalog.tables import ArchivedRow, ExecutionRow, RequestRow

__all__ = ["ANNOUNCEMENT_KEY", "Archived", "Delivery", "Ingestions"]

ANNOUNCEMENT_KEY: Final = "ingestion-complete.products"
"""By which those hear of it who want to."""
_RUNNING, _COMPLETE, _FAILED = "running", "complete", "failed"
_TABLE = ArchivedRow.__table__  # type: ignore[attr-defined]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Archived(_Frozen):
    """A file that the archive has.

    Parameters
    ----------
    path
        What it is of the delivery.
    file_id, version, size, checksum, server
        As the archive says; bytes; ``crc32:<decimal>``, or ``none`` where it keeps none.
    """

    path: str
    file_id: str
    version: int
    size: int
    checksum: str
    server: str


class Delivery(_Frozen):
    """A delivery that is archived.

    Parameters
    ----------
    profile, observation, project, path
        Whose, of what, and where it is.
    key
        Hash of everything that decided the result.
    provenance
        Hash of its ``provenance.json``, by which it differs from every other delivery.
    flow_run
        Id of the run that delivered it.
    """

    profile: str
    observation: str
    project: str
    path: str
    key: str
    provenance: str
    flow_run: str | None


class Ingestions:
    """The archiving of deliveries, as an environment's catalog knows it.

    Parameters
    ----------
    database
        Of a catalog that is up to date.
    announces
        Whether there is somebody to tell: a broker.
    """

    def __init__(self, database: Database, *, announces: bool) -> None:
        self._database, self._announces = database, announces

    def known(self, delivery: Delivery) -> dict[str, Archived]:
        """Return the files of a delivery that are written down, by their path in it: of each the last version."""
        same = col(ArchivedRow.observation) == delivery.observation
        own = col(ArchivedRow.provenance) == delivery.provenance
        chosen = select(ArchivedRow).where(same, own).order_by(col(ArchivedRow.version))
        with self._database.reading() as connection, Session(connection) as session:
            return {row.path: Archived.model_validate(row.model_dump()) for row in session.exec(chosen)}

    def begin(self, delivery: Delivery, run: str) -> None:
        """Write down that a run archives a delivery."""
        with self._database.writing() as connection, Session(connection) as session:
            _note(session, delivery, run, _RUNNING, among=None)

    def add(self, delivery: Delivery, files: Iterable[Archived], now: datetime) -> None:
        """Write down files that the archive has."""
        with self._database.writing() as connection, Session(connection) as session:
            _put(session, delivery, tuple(files), now)

    def complete(self, delivery: Delivery, run: str, last: Archived, now: datetime) -> bool:
        """Write down that the archive has all of a delivery, and announce that if it is news.

        Parameters
        ----------
        last
            The file that the others do without: the provenance.

        Returns
        -------
        bool
            Whether it is news.
        """
        with self._database.writing() as connection, Session(connection) as session:
            is_news = bool(_put(session, delivery, (last,), now))
            number = _note(session, delivery, run, _COMPLETE, among=run)
            if is_news and self._announces:
                write(session, ANNOUNCEMENT_KEY, _message(session, delivery, run, number, now), now)
                session.flush()
            return is_news

    def fail(self, delivery: Delivery, run: str) -> None:
        """Write down that a run did not archive all of it; what the archive has stays written down."""
        with self._database.writing() as connection, Session(connection) as session:
            _note(session, delivery, run, _FAILED, among=run)


def _put(session: Session, delivery: Delivery, files: tuple[Archived, ...], now: datetime) -> tuple[str, ...]:
    """Write files down; return the paths of those that were not, or for another delivery of the same bytes."""
    if not files:
        return ()
    own = {"observation": delivery.observation, "provenance": delivery.provenance, "archived": now}
    insert = (postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert)(_TABLE)
    put = insert.values([file.model_dump() | own for file in files]).on_conflict_do_update(
        index_elements=["file_id", "version"],
        set_={name: insert.excluded[name] for name in ("observation", "path", "provenance")},
        where=_TABLE.c.provenance != insert.excluded.provenance,
    )
    return tuple(session.execute(put.returning(_TABLE.c.path)).scalars())


def _note(session: Session, delivery: Delivery, run: str, state: str, among: str | None) -> int | None:
    """Bring the ingestion of the request that led to a delivery to a state, if there is one; return its number.

    Parameters
    ----------
    among
        Only if it is this run's.
    """
    workflow = _workflow(session, delivery)
    chosen = (col(RequestRow.observation) == delivery.observation, col(RequestRow.workflow) == workflow)
    own = (col(RequestRow.ingestion_id) == among,) if among else ()
    change = update(RequestRow).where(*chosen, *own).values(ingestion_id=run, ingestion_state=state)
    session.exec(change)
    return session.exec(select(RequestRow.id).where(*chosen)).first()


def _workflow(session: Session, delivery: Delivery) -> str | None:
    """Return the flow that delivered it, if the catalog knows its run."""
    chosen = select(ExecutionRow.flow).where(col(ExecutionRow.flow_run) == delivery.flow_run)
    return session.exec(chosen).first() if delivery.flow_run else None


def _message(session: Session, delivery: Delivery, run: str, number: int | None, now: datetime) -> dict[str, Any]:
    """Return what is told: the delivery with all its files."""
    own = col(ArchivedRow.provenance) == delivery.provenance
    rows = session.exec(select(ArchivedRow).where(own).order_by(col(ArchivedRow.path), col(ArchivedRow.version)))
    last = {row.path: Archived.model_validate(row.model_dump()).model_dump() for row in rows}
    return {
        "profile": delivery.profile,
        "workflow": _workflow(session, delivery),
        "observation": delivery.observation,
        "project": delivery.project,
        "request": number,
        "flow_run": run,
        "key": delivery.key,
        "directory": delivery.path,
        "files": list(last.values()),
        "time": now.isoformat(),
    }

"""One observation out of the ALMA metadata database, in at most ten queries however many execution blocks it has.

What else the archive may leave empty, or fill with what is no id, is None in the answer. Only the row of the
MOUS's own status, its project and its project code are needed: without them nothing that is made from the answer
would be true.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row

from tasks.alma import statements
from tasks.alma.connection import Database, Reader
from tasks.alma.ids import PROJECT_CODE, EntityId
from tasks.alma.model import ArchiveFile, Delivery, Evidence, ExecutionBlock, ObservingUnitSet, Session
from tasks.alma.sessions import read_sessions
from tasks.alma.survey import Audit, Releases, Survey, evidence_of, surveyed
from tasks.errors import Missing, Refused

__all__ = ["MetadataArchive"]

_LAST = datetime.max.replace(tzinfo=UTC)
_EXECUTION_BLOCK = "asdm_uid of asa_science or asa_delivery_asdm_ous"


class MetadataArchive:
    """The ALMA archive's metadata, read only.

    Parameters
    ----------
    url
        SQLAlchemy URL: ``sqlite:///file``, ``postgresql+psycopg://...`` or ``oracle+oracledb://...``.
    schema
        Where the tables are; empty for the connection's own.
    username, password
        Used instead of those in the URL, if not empty.

    Raises
    ------
    Refused
        The URL cannot be used.
    """

    def __init__(self, url: str, schema: str = "", username: str = "", password: str = "") -> None:
        self._database = Database(url, schema, username, password)

    def observing_unit_set(self, mous: EntityId) -> ObservingUnitSet:
        """Return all that a restore of a MOUS needs to know.

        Raises
        ------
        Missing
            The MOUS, its status, or a table or column is not there.
        Transient
            The database cannot be reached.
        Refused
            The database does not let us in, or the project code, an execution block's id or the status XML in it
            is not one.
        """
        with self._database.reading() as reader:
            return _unit_set(mous, reader)

    def evidence(self, observations: Collection[str]) -> dict[str, Evidence]:
        """Return what decides on observations, in one query; those that are not known yet are left out.

        It raises what `observing_unit_set` raises of the database.
        """
        with self._database.reading(many=True) as reader:
            return evidence_of(observations, reader)

    def survey(self, releases: Releases, audit: Audit) -> Survey:
        """Return what decides on what has become public, and on a page of all observations, in one query.

        It raises what `observing_unit_set` raises of the database.
        """
        with self._database.reading(many=True) as reader:
            return surveyed(releases, audit, reader)


def _unit_set(mous: EntityId, reader: Reader) -> ObservingUnitSet:
    status, key = reader.first(statements.unit_set(mous)), reader.first(statements.archive_key(mous))
    if status is None:
        raise _unknown(mous, key is not None or bool(reader.rows(statements.observed(mous))))
    code = _project_code(mous, key, reader)
    quality = reader.first(statements.quality(mous))
    name = f"{code}_{mous.file_form}"
    sessions = read_sessions(status.status_xml, mous)
    blocks = _execution_blocks(reader.rows(statements.execution_blocks(mous, name)), sessions)
    sched_block, sched_block_status = _sched_block(reader.rows(statements.sched_blocks(mous)), blocks)
    return ObservingUnitSet(
        mous=mous,
        gous=_id(status.gous, key.gous if key else None),
        sous=_id(status.sous),
        project_code=code,
        project_uid=_project_uid(
            mous,
            status.project_uid,
            status.listed_project_uid,
            quality.project_uid if quality else None,
        ),
        project_status=_id(status.project_status, status.listed_project_status),
        part_id=status.part_id or (quality and quality.part_id),
        sched_block=sched_block,
        sched_block_status=sched_block_status,
        state=status.state,
        qa2_status=quality and quality.qa2_status,
        sessions=sessions,
        execution_blocks=blocks,
        products=_products(reader.rows(statements.products(mous))),
        delivery=_delivery(reader.rows(statements.deliveries(name))),
    )


def _unknown(mous: EntityId, archived: bool) -> Missing:
    if archived:
        return Missing(
            f"the status of MOUS {mous} is unknown",
            "the archive has data of it, but obs_unit_set_status has no row for it",
            "wait until the status is replicated, or ask the archive's operators",
        )
    return Missing(
        f"MOUS {mous} is unknown",
        "the ALMA metadata database has nothing under this id",
        "check the id; it must be that of a member observing unit set",
    )


def _project_code(mous: EntityId, key: Row[Any] | None, reader: Reader) -> str:
    if key and key.project_code:
        return _plain(key.project_code, mous)
    codes = sorted(row.project_code for row in reader.rows(statements.observed(mous)) if row.project_code)
    if not codes:
        raise Missing(
            f"the project code of MOUS {mous} is unknown",
            "neither asa_ous nor asa_science has it",
            "wait until it is archived, or ask the archive's operators",
        )
    return _plain(codes[0], mous)


def _plain(code: str, mous: EntityId) -> str:
    """Require a code that is safe to name directories by."""
    if not PROJECT_CODE.fullmatch(code):
        raise Refused(
            f"the project code of MOUS {mous} cannot be used",
            f"{code!r} does not read like 2017.1.00886.L",
            "ask the archive's operators",
        )
    return code


def _project_uid(mous: EntityId, *texts: str | None) -> EntityId:
    uid = _id(*texts)
    if uid is None:
        raise Missing(
            f"the project of MOUS {mous} is unknown",
            "obs_unit_set_status, obs_project_status and aqua_ous all lack an id of it",
            "ask the archive's operators",
        )
    return uid


def _execution_blocks(rows: Iterable[Row[Any]], sessions: tuple[Session, ...]) -> tuple[ExecutionBlock, ...]:
    number = {uid: session.number for session in reversed(sessions) for uid in session.execution_blocks}
    found = {EntityId.of_column(row.asdm_uid, _EXECUTION_BLOCK): row for row in rows}
    order = sorted(
        found, key=lambda uid: (number.get(uid, len(sessions) + 1), found[uid].first_start or _LAST, uid)
    )
    return tuple(_execution_block(uid, found[uid]) for uid in order)


def _execution_block(uid: EntityId, row: Row[Any]) -> ExecutionBlock:
    raw = ArchiveFile(file_id=f"{uid.file_form}.asdm.sdm.tar", file_class="raw", size=row.raw_size)
    return ExecutionBlock(uid=uid, sched_block=_id(row.sched_block), raw=raw)


def _sched_block(
    rows: Sequence[Row[Any]], blocks: tuple[ExecutionBlock, ...]
) -> tuple[EntityId | None, EntityId | None]:
    """Choose the scheduling block of the first execution block: a PPR holds exactly one."""
    observed = next((block.sched_block for block in blocks if block.sched_block), None)
    known = [(uid, _id(row.status)) for row in rows if (uid := _id(row.sched_block))]
    return next((pair for pair in known if pair[0] == observed), known[0] if known else (observed, None))


def _products(rows: Iterable[Row[Any]]) -> tuple[ArchiveFile, ...]:
    """Put the files in the order of their names here: each database has a sorting order of its own."""
    files = (ArchiveFile(file_id=row.file_id, file_class=row.file_class or "", size=row.file_size) for row in rows)
    products = (file for file in files if file.file_class.casefold() != "raw")
    return tuple(sorted(products, key=lambda file: file.file_id))


def _delivery(rows: Iterable[Row[Any]]) -> Delivery | None:
    """Take the delivery that is public last: of two, an unknown date or a later one is the safe one."""
    found = [Delivery(name=row.name, release_date=row.release_date, qa2_passed=row.qa2_passed) for row in rows]
    return max(found, key=lambda delivery: delivery.release_date or _LAST, default=None)


def _id(*texts: str | None) -> EntityId | None:
    """Return the first that reads as an id: archives also write 'Undefined' where they know none."""
    for text in texts:
        with suppress(Refused):
            return EntityId(text or "")
    return None

"""Many observations at a time out of the ALMA metadata database: what has become public, and a page of all.

An observation whose id or project code is none, or whose status has no row yet, is left out: `observing_unit_set`
would refuse it too. One that `asa_ous` has only under its own key, and under no member id, is in no page; it is
found when it becomes public, or by who names it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from tasks.alma import surveys
from tasks.alma.connection import Reader
from tasks.alma.ids import PROJECT_CODE, EntityId
from tasks.alma.model import Evidence
from tasks.errors import Refused

__all__ = ["Audit", "Releases", "Survey", "evidence_of", "surveyed"]


@dataclass(frozen=True)
class Releases:
    """Which releases to look at.

    Parameters
    ----------
    after
        Those after this date and name; None for all. Of an empty name, the date itself is looked at too.
    until
        Those up to this time.
    most
        The first so many.
    """

    after: tuple[datetime, str] | None
    until: datetime
    most: int


@dataclass(frozen=True)
class Audit:
    """Which page of all observations to look at.

    Parameters
    ----------
    after
        It begins after this id, in the database's own order; None for the first page.
    most
        How many it has.
    """

    after: str | None
    most: int


@dataclass(frozen=True)
class Survey:
    """What decides on some observations.

    Parameters
    ----------
    evidence
        Of each observation.
    released
        Date and name of the last of the releases, where there may be more; None where there are none.
    audited
        The last of the page; None where it was the last page.
    """

    evidence: dict[str, Evidence]
    released: tuple[datetime, str] | None
    audited: str | None


def evidence_of(observations: Collection[str], reader: Reader) -> dict[str, Evidence]:
    """Read what decides on observations."""
    listed = tuple(_ids(observations))
    return _merged(reader.rows(surveys.evidence(listed))) if listed else {}


def surveyed(releases: Releases, audit: Audit, reader: Reader) -> Survey:
    """Read what decides on what was released, and on a page of all."""
    question = surveys.survey(releases.after, releases.until, releases.most, audit.after, audit.most)
    rows = reader.rows(question)
    last = max(rows, key=lambda row: row.number, default=None)
    page = {row.mous: row.place for row in rows if row.number == 0}
    return Survey(
        evidence=_merged(rows),
        released=(last.moment or releases.until, last.place) if last and last.number == releases.most else None,
        audited=next(iter(page.values())) if page and len(page) == audit.most else None,
    )


def _ids(texts: Iterable[str]) -> Iterator[EntityId]:
    for text in texts:
        with suppress(Refused):
            yield EntityId(text)


def _merged(rows: Iterable[Row[Any]]) -> dict[str, Evidence]:
    """Bring together what the archive has of an observation under several keys."""
    found: dict[str, Evidence] = {}
    for row in rows:
        if one := _evidence(row):
            found[one.mous] = _both(found[one.mous], one) if one.mous in found else one
    return found


def _evidence(row: Row[Any]) -> Evidence | None:
    code = row.project_code or ""
    if not (row.mous and row.status and PROJECT_CODE.fullmatch(code)):
        return None
    with suppress(Refused):
        files, release = row.files or "00", row.release_date
        return Evidence(
            mous=EntityId(row.mous),
            project_code=code,
            calibration=files[0] == "1",
            science=files[1] == "1",
            hand_script=files[2:].strip() or None,
            state=row.state,
            qa2_status=row.qa2_status,
            release_date=None if release is None or release >= surveys.UNKNOWN_RELEASE else release,
        )
    return None


def _both(one: Evidence, other: Evidence) -> Evidence:
    return replace(
        one,
        calibration=one.calibration or other.calibration,
        science=one.science or other.science,
        hand_script=one.hand_script or other.hand_script,
    )

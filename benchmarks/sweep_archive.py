"""An observatory of many observations, made by the database itself: real-looking rows, four products each.

Of five observations one is not public yet, of twenty one is not calibrated, and the rest have been public for
long, and are restored.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Final

from sqlalchemy import create_engine, text

from tasks.alma.tables import METADATA

__all__ = ["PRIVATE", "fill", "fill_catalog", "release"]

PRIVATE: Final = 5
"""Of so many observations one is not public."""
_MADE: Final = """
CREATE UNLOGGED TABLE made AS SELECT n, 'uid://A001/X' || to_hex(4000 + n / 4096) || '/X' || to_hex(n) AS mous,
  to_char(2011 + n / 20 % 14, 'FM0000') || '.1.' || to_char(n / 20 % 100000, 'FM00000') || '.S' AS code,
  n % 20 = 1 AS raw, n % 5 = 0 AS private
FROM generate_series(0, :size - 1) AS n
"""
_ROWS: Final = (
    "INSERT INTO asa_ous (asa_ous_id, asa_project_code, group_ous_uid, member_ous_uid)"
    " SELECT 'A' || n, code, mous || 'a', mous FROM made",
    "INSERT INTO asa_delivery_status (delivery_id, delivery_name, release_date, qa2_passed)"
    " SELECT 'd' || n, code || '_' || replace(replace(mous, '://', '___'), '/', '_'), CASE WHEN private"
    " THEN timestamp '2030-01-01' ELSE timestamp '2014-01-01' + n % 4000 * interval '1 day' END, 'Y' FROM made",
    "INSERT INTO asa_product_files (asa_ous_id, ngas_file_id, file_class, stored_size)"
    " SELECT 'A' || n, 'member.' || replace(replace(mous, '://', '___'), '/', '_') || '.' || name, kind, 10000 + n"
    " FROM made, (VALUES ('session_1.caltables.tgz', 'calibration'), ('hifa_calimage.weblog.tgz', 'auxiliary'),"
    " ('science_target_sci.spw25.cube.I.pbcor.fits', 'science'), ('asdm.sdm.tar', 'raw')) AS file (name, kind)"
    " WHERE NOT (raw AND kind = 'calibration')",
    "INSERT INTO obs_unit_set_status (status_entity_id, domain_entity_id, domain_entity_state,"
    " parent_obs_unit_set_status_id, obs_project_status_id, obs_project_id, xml)"
    " SELECT mous, 'X' || n, 'Delivered', mous || 'a', mous || 'b', mous || 'c', repeat(md5('' || n), 30)"
    " FROM made",
    "INSERT INTO aqua_ous (obsunitsetuid, obsunitsetpartid, ous_status_entity_id, qa2status)"
    " SELECT mous || 'c', 'X' || n, mous, 'Pass' FROM made",
)
_DONE: Final = """
INSERT INTO request (workflow, observation, project, origin, priority, reason, state, asked, changed, due, turn,
  tries, launches)
SELECT 'restore-ous', mous, code, 'sweep', 0, 'delivered', 'succeeded', now(), now(), now(), n % 20, 1, 1
FROM made WHERE NOT raw AND NOT private
"""


def fill(url: str, size: int) -> None:
    """Make the tables of an observatory with so many observations in an empty database."""
    engine = create_engine(url)
    METADATA.create_all(engine)
    with engine.begin() as connection:
        connection.execute(text(_MADE), {"size": size})
        for statement in _ROWS:
            connection.execute(text(statement))
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text("VACUUM ANALYZE"))
    engine.dispose()


def fill_catalog(url: str, size: int) -> None:
    """Write into a new catalog that all that is public is restored."""
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(_MADE), {"size": size})
        connection.execute(text(_DONE))
        connection.execute(text("DROP TABLE made"))
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text("VACUUM ANALYZE"))
    engine.dispose()


def release(url: str, numbers: Collection[int], moment: datetime) -> None:
    """Let some of those that are private become public: the first, the second, ..."""
    engine = create_engine(url)
    statement = (
        "UPDATE asa_delivery_status SET release_date = :moment WHERE delivery_id IN"
        " (SELECT 'd' || n * 5 FROM generate_series(CAST(:first AS int), CAST(:last AS int)) AS n)"
    )
    with engine.begin() as connection:
        if numbers:
            values = {"moment": moment.replace(tzinfo=None), "first": min(numbers), "last": max(numbers)}
            connection.execute(text(statement), values)
    engine.dispose()

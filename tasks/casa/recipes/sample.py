"""A sample of a measurement set that is small enough to draw: one polarization on the baselines of one antenna."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.casa.recipes.tables import columns, opened, selected

__all__ = ["Sample", "sample"]

_MOST_ROWS = 4000
_MOST_BYTES = 64 * 2**20
"""Of one column, as CASA hands it out."""


@dataclass(frozen=True)
class Sample:
    """What one spectral window looks like on the baselines of one antenna.

    Parameters
    ----------
    spw
        The spectral window.
    time
        Seconds of MJD, shape (rows,).
    field_id, baseline
        Index of the field and of the other antenna, shape (rows,).
    data, corrected
        Visibilities before and after, shape (channels, rows).
    flag
        Shape (channels, rows).
    """

    spw: int
    time: NDArray[np.float64]
    field_id: NDArray[np.int64]
    baseline: NDArray[np.int64]
    data: NDArray[np.complex64]
    corrected: NDArray[np.complex64]
    flag: NDArray[np.bool_]


def sample(vis: str, windows: list[int], antenna: int) -> Iterator[Sample]:
    """Yield a sample for each spectral window that has rows on baselines of `antenna`.

    At most 4000 rows, and at most 64 MiB of each column, are read for each, evenly spread over the observation.
    """
    condition = f"ANTENNA1!=ANTENNA2 && (ANTENNA1=={antenna} || ANTENNA2=={antenna})"
    with opened(vis) as main:
        for description, window in enumerate(windows):
            with selected(main, f"DATA_DESC_ID=={description} && {condition}") as rows:
                if rows.nrows():
                    yield _read(_thinned(rows), window, antenna)


def _thinned(rows: Any) -> Any:
    most = max(1, min(_MOST_ROWS, _MOST_BYTES // (16 * rows.getcell("FLAG", 0).size)))
    step = -(-rows.nrows() // most)
    return rows if step == 1 else rows.selectrows(list(range(0, rows.nrows(), step)))


def _read(rows: Any, window: int, antenna: int) -> Sample:
    names = ("TIME", "FIELD_ID", "ANTENNA1", "ANTENNA2", "DATA", "CORRECTED_DATA", "FLAG")
    values = columns(rows, names)
    first, second = values["ANTENNA1"], values["ANTENNA2"]
    return Sample(
        spw=window,
        time=values["TIME"],
        field_id=values["FIELD_ID"],
        baseline=np.where(first == antenna, second, first),
        data=values["DATA"][0],
        corrected=values["CORRECTED_DATA"][0],
        flag=values["FLAG"][0],
    )

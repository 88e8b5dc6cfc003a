"""Draw a restored execution block before and after: where people would rather look than read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tasks.casa.recipes.sample import Sample

__all__ = ["draw"]

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_MOST_POINTS = 3000
_Points = dict[int, tuple[NDArray[Any], NDArray[Any]]]


def draw(
    path: Path,
    title: str,
    samples: tuple[Sample, ...],
    fields: list[str],
    by_antenna: Mapping[str, float],
    by_spw: Mapping[str, float],
) -> None:
    """Draw amplitude and phase against time and channel, before and after, and the flagged fractions.

    Parameters
    ----------
    path
        The PNG file to write.
    samples
        What to draw; their data before and after.
    by_antenna, by_spw
        Flagged fractions, 0 to 1.
    """
    figure = Figure(figsize=(12, 14))
    figure.suptitle(title, y=0.985)
    grid = figure.add_gridspec(5, 2, left=0.07, right=0.98, top=0.95, bottom=0.05, hspace=0.42, wspace=0.16)
    for row, (against, label) in enumerate(((_against_time, "minutes"), (_against_channel, "channel, by spw"))):
        axes = [[figure.add_subplot(grid[2 * row + part, column]) for column in (0, 1)] for part in (0, 1)]
        for column, name in enumerate(("before", "after")):
            points = against(samples, name == "after")
            _panel(axes[0][column], points, np.abs, "amplitude", f"{name}: amplitude against {label}")
            _panel(axes[1][column], points, _degrees, "phase (deg)", f"{name}: phase against {label}")
            axes[1][column].set_ylim(-180, 180)
            axes[1][column].set_xlabel(label)
    _legend(figure.axes[0], samples, fields)
    _bars(figure.add_subplot(grid[4, 0]), by_antenna, "flagged by antenna")
    _bars(figure.add_subplot(grid[4, 1]), by_spw, "flagged by spectral window")
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=90)


def _degrees(values: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(np.degrees(np.angle(values)))


def _values(part: Sample, after: bool) -> np.ma.MaskedArray[Any, Any]:
    return np.ma.MaskedArray(part.corrected if after else part.data, mask=part.flag)


def _against_time(samples: tuple[Sample, ...], after: bool) -> _Points:
    """Average over channels; one point for each row."""
    start = min((float(part.time.min()) for part in samples), default=0.0)
    return _by_field(
        (part.field_id, (part.time - start) / 60, _values(part, after).mean(axis=0)) for part in samples
    )


def _against_channel(samples: tuple[Sample, ...], after: bool) -> _Points:
    """Average over time; one point for each baseline, field and channel, spectral windows side by side."""
    return _by_field(_spectra(samples, after))


def _spectra(
    samples: tuple[Sample, ...], after: bool
) -> Iterator[tuple[NDArray[Any], NDArray[Any], np.ma.MaskedArray[Any, Any]]]:
    offset = 0
    for part in samples:
        values, channels = _values(part, after), np.arange(part.data.shape[0]) + offset
        for index in np.unique(part.field_id):
            for other in np.unique(part.baseline):
                spectrum = values[:, (part.field_id == index) & (part.baseline == other)].mean(axis=1)
                yield np.full(channels.shape, index), channels, np.ma.asarray(spectrum)
        offset += part.data.shape[0]


def _by_field(series: Iterator[tuple[NDArray[Any], NDArray[Any], np.ma.MaskedArray[Any, Any]]]) -> _Points:
    gathered: dict[int, tuple[list[NDArray[Any]], list[NDArray[Any]]]] = {}
    for field_id, x, y in series:
        good = ~np.ma.getmaskarray(y)
        for index in np.unique(field_id):
            chosen = good & (field_id == index)
            xs, ys = gathered.setdefault(int(index), ([], []))
            xs.append(x[chosen])
            ys.append(np.asarray(y)[chosen])
    return {index: (np.concatenate(xs), np.concatenate(ys)) for index, (xs, ys) in gathered.items()}


def _panel(axes: Axes, points: _Points, of: Callable[[Any], Any], label: str, title: str) -> None:
    for index, (x, y) in sorted(points.items()):
        step = -(-len(x) // _MOST_POINTS) or 1
        axes.plot(
            x[::step],
            of(y[::step]),
            ".",
            markersize=1.6,
            markeredgewidth=0,
            color=_COLOURS[index % len(_COLOURS)],
            rasterized=True,
        )
    axes.set_ylabel(label)
    axes.set_title(title, fontsize="medium")


def _legend(axes: Axes, samples: tuple[Sample, ...], fields: list[str]) -> None:
    for index in sorted({int(value) for part in samples for value in np.unique(part.field_id)}):
        axes.plot([], [], "o", color=_COLOURS[index % len(_COLOURS)], label=fields[index], markersize=4)
    axes.legend(fontsize="small", loc="best")


def _bars(axes: Axes, fractions: Mapping[str, float], title: str) -> None:
    axes.bar(range(len(fractions)), [100 * value for value in fractions.values()], color=_COLOURS[0])
    axes.set_xticks(range(len(fractions)), list(fractions), rotation=90 if len(fractions) > 8 else 0)
    axes.set_ylabel("%")
    axes.set_title(title, fontsize="medium")

"""The figures of the cluster as a picture, since people would rather look than read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.cluster_figures import FanOut, Figures
from benchmarks.ratio import median

__all__ = ["plot"]

_QUEUE, _START, _POOL, _LOCAL, _FILES = "#9aa5b1", "#1f6feb", "#1f6feb", "#9aa5b1", "#c2410c"


def plot(figures: Figures, path: Path) -> Path:
    """Draw both parts, and return where the picture is."""
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    path.parent.mkdir(parents=True, exist_ok=True)
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.2), layout="constrained")
    _draw_starts(left, figures)
    _draw_blocks(right, figures)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)
    plt.close(figure)
    return path


def _draw_starts(axes: Any, figures: Figures) -> None:
    names = list(figures.starts)
    queue = [figures.starts[name].process for name in names]
    rest = [figures.starts[name].work - figures.starts[name].process for name in names]
    labels = [f"{name}\n{figures.starts[name].work:.2f} s" for name in names]
    axes.barh(labels, queue, color=_QUEUE, label="until the job's process starts")
    axes.barh(labels, rest, left=queue, color=_START, label="Python, connection, work")
    for row, name in enumerate(names):
        works = [start.work for start in figures.starts[name].starts]
        axes.plot(works, [row] * len(works), "|", color="black", markersize=10)
    axes.invert_yaxis()
    axes.set(title="From the call to the first work", xlabel="seconds (median; a stroke is a run)")
    axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)


def _draw_blocks(axes: Any, figures: Figures) -> None:
    ways = (("stage on the pool", figures.blocks, _POOL), ("stage on this machine", figures.local, _LOCAL))
    for name, blocks, colour in ways:
        axes.plot(*_points(blocks), "o-", color=colour, label=name)
    if figures.files:
        what = f"{figures.files.items} files of {max(figures.blocks)}, a Prefect task each"
        axes.plot([max(figures.blocks)], [figures.files.wall], "s", color=_FILES, label=what)
    axes.set_ylim(bottom=0)
    axes.set(
        title="Null work on four workers", xlabel="execution blocks", ylabel="seconds", xticks=[*figures.blocks]
    )
    axes.legend(frameon=False)


def _points(blocks: dict[int, list[FanOut]]) -> tuple[list[int], list[float]]:
    return list(blocks), [median([run.wall for run in runs]) for runs in blocks.values()]

"""Why a run failed, for its own page: the reason, what to do next, and where to read more."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Final
from urllib.parse import quote

from tasks.errors import Failed, PpiError
from tasks.report.marks import plain
from tasks.workspace.casalogs import ATTEMPTS, written_since
from tasks.workspace.layout import Tree

__all__ = ["markdown"]

_MOST_REASONS: Final = 12
_MOST_LOGS: Final = 20


def markdown(observation: str, error: Exception, tree: Tree | None, begun: datetime, url: str | None) -> str:
    """Tell why a run failed; every name is escaped.

    Parameters
    ----------
    tree
        The attempt that it worked at, if it came to that.
    begun
        When the run began: what CASA said before is not of this run.
    url
        Where browsers see reports and logs, if they do: ``ppi.reports.url``.
    """
    told = error if isinstance(error, PpiError) else None
    reasons = told.reasons if isinstance(told, Failed) and told.reasons else (told.why if told else str(error),)
    what = told.what if told else type(error).__name__
    sections = (
        f"# {type(error).__name__}: {plain(observation)}",
        plain(what),
        _listed([plain(reason) for reason in reasons if reason], _MOST_REASONS),
        f"**Next:** {plain(_short(told.todo, tree))}" if told and told.todo else "",
        _logs(tree, begun, url) if tree else "",
    )
    return "\n\n".join(section for section in sections if section)


def _short(text: str, tree: Tree | None) -> str:
    """Leave out the longest part of a path, of which a page would show no more than the beginning."""
    return text.replace(str(tree.mous), "…") if tree else text


def _logs(tree: Tree, begun: datetime, url: str | None) -> str:
    links = [_link(path, tree.root, url) for path in written_since(tree.working, begun)]
    return f"**What CASA said:**\n\n{_listed(links, _MOST_LOGS)}" if links else ""


def _link(path: Path, root: Path, url: str | None) -> str:
    if not url:
        return plain(str(path))
    relative = path.relative_to(root).as_posix()
    page = f"{url.rstrip('/')}/{ATTEMPTS}/{quote(relative)}"
    return f"[open](<{page}>) {plain('/'.join(path.parts[-2:]))}"


def _listed(lines: Iterable[str], most: int) -> str:
    every = list(lines)
    more = [f"and {len(every) - most} more"] if len(every) > most else []
    return "\n".join(f"- {line}" for line in (*every[:most], *more))

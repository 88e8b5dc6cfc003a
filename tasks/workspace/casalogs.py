"""Where CASA's logs are, by the names that people give execution blocks: few type a whole uid."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Final

from tasks.alma.ids import EntityId
from tasks.casa.environment import CASA_LOG
from tasks.errors import Missing, PpiError, Refused
from tasks.workspace.layout import Area

__all__ = ["ATTEMPTS", "is_log", "log_of_block", "log_of_pipeline", "written_since"]

_WORKING: Final = "[!.]*/SOUS_*/GOUS_*/MOUS_{mous}/working"
ATTEMPTS: Final = "attempts"
"""Where browsers see what CASA said, below ``ppi.reports.url``."""
_SAID: Final = ("casa*.log", "stderr.txt")
_LOG: Final = re.compile(
    r"[^/]+/SOUS_[^/]+/GOUS_[^/]+/MOUS_[^/]+/working/(?:attempts/)?(?:[^/]+/)?(?:casa[\w.-]*\.log|stderr\.txt)"
)
_ROOMS: Final = (
    (f"{_WORKING}/attempts/*/{CASA_LOG}", f"{_WORKING}/uid___*/{CASA_LOG}"),
    (f"delivered/*/MOUS_{{mous}}/log/*/{CASA_LOG}",),
)
"""Where logs are while CASA works or has worked; and only then looked for, when all is delivered."""


def log_of_block(area: Area, block: str, observation: EntityId | None = None) -> Path:
    """Return CASA's log of an execution block: that of them in which something was written last.

    Parameters
    ----------
    block
        Its uid in any spelling, or the end of that, as ``X2dfe`` or ``Xc72427_X2dfe``.
    observation
        Of this one only.

    Raises
    ------
    Missing
        CASA has not worked on it.
    Refused
        Several are called so.
    """
    found = next(filter(None, _logs(area, _ending(block), observation)), None)
    if not found:
        todo = "see `ppi status` for what is worked on"
        raise Missing(f"CASA's log of execution block {block}", "CASA has not worked on such a one", todo)
    names = sorted({_name(path).lower(): _name(path) for path in found}.values())
    if len(names) > 1:
        raise Refused(f"execution block {block}", f"{', '.join(names)} are called so", "give its whole uid")
    return max(found, key=_changed)


def log_of_pipeline(area: Area, observation: EntityId) -> Path:
    """Return the log of the pipeline's CASA, which works on all execution blocks of an observation.

    Raises
    ------
    Missing
        It has not worked on it.
    """
    found = [*area.root.glob(f"{_WORKING.format(mous=observation.file_form)}/{CASA_LOG}")]
    if not found:
        todo = "see `ppi status` for what is worked on"
        raise Missing(f"the pipeline's log of {observation}", "it has not worked on that", todo)
    return max(found, key=_changed)


def written_since(working: Path, begun: datetime) -> list[Path]:
    """Return what CASA said in an attempt since a time, where it said anything; the last first.

    Parameters
    ----------
    working
        Where CASA works.
    """
    places = ("", "uid___*/", f"{ATTEMPTS}/*/")
    found = [path for place in places for name in _SAID for path in working.glob(f"{place}{name}")]
    told = [path for path in found if _changed(path) >= begun.timestamp() and path.stat().st_size]
    return sorted(told, key=_changed, reverse=True)


def is_log(path: str) -> bool:
    """Tell whether a path, relative to the area, is that of something that CASA said in an attempt."""
    return _LOG.fullmatch(path) is not None


def _logs(area: Area, ending: str, observation: EntityId | None) -> Iterator[list[Path]]:
    mous = observation.file_form if observation else "*"
    for room in _ROOMS:
        paths = chain.from_iterable(area.root.glob(place.format(mous=mous)) for place in room)
        yield [path for path in paths if _is_called(_name(path), ending)]


def _name(log: Path) -> str:
    """Return the execution block of a log; the directories of attempts at it are numbered."""
    return log.parent.name.partition(".")[0]


def _ending(block: str) -> str:
    try:
        return EntityId.parse(block).file_form.lower()
    except PpiError:
        return block.strip().lower()


def _is_called(name: str, ending: str) -> bool:
    return bool(ending) and f"_{name}".lower().endswith(f"_{ending}")


def _changed(path: Path) -> float:
    """Return when a file was written; one that is just gone was never."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0

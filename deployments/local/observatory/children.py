"""Makes the execution blocks of the small observatory, each in a CASA child, two at a time."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from deployments.local.observatory.request import BlockRequest, BlockResult
from tasks.alma.ids import EntityId
from tasks.casa.environment import child_environment
from tasks.casa.executor import child_error
from tasks.casa.launch import Launch, ending_children, run
from tasks.casa.request import REQUEST, RESULT
from tasks.errors import Failed

__all__ = ["MadeBlock", "make_blocks"]

_AT_ONCE = 2
_TIMEOUT_SECONDS = 3600.0


@dataclass(frozen=True)
class MadeBlock:
    """An execution block and the directory that its result's paths start from."""

    request: BlockRequest
    directory: Path
    result: BlockResult

    def path(self, relative: Path) -> Path:
        """Return where one of the result's files lies."""
        return self.directory / relative


def make_blocks(
    requests: Mapping[EntityId, BlockRequest], work: Path, measures: Path, on_done: Callable[[int], None]
) -> dict[EntityId, MadeBlock]:
    """Make execution blocks; the first failure ends the others.

    Parameters
    ----------
    requests
        By execution block.
    work
        Gets a directory for each.
    measures
        CASA's measures tables.
    on_done
        Called with the number of those that are made.

    Raises
    ------
    Failed
        CASA failed on one; names it and its log.
    """
    made: dict[EntityId, MadeBlock] = {}
    with ThreadPoolExecutor(_AT_ONCE) as pool, ending_children():
        running = {pool.submit(_make, request, work, measures): name for name, request in requests.items()}
        try:
            for future in as_completed(running):
                made[running[future]] = future.result()
                on_done(len(made))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return made


def _make(request: BlockRequest, work: Path, measures: Path) -> MadeBlock:
    directory = work / request.block
    directory.mkdir(parents=True)
    (directory / REQUEST).write_text(request.model_dump_json())
    _run_child(REQUEST, directory, measures)
    result = BlockResult.model_validate_json((directory / RESULT).read_bytes())
    return MadeBlock(request, directory, result)


def _run_child(request: str, directory: Path, measures: Path) -> None:
    module = "deployments.local.observatory.build_block"
    launch = Launch(
        command=(sys.executable, "-m", module, request),
        directory=directory,
        timeout_seconds=_TIMEOUT_SECONDS,
        environment=child_environment(directory, measures),
    )
    ended = run(launch)
    if ended.status != 0 or not (directory / RESULT).is_file():
        error = child_error(directory)
        why = f"{error.what}: {error.why}" if error else f"CASA ended with {ended.model_dump_json()}"
        raise Failed(f"simulating {directory.name}", why, f"read casa.log and stderr.txt in {directory}")

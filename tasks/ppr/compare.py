"""Whether two PPRs ask for the same work, said in lines that a person can read.

What differs between any two requests for the same work is left out: namespaces (reading drops them), the
document's identity, the time of its making, also in the path, and what becomes of the results. All else is
compared exactly, and so is the order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pydantic.alias_generators import to_pascal

from tasks.ppr.model import Command, DataSet, Ppr, ProjectStructure

__all__ = ["differences"]

_STAMP = re.compile(r"_\d{4}_\d\d_\d\dT\d\d_\d\d_\d\d(\.\d+)?(?=/|$)")


def differences(a: Ppr, b: Ppr) -> tuple[str, ...]:
    """Return one line a difference, such as ``SESSION_3: 'a' != 'b'``; none if both ask for the same."""
    left, right = dict(_leaves(a)), dict(_leaves(b))
    changed = tuple(
        f"{label}: {_shown(left.get(label))} != {_shown(right.get(label))}"
        for label in {**left, **right}
        if left.get(label) != right.get(label)
    )
    return changed + _reordered(
        [label for label in left if label in right], [label for label in right if label in left]
    )


def _reordered(left: list[str], right: list[str]) -> tuple[str, ...]:
    moved = next((pair for pair in zip(left, right, strict=True) if pair[0] != pair[1]), None)
    return (f"order: {moved[0]!r} != {moved[1]!r}",) if moved else ()


def _shown(text: str | None) -> str:
    return "absent" if text is None else repr(text)


def _leaves(ppr: Ppr) -> Iterator[tuple[str, str]]:
    yield from ((to_pascal(name), text) for name, text in ppr.summary if name != "creation_time")
    yield from _structure(ppr.structure)
    yield from ppr.intents
    yield "ProcedureTitle", ppr.procedure.title
    for number, command in enumerate(ppr.procedure.commands, start=1):
        yield from _command(f"command {number}", command)
    yield from _data(ppr.data_set)


def _structure(structure: ProjectStructure) -> Iterator[tuple[str, str]]:
    yield "ObsUnitSetRef", structure.project
    yield "ObsUnitSetRef partId", structure.part_id
    yield "ObsUnitSetTitle", structure.title
    yield "ObsUnitSetType", structure.unit_type
    yield "ProjectStatusRef", structure.project_status or "unassigned"
    yield "OUSStatusRef", structure.mous


def _command(label: str, command: Command) -> Iterator[tuple[str, str]]:
    yield label, command.name
    yield from ((f"{label} {keyword}", value) for keyword, value in command.parameters)


def _data(data: DataSet) -> Iterator[tuple[str, str]]:
    yield "RelativePath", _STAMP.sub("", data.relative_path, count=1)
    yield "SchedBlockRef", data.sched_block or "unassigned"
    yield "SBStatusRef", data.sched_block_status or "unassigned"
    yield "SBTitle", data.title
    yield from ((f"execution block {number}", uid) for number, uid in enumerate(data.execution_blocks, start=1))

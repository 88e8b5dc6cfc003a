"""Several restores at once in one process, by an executor that does nothing: ``null_restores.py ROUNDS PROFILE…``

Everything else is as ever: the plan, the fetching, the jobs of each stage, the records, the delivery. The executor
is this module's, which workers do not have: it goes to them with the call.
"""

from __future__ import annotations

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

MOUS = "uid://A001/X1284/X265f"


def null_restore(_casa: Any, plan: Any, planned: Any, tree: Any) -> Any:
    """Leave what a restore leaves, empty."""
    from tasks import disk
    from tasks.casa.environment import CASA_LOG
    from tasks.casa.launch import Exit
    from tasks.casa.record import RECORD, BlockRecord
    from tasks.casa.request import STEPS
    from tasks.casa.verdict import Outcome, Verdict
    from tasks.workspace import stored

    block = planned.block()
    if (tree.finished(block.name) / RECORD).exists():
        return stored.read(BlockRecord, tree.finished(block.name) / RECORD)
    directory = tree.new_attempt(block.name)
    for name in block.made:
        (directory / name).mkdir()
        (directory / name / "table.dat").write_text(plan.key)
    for name in (CASA_LOG, STEPS, "stdout.txt", "stderr.txt", f"{block.vis}.png"):
        (directory / name).touch()
    ended = Exit(status=0, signal=None, timed_out=False, wall_seconds=0.0, cpu_seconds=0.0, peak_rss_bytes=0)
    record = BlockRecord(
        uid=block.uid, vis=block.vis, session=block.session, verdict=Verdict(outcome=Outcome.SUCCESS), proof=None,
        steps=(), exit=ended,
    )  # fmt: skip
    disk.write_whole(directory / RECORD, record.model_dump_json().encode())
    disk.settle(directory, tree.finished(block.name))
    return record


def resident() -> int:
    """Bytes that this process holds."""
    with open("/proc/self/statm") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main(rounds: int, profiles: list[str]) -> None:
    from blocks.profile import Profile
    from deployments import prefect_server

    os.environ.update(prefect_server.environment(Profile.load(profiles[0])))
    from flows.restore_ous import restore_ous
    from tasks.cluster import crew  # noqa: F401 - in the main thread, as wherever flows run
    from tasks.restore import jobs

    jobs.restore_block = null_restore
    held = []
    for number in range(rounds):
        with ThreadPoolExecutor(len(profiles)) as threads:
            done = [threads.submit(restore_ous, MOUS, profile, again=number > 0) for profile in profiles]
        verdicts = [each.result().provenance.verdict.outcome.value for each in done]
        held.append(resident())
    sys.stdout.write(json.dumps({"verdicts": verdicts, "resident": held}))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])

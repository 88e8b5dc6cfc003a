"""A flow in a process of its own, with a crew: ``crew_flow.py CONFIG PROGRAMS FOLDER LIMIT``, to be killed.

Of its two pieces of work one is done, by a job that has a child, and one waits until the first has ended, since
both count against the same limit.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from crew_work import child_until
from crews import working

from tasks.cluster.pool import Pool


def main(config: str, programs: str, folder: str, limit: str) -> None:
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))
    with working(Pool(Path(config), Path(programs)), Path(folder), concurrency_limits=limit) as crew:
        asked = [crew.do(name, child_until, "never") for name in ("one", "other")]
        for each in asked:
            each.result()


if __name__ == "__main__":
    main(*sys.argv[1:])

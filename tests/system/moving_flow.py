"""A flow that only pretends to fetch two files, for some seconds; its progress is real."""

from __future__ import annotations

import time

from prefect import flow

from tasks._task import task
from tasks._task_progress import bytes_and_files, results_with_progress, show_transfers
from tasks.progress import Event, Item
from tasks.workspace.provenance import Input

MB = 1_000_000
HOSTILE = "member|<b>uid</b>___[A](http://e.org)_`X`.tgz"
"""A name that would be a link, HTML and another cell, were it taken for Markdown."""


@task("move {name}")
def move(name: str, chunks: int, found: int) -> Input:
    size = (chunks + found) * MB
    with Item("gather", name, size) as item:
        item.found(found * MB)
        for _ in range(chunks):
            item(MB)
            time.sleep(0.05)
    return Input(
        name=name, file_id=name, version=1, size=size, checksum="crc32:1", server="n1:7777" if chunks else None,
        seconds=chunks * 0.05, attempts=min(2, chunks), resumed_from=found * MB if chunks else 0,
    )  # fmt: skip


@flow(name="gather", flow_run_name="gather", persist_result=False)
def gather() -> list[Input]:
    files = (("a.tar", (70, 20)), (HOSTILE, (50, 0)), ("c", (0, 20)))
    futures = (move.submit(name, *of) for name, of in files)
    begin = Event("gather", total=160 * MB, items=len(files))
    return results_with_progress(futures, begin, "bytes fetched of X", bytes_and_files)


@flow(name="moving", flow_run_name="moving", persist_result=False)
def moving() -> None:
    show_transfers(gather())


if __name__ == "__main__":
    moving()

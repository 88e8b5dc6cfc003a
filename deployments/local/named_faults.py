"""Every fault that an archive's client must survive, by name: how it is put into an archive, and how it must end.

The rows are those of the table of faults that clients of NGAS have met: 1 to 17, several variants a row. Faults of
a file are made on disk, as on a real server; faults of a server are its state; the others are answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deployments.local.illness import (
    ALL,
    Always,
    Put,
    at_replica,
    flipped,
    forget,
    go_offline,
    holder_dead,
    leave_well,
    lock_out,
    lose_volume,
    on_disk,
    once,
    recorded,
    replicated,
    rewritten,
    unmount,
)
from deployments.local.ngas_faults import (
    answer,
    busy,
    copy,
    cut,
    die,
    failure,
    flip,
    hang_up,
    internal_error,
    negative_length,
    newer_version,
    offline,
    page,
    redirect,
    reset,
    stall,
    trickle,
    trickle_head,
    unavailable,
    unwritable,
    whole_again,
    wrong_start,
)
from tasks.errors import Failed, Missing, PpiError, Refused, Transient

__all__ = ["FAULTS", "NamedFault"]


@dataclass(frozen=True)
class NamedFault:
    """A fault.

    Parameters
    ----------
    name
        What it is called.
    row
        Of the table.
    description
        What the archive does, as the rest of a sentence.
    ends
        The error that a right client ends with; None where it gets the right bytes nevertheless.
    put
        Puts it into an archive.
    nodes
        How many servers the archive has.
    known
        Which of them the client knows of.
    report
        It is met where a file is fetched by a locations report, which says this otherwise; None where it is met in
        a restore too.
    """

    name: str
    row: int
    description: str
    ends: type[PpiError] | None
    put: Put
    nodes: int = 1
    known: tuple[int, ...] = (0,)
    report: Mapping[str, str] | None = None

    @property
    def ending(self) -> str:
        """How it must end, in a word: `passes`, or the error's name."""
        return self.ends.__name__ if self.ends else "passes"


_BREAKS: Final = (
    NamedFault("short-body", 1, "breaks off half-way through a file, once", None, once(cut())),
    NamedFault(
        "dies-in-mid-transfer", 1, "has a server that is killed half-way through a file; another has a copy", None,
        replicated(once(die())), nodes=2, known=(0, 1),
    ),
    NamedFault("no-body", 1, "sends headers and no byte of any file", Transient, Always(cut(0))),
    NamedFault("stalled", 2, "stops half-way through a file and stays silent, once", None, once(stall())),
    NamedFault("stalled-always", 2, "stays silent after the headers", Transient, Always(stall(0))),
)  # fmt: skip
_DAMAGES: Final = (
    NamedFault(
        "truncated-file", 3, "has lost a file's last byte", Failed, on_disk(rewritten(lambda data: data[:-1]))
    ),
    NamedFault(
        "grown-file", 3, "has a byte too many in a file", Failed, on_disk(rewritten(lambda data: data + b"x"))
    ),
    NamedFault("empty-file", 3, "has nothing in a file", Failed, on_disk(rewritten(lambda data: b""))),
    NamedFault("flipped-byte", 4, "has one wrong byte in a file", Failed, on_disk(rewritten(flipped))),
    NamedFault("flipped-on-the-way", 4, "sends one wrong byte, once", None, once(flip(1))),
    NamedFault("file-gone", 5, "has lost a file that it lists", Transient, on_disk(Path.unlink)),
    NamedFault("volume-gone", 5, "has lost the folder of all files", Transient, lose_volume),
)
_SILENCES: Final = (
    NamedFault("busy", 6, "answers a bare 503 line, twice", None, once(busy(), busy())),
    NamedFault("busy-reset", 6, "resets the connection, twice", None, once(reset(), reset())),
    NamedFault("busy-always", 6, "answers a bare 503 line to everything", Transient, Always(busy(), ALL)),
    NamedFault("no-answer", 7, "takes a request and never answers, once", None, once(hang_up(60))),
    NamedFault(
        "no-answer-always", 7, "takes every request and never answers", Transient, Always(hang_up(60), ALL)
    ),
)
_DETOURS: Final = (
    NamedFault(
        "redirect-to-dead-node", 8, "redirects to the server that has the files, which is dead", Transient,
        holder_dead(proxy=False), nodes=2, known=(1,),
    ),
    NamedFault(
        "proxy-to-dead-node", 8, "asks the server that has the files for them, which is dead", Transient,
        holder_dead(proxy=True), nodes=2, known=(1,),
    ),
    NamedFault("redirect-loop", 9, "redirects to itself", Transient, Always(redirect())),
)  # fmt: skip
_STATES: Final = (
    NamedFault("unmounted", 10, "says 4019 of files that QUERY lists: a volume is unmounted", Transient, unmount),
    NamedFault("unmounted-a-while", 10, "says 4019 of a file that QUERY lists, once", None, once(unavailable())),
    NamedFault("unknown-file", 10, "says 4019 of files that QUERY does not list either", Missing, forget),
    NamedFault(
        "holder-offline", 10, "says 4019 of files that QUERY lists: a server is OFFLINE", Transient, go_offline,
        nodes=2, known=(1,),
    ),
    NamedFault("offline", 11, "is OFFLINE (4015)", Transient, go_offline),
    NamedFault("offline-a-while", 11, "is OFFLINE (4015), once", None, once(offline())),
    NamedFault("unauthorised", 11, "wants another username and password (401)", Refused, lock_out),
    NamedFault("forbidden", 11, "forbids everything (403)", Refused, Always(answer(403, b"keep out"), ALL)),
)  # fmt: skip
_RESUMES: Final = (
    NamedFault(
        "resume-answered-whole", 12, "breaks off, then sends the whole file where the rest was asked for", None,
        once(cut(), whole_again()),
    ),
    NamedFault(
        "negative-length", 12, "breaks off, then announces a rest of negative length", None,
        once(cut(), negative_length()),
    ),
)  # fmt: skip
_RECORDS: Final = (
    NamedFault("signed-checksum", 13, "has a signed checksum", None, recorded("ngamsGenCrc32", signed=True)),
    NamedFault("no-checksum", 13, "has no checksum of a file", None, recorded("None")),
    NamedFault("crc32c", 13, "has a checksum of Castagnoli's kind", None, recorded("crc32c")),
    NamedFault(
        "replica-damaged", 14, "has one wrong byte in a file; another server has a good copy", None,
        at_replica(rewritten(flipped)), nodes=2, known=(0, 1),
    ),
    NamedFault(
        "replica-gone", 14, "has lost a file; another server has a good copy", None, at_replica(Path.unlink),
        nodes=2, known=(0, 1),
    ),
    NamedFault("newer-version", 14, "gets a newer version of a file just then", None, once(newer_version())),
)  # fmt: skip
_COPIES: Final = (
    NamedFault("copy-missing", 15, "says that it wrote a file, and did not", None, Always(copy(0)), report={}),
    NamedFault("copy-short", 15, "says that it wrote a file, and wrote half", None, Always(copy(0.5)), report={}),
    NamedFault("copy-unwritable", 15, "may not write a file there", None, Always(unwritable()), report={}),
)
_ODDITIES: Final = (
    NamedFault("trickle", 16, "sends a file byte by byte, with pauses, once", None, once(trickle(0.05))),
    NamedFault("header-trickle", 16, "sends headers without end, once", None, once(trickle_head(0.05))),
    NamedFault("internal-error", 16, "answers 500 with a document, once", None, once(internal_error())),
    NamedFault("bad-gateway", 16, "answers 502 with a page, as a proxy does, once", None, once(page(502))),
    NamedFault("html-page", 16, "answers 200 with a page, as a proxy does, once", None, once(page())),
    NamedFault("failure-with-200", 16, "answers 200 with a document of failure, once", None, once(failure())),
    NamedFault(
        "wrong-range-start", 16, "breaks off, then sends the bytes from a wrong place on", None,
        once(cut(), wrong_start()),
    ),
)  # fmt: skip
_REPORTS: Final = (
    NamedFault(
        "path-traversal", 17, "has a locations report whose path leads out", Refused, leave_well,
        report={"relative_path": "../../outside"},
    ),
    NamedFault(
        "subdirectory-traversal", 17, "has a locations report whose folder leads out", Refused, leave_well,
        report={"subdirectory": "../outside"},
    ),
    NamedFault(
        "absolute-path", 17, "has a locations report with an absolute path", Refused, leave_well,
        report={"relative_path": "/outside"},
    ),
)  # fmt: skip

FAULTS: Final[Mapping[str, NamedFault]] = {
    fault.name: fault
    for fault in (
        *_BREAKS, *_DAMAGES, *_SILENCES, *_DETOURS, *_STATES, *_RESUMES, *_RECORDS, *_COPIES, *_ODDITIES,
        *_REPORTS,
    )
}  # fmt: skip
"""All of them, in the order of the table."""

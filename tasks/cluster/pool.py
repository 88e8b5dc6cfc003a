"""The HTCondor pool, through its own programs: they are on every host that may submit, whatever its version.

Each question has a bound on its time. That the pool does not answer says nothing about its jobs.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tasks.cluster.job import ATTRIBUTES, Job, Status
from tasks.errors import Missing, Refused, Transient

__all__ = ["Pool", "said"]

_SECONDS: Final = 20.0
_AWAY: Final = re.compile(
    r"connect to|can't find address|couldn't contact|can't communicate|timed out|unable to locate|disconnected|"
    r"no such file.*schedd|closed connection|communication error|collector",
    re.IGNORECASE,
)
"""How the programs say that they reached nobody; the rest of what they say is about what was asked."""

_SUBMITTED: Final = re.compile(r"(\d+\.\d+) - \d+\.\d+$")


@dataclass(frozen=True)
class Pool:
    """A pool, as this host may submit to it.

    Parameters
    ----------
    config
        Its ``condor_config``; by default HTCondor's own.
    programs
        Where ``condor_submit`` and its kin are; by default they are on PATH.
    seconds
        How long one of them may take.
    """

    config: Path | None = None
    programs: Path | None = None
    seconds: float = _SECONDS

    @property
    def environment(self) -> dict[str, str]:
        """The whole environment of HTCondor's programs."""
        path = os.pathsep.join(filter(None, (str(self.programs or ""), os.environ.get("PATH", ""))))
        return {**os.environ, "PATH": path} | ({"CONDOR_CONFIG": str(self.config)} if self.config else {})

    def queue(self, constraint: str) -> tuple[Job, ...]:
        """Return the jobs in the queue for which a ClassAd expression is true.

        Raises
        ------
        Transient
            The pool does not answer: nothing is known of any job.
        Missing
            HTCondor's programs are not here.
        """
        return self._jobs("condor_q", "-allusers", "-constraint", constraint)

    def ended(self, ids: Iterable[str]) -> tuple[Job, ...]:
        """Return those of some jobs that have left the queue.

        Raises
        ------
        Transient, Missing
            As `queue`.
        """
        wanted = tuple(ids)
        return self._jobs("condor_history", "-limit", str(len(wanted)), *wanted) if wanted else ()

    def unmatchable(self, constraint: str) -> frozenset[str]:
        """Return the ids of queued jobs that no slot of the pool could ever run, busy or not.

        Raises
        ------
        Transient, Missing
            As `queue`.
        """
        return frozenset(
            job.id for job in self._jobs("condor_q", "-allusers", "-unmatchable", "-constraint", constraint)
        )

    def remove(self, constraint: str, reason: str) -> None:
        """Take jobs out of the queue; that there are none, or that they are about to leave, is no error.

        Raises
        ------
        Transient, Missing
            As `queue`.
        """
        try:
            self.run("condor_rm", "-reason", reason, "-constraint", constraint)
        except Refused:
            if any(job.status is not Status.REMOVED for job in self.queue(constraint)):
                raise

    def submit(self, description: str, name: str) -> str:
        """Queue the one job of a submit description; return its id.

        Parameters
        ----------
        name
            That of the job, for messages.

        Raises
        ------
        Transient, Missing
            As `queue`.
        Refused
            HTCondor does not take it.
        """
        printed = self.run("condor_submit", "-terse", "-", standard_input=description)
        match = _SUBMITTED.match(printed.strip())
        if match is None:
            raise Transient(f"HTCondor's condor_submit for {name}", f"it said {printed.strip()!r}", _AGAIN)
        return match[1]

    def slots(self, constraint: str = "true") -> tuple[Mapping[str, Any], ...]:
        """Return the ClassAds of the pool's slots for which an expression is true.

        Raises
        ------
        Transient, Missing
            As `queue`.
        """
        return tuple(_ads(self.run("condor_status", "-json", "-constraint", constraint)))

    def run(self, program: str, *arguments: str, standard_input: str = "") -> str:
        """Run one of HTCondor's programs; return what it prints.

        Raises
        ------
        Transient
            The pool does not answer.
        Missing
            The program is not here.
        Refused
            It does not want what was asked.
        """
        try:
            ran = subprocess.run(
                [self.program(program), *arguments], env=self.environment, input=standard_input,
                capture_output=True, encoding="utf-8", errors="replace", timeout=self.seconds, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise Transient(f"HTCondor's {program}", f"no answer within {self.seconds:g} s", _AGAIN) from error
        if ran.returncode == 0:
            return ran.stdout
        raise said(program, ran.stderr or ran.stdout, ran.returncode)

    def program(self, name: str) -> str:
        """Return the path of one of HTCondor's programs.

        Raises
        ------
        Missing
            It is not here.
        """
        found = shutil.which(name, path=self.environment["PATH"])
        if found is None:
            todo = "install HTCondor on this host, or set ppi.cluster.condorPrograms"
            raise Missing(f"HTCondor's {name}", "it is not on this host", todo)
        return found

    def _jobs(self, program: str, *arguments: str) -> tuple[Job, ...]:
        printed = self.run(program, "-json", "-attributes", ",".join(ATTRIBUTES), *arguments)
        return tuple(Job.of(ad) for ad in _ads(printed))


_AGAIN: Final = "see that HTCondor runs (condor_status), then run again"


def said(program: str, words: str, status: int) -> Transient | Refused:
    """Return the error for what one of HTCondor's programs said when it failed."""
    why = " ".join(words.split()) or f"exit code {status}"
    if status < 0:
        return Transient(f"HTCondor's {program}", f"it was ended by signal {-status}", _AGAIN)
    if _AWAY.search(why):
        return Transient(f"HTCondor's {program}", why, _AGAIN)
    return Refused(f"HTCondor's {program}", why, "correct what it names in ppi.cluster.*")


def _ads(printed: str) -> list[dict[str, Any]]:
    """Read what is printed with ``-json``.

    Raises
    ------
    Transient
        It breaks off, as when the schedd goes in the middle of it.
    """
    try:
        ads: list[dict[str, Any]] = json.loads(printed) if printed.strip() else []
    except ValueError as error:
        raise Transient("HTCondor's answer", f"it is damaged ({error})", _AGAIN) from error
    return ads

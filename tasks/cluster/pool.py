"""The HTCondor pool, through its own programs: they are on every host that may submit, whatever its version.

Each question has a bound on its time. That the pool does not answer says nothing about its jobs.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tasks.cluster.job import ATTRIBUTES, Job
from tasks.errors import Missing, Refused, Transient

__all__ = ["Pool", "said"]

_SECONDS: Final = 20.0
_AWAY: Final = re.compile(
    r"connect to|can't find address|couldn't contact|can't communicate|timed out|unable to locate|disconnected|"
    r"no such file.*schedd|closed connection|collector",
    re.IGNORECASE,
)
"""How the programs say that they reached nobody; the rest of what they say is about what was asked."""


@dataclass(frozen=True)
class Pool:
    """A pool, as this host may submit to it.

    Parameters
    ----------
    config
        Its ``condor_config``; by default HTCondor's own.
    programs
        Where ``condor_submit`` and its kin are; by default they are on PATH.
    """

    config: Path | None = None
    programs: Path | None = None

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
        """Take jobs out of the queue; that there are none is no error.

        Raises
        ------
        Transient, Missing
            As `queue`.
        """
        if self.queue(constraint):
            self.run("condor_rm", "-reason", reason, "-constraint", constraint)

    def slots(self, constraint: str = "true") -> tuple[Mapping[str, Any], ...]:
        """Return the ClassAds of the pool's slots for which an expression is true.

        Raises
        ------
        Transient, Missing
            As `queue`.
        """
        return tuple(_ads(self.run("condor_status", "-json", "-constraint", constraint)))

    def run(self, program: str, *arguments: str) -> str:
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
                [program, *arguments], env=self.environment, stdin=subprocess.DEVNULL, capture_output=True,
                text=True, timeout=_SECONDS, check=False,
            )  # fmt: skip
        except FileNotFoundError as error:
            todo = "install HTCondor on this host, or set ppi.cluster.condorPrograms"
            raise Missing(f"HTCondor's {program}", "it is not on this host", todo) from error
        except subprocess.TimeoutExpired as error:
            raise Transient(f"HTCondor's {program}", f"no answer within {_SECONDS:.0f} s", _AGAIN) from error
        if ran.returncode == 0:
            return ran.stdout
        raise said(program, ran.stderr or ran.stdout, ran.returncode)

    def _jobs(self, program: str, *arguments: str) -> tuple[Job, ...]:
        printed = self.run(program, "-json", "-attributes", ",".join(ATTRIBUTES), *arguments)
        return tuple(Job.of(ad) for ad in _ads(printed))


_AGAIN: Final = "see that HTCondor runs (condor_status), then run again"


def said(program: str, words: str, status: int) -> Transient | Refused:
    """Return the error for what one of HTCondor's programs said when it failed."""
    why = " ".join(words.split()) or f"exit code {status}"
    if _AWAY.search(why):
        return Transient(f"HTCondor's {program}", why, _AGAIN)
    return Refused(f"HTCondor's {program}", why, "correct what it names in ppi.cluster.*")


def _ads(printed: str) -> list[dict[str, Any]]:
    return json.loads(printed) if printed.strip() else []

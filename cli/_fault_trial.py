"""`ppi demo --fault`: a restore or fetch from an archive that has a fault; what was met, and how it ended."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from blocks.profile import Profile
from cli._console import out, print_json
from cli._display import building, fetching
from cli._environment import EMBEDDED, adopt_prefect
from deployments.local import environment
from deployments.local.illness import SITE
from deployments.local.named_faults import NamedFault
from tasks.errors import Failed, PpiError
from tasks.ngas.fetching import STAGE, fetch_all
from tasks.ngas.locations import read_report
from tasks.ngas.tasks import archive_client, shared_store

__all__ = ["Trial", "run"]

_CLIENT = "tasks.ngas"
"""The logger of all that fetches."""


class Trial(logging.Handler):
    """What became of a fetch.

    Parameters
    ----------
    fault
        What the archive has.
    """

    def __init__(self, fault: NamedFault) -> None:
        super().__init__(logging.WARNING)
        self.fault = fault
        self.met: list[str] = []
        """What the client warned of, in order."""
        self.got = ""
        """What came of it, where it passed."""
        self.error: PpiError | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Note a warning."""
        self.met.append(record.getMessage())

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Note what the client warns of, and with which error it ends."""
        logger = logging.getLogger(_CLIENT)
        logger.addHandler(self)
        try:
            yield
        except PpiError as error:
            self.error = error
        finally:
            logger.removeHandler(self)

    @property
    def ended(self) -> str:
        """How it ended, in the words of `NamedFault.ending`."""
        kinds = (kind.__name__ for kind in type(self.error).__mro__ if kind.__module__ == PpiError.__module__)
        return next(kinds, "passes")

    @property
    def as_it_should(self) -> bool:
        """Whether it ended as a right client ends."""
        return isinstance(self.error, self.fault.ends) if self.fault.ends else self.error is None

    def tell(self) -> None:
        """Print it."""
        console = out()
        for line in self.met:
            console.print(f"  met: {line}")
        if self.got:
            console.print(f"  {self.got}")
        if self.as_it_should:
            code = self.error.exit_code if self.error else 0
            console.print(f"It ended with exit code {code} ({self.fault.ending}), as it should.", style="bold")

    def as_json(self) -> dict[str, object]:
        """Return it for machines."""
        return {
            "fault": self.fault.name,
            "row": self.fault.row,
            "archive": self.fault.description,
            "met": self.met,
            "expected": self.fault.ending,
            "ended": self.ended,
            "as_it_should": self.as_it_should,
            "got": self.got,
            "error": str(self.error) if self.error else None,
        }


def run(fault: NamedFault, observation: str, as_json: bool) -> None:
    """Restore an observation from an archive with a fault, or fetch a file of it by a report, and tell all of it.

    Raises
    ------
    PpiError
        What the fault has to end with.
    Failed
        It ended otherwise.
    """
    trial = Trial(fault)
    if not as_json:
        out().print(f"{fault.name}: the archive {fault.description}", style="bold")
    with ExitStack() as stack:
        with building() as show:
            ill = stack.enter_context(environment.ailing(fault, show))
        profile = Profile.load(EMBEDDED)
        with trial.watching():
            if fault.report is None:
                trial.got = _restored(profile, observation)
            else:
                trial.got = _fetched(profile, ill.report(fault.report))
    if as_json:
        print_json(trial.as_json())
    else:
        trial.tell()
    if not trial.as_it_should:
        why = f"it ended with {trial.ended}, where a right client ends with {fault.ending}"
        raise Failed(f"fault {fault.name}", why, "this is a defect of PPI; please report it") from trial.error
    if trial.error:
        raise trial.error


def _restored(profile: Profile, observation: str) -> str:
    adopt_prefect(profile)
    from cli import _restore

    provenance = _restore.restore(profile, observation, again=True).provenance
    proven = [block.proof.reference for block in provenance.blocks if block.proof]
    return f"restored {observation}: {provenance.verdict.outcome}; reference {', '.join(proven)}"


def _fetched(profile: Profile, report: bytes) -> str:
    with TemporaryDirectory(prefix="ppi-fetch-") as folder:
        locations = read_report(report, "the locations report", SITE)
        store, client = shared_store(profile), archive_client(profile)
        with fetching(STAGE, locations.size, len(locations.files)):
            (outcome,) = fetch_all(locations, store, client, Path(folder), profile.ngas.streams_per_server)
        if outcome.error:
            raise outcome.error
        how = outcome.transfer.method.upper() if outcome.transfer else "not at all"
        return f"fetched {outcome.file.path}: {outcome.path.stat().st_size:,} bytes, by {how} in the end"

"""The one verdict on a CASA run, whoever executed it: every sign must be good, and an unknown one is bad."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from tasks.casa.launch import Exit
from tasks.casa.log import LogScan

__all__ = ["Evidence", "Outcome", "Verdict", "judge", "run_faults", "worst"]


class Outcome(StrEnum):
    """How a run came out, from best to worst."""

    SUCCESS = "success"
    """Every sign is good."""
    CAVEATS = "success with caveats"
    """The result is right; something about it should be known to its user."""
    FAILED = "failed"
    """At least one sign is bad, or not known."""


class Verdict(BaseModel):
    """An outcome with its reasons, one sentence each; success has none."""

    model_config = ConfigDict(frozen=True)

    outcome: Outcome
    reasons: tuple[str, ...] = ()


class Evidence(BaseModel):
    """Everything that a run is judged by.

    Parameters
    ----------
    exit
        How the process ended.
    sentinel
        Whether it wrote its result as its last act.
    error_exits
        Names of the ``errorexit-*.txt`` files that it left.
    log
        What its log says.
    rows, rows_promised
        Rows in the measurement set, and those that the execution block's Main.xml promises; None if unknown.
    missing_products
        Expected products that are absent, empty or unreadable.
    faults
        Further reasons to fail, found by the proof or given by the process itself.
    caveats
        What a user of the result should know.
    """

    model_config = ConfigDict(frozen=True)

    exit: Exit
    sentinel: bool
    error_exits: tuple[str, ...]
    log: LogScan
    rows: int | None
    rows_promised: int | None
    missing_products: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    caveats: tuple[str, ...] = ()


def judge(evidence: Evidence) -> Verdict:
    """Give the verdict: failed if any sign is bad or unknown, with every reason named, in words first."""
    reasons = (
        *evidence.faults,
        *run_faults(evidence.exit, evidence.error_exits, evidence.log),
        *(() if evidence.sentinel else ("it wrote no result.json: it did not reach its end",)),
        *_of_rows(evidence.rows, evidence.rows_promised),
        *(f"product {name} is missing, empty or unreadable" for name in evidence.missing_products),
    )
    if reasons:
        return Verdict(outcome=Outcome.FAILED, reasons=reasons)
    if evidence.caveats:
        return Verdict(outcome=Outcome.CAVEATS, reasons=evidence.caveats)
    return Verdict(outcome=Outcome.SUCCESS)


def run_faults(ended: Exit, error_exits: tuple[str, ...], log: LogScan) -> tuple[str, ...]:
    """Return what is wrong with how a run ended, whatever it made."""
    return (*_of_exit(ended), *(f"it left {name}" for name in error_exits), *_of_log(log))


def worst(verdicts: tuple[Verdict, ...]) -> Verdict:
    """Join verdicts into one that is as bad as the worst of them; none at all is a failure."""
    if not verdicts:
        return Verdict(outcome=Outcome.FAILED, reasons=("nothing was processed",))
    order = list(Outcome)
    outcome = max((verdict.outcome for verdict in verdicts), key=order.index)
    return Verdict(outcome=outcome, reasons=tuple(r for verdict in verdicts for r in verdict.reasons))


def _of_exit(ended: Exit) -> tuple[str, ...]:
    if ended.timed_out:
        return (f"it was ended at its time limit, after {ended.wall_seconds:.0f} s",)
    if ended.signal is not None:
        return (f"it was killed by signal {ended.signal}",)
    return () if ended.status == 0 else (f"it exited with status {ended.status}",)


def _of_log(log: LogScan) -> tuple[str, ...]:
    if not log.found:
        return ("it left no log",)
    return (
        *(() if log.lines else ("its log cannot be read",)),
        *(f"lost data: {line}" for line in log.lost_data),
        *(f"SEVERE in the log: {line}" for line in log.severe),
    )


def _of_rows(rows: int | None, promised: int | None) -> tuple[str, ...]:
    if rows is None or promised is None:
        return ("the number of rows is not known",)
    return () if rows == promised else (f"{rows} rows, but Main.xml promises {promised}",)

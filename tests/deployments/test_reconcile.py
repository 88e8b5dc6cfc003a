"""What cannot be settled keeps nothing else from it, and what is known to be gone is known without a server."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from deployments import processes, reconcile
from deployments.processes import Sight
from deployments.reconcile import Finding, Kind, _Look, _settled
from tasks.errors import Refused, Transient


def failing(error: Exception) -> Callable[[], object]:
    def fail() -> object:
        raise error

    return fail


def test_jobs_that_htcondor_does_not_let_us_remove_are_told_of() -> None:
    refused = failing(Refused("HTCondor's condor_rm", "not the owner"))
    settled = _settled(Finding(Kind.JOBS, "17.0", "their flow is gone", "removed", refused))
    assert settled.outcome == ""
    assert "their flow is gone, but HTCondor's condor_rm: not the owner" in settled.why


def test_a_catalog_that_is_away_is_an_error() -> None:
    with pytest.raises(Transient):
        _settled(Finding(Kind.EXECUTION, "1", "gone", "interrupted", failing(Transient("the catalog", "away"))))


def test_what_is_settled_is_told_as_it_was_found() -> None:
    finding = Finding(Kind.LEASES, "3", "gone", "removed", lambda: None)
    assert _settled(finding) is finding


@pytest.mark.parametrize("gone", [True, False, None])
def test_a_run_has_ended_when_its_process_is_gone(monkeypatch: pytest.MonkeyPatch, gone: bool | None) -> None:
    """As after its host went down: of an earlier start of it, nobody can see the processes any more."""
    profile: Any = None
    monkeypatch.setattr(reconcile, "running", lambda _: (SimpleNamespace(flow_run="r1"),))
    monkeypatch.setattr(processes, "of_execution", lambda *_: Sight(gone, ""))
    look = _Look(profile, None, "")
    assert look._has_ended("r1") is (gone is True)
    assert look._has_ended("r2") is False

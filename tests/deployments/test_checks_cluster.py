"""What a check finds of a cluster when HTCondor's programs answer, refuse, keep silent, or are not there."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Callable
from pathlib import Path

import pytest
from checks_examples import written

from deployments.checks import cluster, htcondor
from deployments.checks.finding import Finding, Look

ANALYSIS = """
The Requirements expression for job 1.000 reduces to these conditions:

         Slots
Step    Matched  Condition
-----  --------  ---------
{steps}

001.000:  Run analysis summary ignoring user priority.  Of 3 machines,
      {rejected} are rejected by your job's requirements
      {unwilling} reject your job because of their own requirements
      0 match and are already running your jobs
      1 match but are serving other users
      0 are able to run your job
"""
WELL = {
    "condor_version": "echo '$CondorVersion: 23.9.6 2026-07-12 $'",
    "condor_status": 'case $* in *-af*) echo 8; echo 4;; *) printf \'Name = "s1"\\n\\nName = "s2"\\n\';; esac',
    "condor_submit": "cat > /dev/null; printf 'Owner=undefined\\n\\nRequestCpus=1\\n' > $3",
    "condor_config_val": "shift; for each; do echo 7; done",
    "python": f"echo {platform.python_version()} {importlib.metadata.version('distributed')}",
}

Looked = Callable[..., dict[str, Finding]]


def analysis(rejected: int = 1, unwilling: int = 1, steps: str = "[0]           0  TARGET.Foo") -> str:
    said = ANALYSIS.format(rejected=rejected, unwilling=unwilling, steps=steps)
    return f"case $* in *-better-analyze*) cat <<'EOT'\n{said}\nEOT\n;; *) echo 1; echo 2;; esac"


@pytest.fixture
def looked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Looked:
    """Look at a cluster whose programs are well, but for those that are given; None takes one away."""
    monkeypatch.setattr(htcondor, "_SECONDS", 20.0)

    def look(programs: dict[str, str | None] | None = None, **properties: str) -> dict[str, Finding]:
        folder = tmp_path / "programs"
        folder.mkdir()
        for name, script in ({"condor_q": analysis()} | WELL | (programs or {})).items():
            if script is not None:
                (folder / name).write_text(f"#!/bin/sh\n{script}\n")
                (folder / name).chmod(0o755)
        given = {"cluster_kind": "htcondor", "cluster_condorPrograms": str(folder)} | properties
        profile = written(tmp_path, **({"cluster_python": str(folder / "python")} | given))
        findings = [Look(probe, 60).finding() for probe in cluster.probes(profile)]
        return {finding.what: finding for finding in findings}

    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    return look


def told(finding: Finding) -> tuple[str, int]:
    return finding.state, finding.exit_code


def test_this_machine_is_a_cluster_of_its_own(looked: Looked) -> None:
    (finding,) = looked(cluster_kind="local").values()
    assert (finding.what, finding.state) == ("cluster", "ok")
    assert finding.why.startswith("local: ")


def test_a_pool_that_is_well(looked: Looked, tmp_path: Path) -> None:
    found = looked(
        cluster_interface="lo", cluster_casa_concurrencyLimits="CASA", cluster_light_accountingGroup="7.a"
    )
    assert {finding.state for finding in found.values()} == {"ok"}
    says = {what: finding.why for what, finding in found.items()}
    assert says["cluster"] == "HTCondor 23.9.6: 2 slots with 12 cores"
    assert says["job queue"] == "the schedd answers; 2 jobs are queued"
    assert says["job logs"].startswith(f"{tmp_path}/site-test/jobs, made when it is needed; ")
    assert says["jobs' network"].startswith("lo, 127.0.0.1; ")
    assert says["job class casa"] == "1 of 3 slots could run a job of 1 core, 16.0 GB, 20.0 GB of disk"
    assert says["concurrency limits"] == "CASA_LIMIT 7"
    assert says["accounting groups"] == "7.a"
    assert not (tmp_path / "site-test").exists()


def test_what_a_profile_does_not_name_is_not_asked_for(looked: Looked) -> None:
    found = looked({"condor_config_val": "exit 1"})
    assert {what for what, each in found.items() if each.state == "not set"} == {
        "jobs' network",
        "concurrency limits",
        "accounting groups",
    }


def test_without_htcondors_programs_nothing_of_a_pool_can_be_told(looked: Looked) -> None:
    names = [name for name in WELL if name.startswith("condor")]
    found = looked(dict.fromkeys((*names, "condor_q")), cluster_casa_concurrencyLimits="CASA")
    assert told(found["cluster"]) == ("wrong", 4)
    assert "ppi.cluster.condorPrograms" in found["cluster"].todo
    for what in ("job class casa", "concurrency limits"):
        assert told(found[what]) == ("unknown", 5)


@pytest.mark.parametrize(
    "script", ["echo 'Error: communication error' >&2; exit 1", 'echo "Can\'t find address of x" >&2; exit 1']
)
def test_a_pool_that_does_not_answer_is_worth_another_look(looked: Looked, script: str) -> None:
    found = looked({"condor_status": script, "condor_q": script, "condor_config_val": script},
                   cluster_casa_accountingGroup="g")  # fmt: skip
    assert {told(found[what]) for what in ("cluster", "job queue")} == {("wrong", 5)}
    unknown = [each for what, each in found.items() if what.startswith("job class") or what == "accounting groups"]
    assert {told(each) for each in unknown} == {("unknown", 5)}
    assert len(unknown) == 4


def test_a_pool_that_hangs_is_not_waited_for(looked: Looked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(htcondor, "_SECONDS", 0.3)
    hanging = dict.fromkeys(("condor_status", "condor_config_val", "python"), "exec sleep 60")
    found = looked(hanging, cluster_casa_concurrencyLimits="CASA")
    assert found["cluster"].why.endswith("no answer within 0.3 s")
    assert told(found["cluster"]) == ("wrong", 5)
    for what in ("job class light", "concurrency limits", "jobs' Python"):
        assert told(found[what]) == ("unknown", 5)


def test_a_pool_without_slots(looked: Looked) -> None:
    finding = looked({"condor_status": "exit 0"})["cluster"]
    assert (told(finding), finding.why) == (("wrong", 5), "HTCondor: its pool has no slots")


@pytest.mark.parametrize(
    ("rejected", "unwilling", "steps", "says"),
    [
        (3, 0, "[3]           0  TARGET.NodeClass == \"x\"\n[5]           2  TARGET.Memory >= RequestMemory",
         'no slot meets TARGET.NodeClass == "x"'),
        (3, 0, "[0]           1  TARGET.A\n[1]           2  TARGET.B > 1\n[2]           0  [0] && [1]",
         "no slot meets (TARGET.A) && (TARGET.B > 1)"),
        (1, 2, "[0]           2  TARGET.A", "1 are not what it asks for, 2 do not take such jobs"),
    ],
)  # fmt: skip
def test_a_class_that_no_slot_could_ever_run(
    looked: Looked, rejected: int, unwilling: int, steps: str, says: str
) -> None:
    finding = looked({"condor_q": analysis(rejected, unwilling, steps)}, cluster_casa_cores="2")["job class casa"]
    assert told(finding) == ("wrong", 3)
    asked = "none of 3 slots could ever run a job of 2 cores, 16.0 GB, 20.0 GB of disk"
    assert finding.why == f"{asked}: {says}"
    assert finding.todo == "correct ppi.cluster.casa.*, or ask the pool's administrator"


def test_a_class_that_cannot_grow_is_told(looked: Looked) -> None:
    grown = f'if grep -q "RequestMemory = 61035" "$2"; then {analysis(3, 0)}; else {analysis()}; fi'
    submit = "sed -n 's/MY.DaskWorkerMemory = 64000000000/RequestMemory = 61035/p' > $3"
    finding = looked({"condor_q": grown, "condor_submit": submit})["job class casa"]
    assert finding.state == "ok"
    assert finding.why.endswith("; none could once it has grown to memoryLimit, 64.0 GB")


def test_an_expression_that_htcondor_does_not_understand_is_named_in_its_words(looked: Looked) -> None:
    script = "cat > /dev/null; echo 'ERROR: Parse error in expression: Requirements = (a ==' >&2; exit 1"
    finding = looked({"condor_submit": script})["job class light"]
    assert told(finding) == ("wrong", 3)
    assert "Parse error in expression: Requirements = (a ==" in finding.why


def test_an_analysis_that_tells_nothing_is_no_success(looked: Looked) -> None:
    found = looked({"condor_q": "echo 001.000:  Nothing here."})
    assert told(found["job class casa"]) == ("unknown", 5)


@pytest.mark.parametrize(
    ("script", "limits", "state", "says"),
    [
        (
            "echo 99; echo 'Not defined'; echo 3",
            "CASA, ngas:2",
            "wrong",
            "CASA_LIMIT: the negotiator's configuration ",
        ),
        ("echo 99; echo 2; echo 3", "casa, NGAS:3", "ok", "CASA_LIMIT 2, NGAS_LIMIT 3"),
        (
            "echo 99; echo 2; echo 3",
            "CASA, NGAS:3.5",
            "wrong",
            "a job counts 3.5 against the limit NGAS: it allows 3 ",
        ),
        ("echo 99", "CASA, NGAS", "unknown", "something else"),
        ("echo 'DENIED authorization' >&2; exit 1", "CASA", "wrong", "DENIED authorization"),
    ],
)
def test_limits_are_those_of_the_negotiator(
    looked: Looked, script: str, limits: str, state: str, says: str
) -> None:
    finding = looked({"condor_config_val": script}, cluster_casa_concurrencyLimits=limits)["concurrency limits"]
    assert finding.state == state
    assert says in finding.why


@pytest.mark.parametrize(
    ("known", "group", "state"),
    [
        ("group_prod, group_test", "group_prod.ppi", "ok"),
        ("Group_Prod group_test", "group_prod", "ok"),
        ("group_prod", "group_production", "wrong"),
        ("group_prod.ppi", "group_prod", "wrong"),
        ("Not defined", "group_prod", "wrong"),
    ],
)
def test_groups_are_those_of_the_negotiator(looked: Looked, known: str, group: str, state: str) -> None:
    finding = looked({"condor_config_val": f"echo '{known}'"}, cluster_casa_accountingGroup=group)[
        "accounting groups"
    ]
    assert finding.state == state
    assert group in finding.why


@pytest.mark.parametrize(
    ("script", "code", "says"),
    [
        (None, 4, "No such file or directory"),
        (
            "echo 'Traceback' >&2; echo \"ModuleNotFoundError: No module named 'tasks'\" >&2; exit 1",
            4,
            "named 'tasks'",
        ),
        ("exit 3", 4, "it ended with 3"),
        (
            "echo 3.9.1 2021.1.0",
            3,
            "its versions of Python and distributed are 3.9.1 2021.1.0, those of this one ",
        ),
    ],
)
def test_a_python_that_could_not_work_for_us(looked: Looked, script: str | None, code: int, says: str) -> None:
    finding = looked({"python": script})["jobs' Python"]
    assert told(finding) == ("wrong", code)
    assert says in finding.why


def test_an_interface_that_is_not_there(looked: Looked) -> None:
    finding = looked(cluster_interface="none0")["jobs' network"]
    assert told(finding) == ("wrong", 4)
    assert finding.why.startswith("network interface none0: this host has lo")

"""`ppi status`: runs with their stages and jobs, as area, catalog, crews and pool say, whoever of them is away."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from status_environment import BLOCK, CREW, FLOW_RUN, MOUS, OTHER, PROJECT, Environment, entry, job

from cli._now import look
from flows import restore_ous

RUNNING = {
    "RemoteHost": "slot1_1@node7", "JobCurrentStartDate": int(time.time()) - 60, "NumJobStarts": 1,
    "ResidentSetSize_RAW": 1_000_000, "RemoteUserCpu": 31.0, "RemoteSysCpu": 2.0,
}  # fmt: skip


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    made = Environment(tmp_path)
    made.write()
    monkeypatch.setenv("CAPO_PATH", str(tmp_path))
    monkeypatch.setenv("CAPO_PROFILE", "site-test")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "installation"))
    return made


def test_where_nothing_was_done_yet_nothing_is_made(environment: Environment) -> None:
    assert environment.told() == []
    assert environment.ppi().stdout == "Nothing was restored yet in profile site-test.\n"
    assert environment.ppi(MOUS).stdout == f"{MOUS} was not restored yet in profile site-test.\n"
    assert not environment.area.root.exists()


def test_a_run_is_shown_with_who_started_it_its_page_and_its_stages(environment: Environment) -> None:
    with environment.running() as record:
        (seen,) = environment.told()
        shown = environment.ppi().stdout
    run = seen["run"]
    assert (seen["observation"], seen["project"], seen["state"], seen["path"]) == (MOUS, PROJECT, "running", None)
    assert (run["execution"], run["flow"], run["flow_run"]) == (record.id, "restore-ous", FLOW_RUN)
    assert (run["host"], run["account"]) == ("archive-test", "almapipe")
    assert run["page"] == f"http://prefect-test:4200/runs/flow-run/{FLOW_RUN}"
    assert 90 <= run["seconds"] < 600
    assert [(stage["name"], stage["state"]) for stage in run["stages"]] == [
        ("plan", "done"), ("gather", "done"), ("process", "running"), ("finish", "to come"),
    ]  # fmt: skip
    assert [stage["seconds"] for stage in run["stages"][:2]] == [0.5, 12.5]
    assert 30 <= run["stages"][2]["seconds"] < 600
    assert "restore-ous X1284_X265f (2017.1.00886.L)" in shown
    assert "by almapipe on archive-test" in shown
    assert run["page"] in shown
    assert "plan done in 0.5 s → gather done in 12.5 s → process running for " in shown
    assert "→ finish to come" in shown


def test_the_stages_are_those_of_the_flow() -> None:
    source = Path(restore_ous.__file__).read_text()
    from cli._now import _STAGES

    assert {"restore-ous": tuple(re.findall(r'record\.stage\("(\w+)"\)', source))} == _STAGES


def test_a_run_belongs_to_its_attempt_and_one_that_was_killed_is_none(environment: Environment) -> None:
    tree = environment.attempt()
    with environment.running():
        (seen,) = environment.told()
        assert (seen["path"], seen["run"]["flow_run"]) == (str(tree.attempt), FLOW_RUN)
    (seen,) = environment.told()
    assert (seen["state"], seen["run"], seen["jobs"]) == ("interrupted", None, [])


def test_jobs_are_shown_with_what_they_do_and_how_they_fare(environment: Environment) -> None:
    environment.crew(entry(1, requested_memory=2 << 30), entry(2, step="", item="", state="starts"))
    environment.queue(job(1, **RUNNING), job(2, status=1, LastRejMatchReason="no match found"))
    with environment.running():
        (seen,) = environment.told()
        shown = environment.ppi().stdout
    works, waits = seen["jobs"]
    assert (works["id"], works["stage"], works["step"], works["item"]) == ("17.0", "process", "restore", BLOCK)
    assert (works["status"], works["slot"], works["crew"]) == ("running", "slot1_1@node7", CREW)
    assert (works["memory"], works["requested_memory"], works["cpu_seconds"]) == (1_024_000_000, 2 << 30, 33.0)
    assert 65 <= works["age_seconds"] < 600
    assert (waits["status"], waits["reason"], waits["slot"]) == ("idle", "no match found", None)
    assert 'PPIProfile =?= "site-test"' in environment.asked()
    (line,) = [line for line in shown.splitlines() if "17.0" in line]
    for word in (f"restore {BLOCK}", "running", "slot1_1@node7", "1.0 GB", "2.1 GB", "33.0 s"):
        assert word in line
    assert "no match found" in shown


@pytest.mark.parametrize(
    ("status", "word", "ad", "why"),
    [
        (1, "idle", {"LastRejMatchReason": "no slot"}, "no slot"),
        (2, "running", {}, None),
        (3, "removed", {"RemoveReason": "by ppi"}, "by ppi"),
        (4, "completed", {}, None),
        (5, "held", {"HoldReason": "memory usage exceeded", "HoldReasonCode": 34}, "memory usage exceeded"),
        (6, "transferring", {}, None),
        (7, "suspended", {}, None),
        (99, "unknown", {}, None),
    ],
)
def test_every_status_has_its_word(
    environment: Environment, status: int, word: str, ad: dict[str, str], why: str | None
) -> None:
    environment.queue(job(1, status=status, **ad))
    with environment.running():
        ((one,),) = (seen["jobs"] for seen in environment.told())
        shown = environment.ppi().stdout
    assert (one["status"], one["reason"]) == (word, why)
    assert word in shown
    assert (why or "") in shown


def test_a_reason_makes_the_terminal_do_nothing(environment: Environment) -> None:
    environment.queue(job(1, status=5, HoldReason="\x1b[2J[red]\x07bad\nworse"))
    with environment.running():
        shown = environment.ppi().stdout
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "[2J[red]" in shown


def test_jobs_that_no_run_has_are_shown_with_their_observation(environment: Environment) -> None:
    environment.crew(entry(), flow_run="gone")
    environment.queue(job(1, flow_run="gone"))
    (seen,) = environment.told()
    assert (seen["observation"], seen["state"], seen["run"]) == (MOUS, "interrupted", None)
    assert [(one["id"], one["item"]) for one in seen["jobs"]] == [("17.0", BLOCK)]
    assert "without a run that is under way" in environment.ppi().stdout


@pytest.mark.parametrize("sign", ["away", "missing", "nonsense"])
def test_without_the_pool_all_else_is_shown_and_that_is_said(environment: Environment, sign: str) -> None:
    environment.crew(entry(), entry(2, state="has ended", is_over=True))
    if sign == "away":
        environment.pool_is_away()
    elif sign == "nonsense":
        environment.pool_is_away("Unparseable constraint")
    else:
        shutil.rmtree(environment.root / "programs")
    with environment.running():
        ran, shown = environment.ppi("--json"), environment.ppi()
        (seen,) = environment.told()
    assert [(one["id"], one["status"], one["item"]) for one in seen["jobs"]] == [("17.0", "unknown", BLOCK)]
    assert seen["run"]["flow_run"] == FLOW_RUN
    assert ran.stderr.count("not known: HTCondor's condor_q") == 1
    assert shown.stdout.count("not known: HTCondor's condor_q") == 1


def test_without_the_catalog_all_else_is_shown_and_that_is_said(environment: Environment) -> None:
    tree = environment.attempt()
    (environment.area.root / "catalog.db").write_bytes(b"no database" * 1000)
    ran = environment.ppi()
    assert ran.exit_code == 0
    assert str(tree.attempt) in ran.stdout
    assert "not known: " in ran.stdout


def test_a_board_that_is_broken_is_told(environment: Environment) -> None:
    environment.crew(entry())
    (environment.logs / "half").mkdir()
    (environment.logs / "half" / "crew.json").write_bytes(b'{"crew":')
    environment.queue(job(1))
    with environment.running():
        ran = environment.ppi("--json")
    assert str(environment.logs / "half") in ran.stderr
    assert BLOCK in ran.stdout


def test_one_observation_may_be_asked_for(environment: Environment) -> None:
    environment.attempt(OTHER)
    with environment.running():
        assert [seen["observation"] for seen in environment.told()] == [MOUS, OTHER]
        assert [seen["observation"] for seen in environment.told(MOUS.file_form)] == [MOUS]
        assert f'PPIObservation =?= "{MOUS}"' in environment.asked()
    assert [seen["observation"] for seen in environment.told(OTHER)] == [OTHER]
    assert environment.ppi("X265f").exit_code == 1


def test_a_profile_without_a_pool_asks_none(environment: Environment) -> None:
    environment.write(kind="local")
    with environment.running():
        (seen,) = environment.told()
    assert seen["jobs"] == []
    assert not (environment.root / "programs" / "asked").exists()


def test_what_goes_while_one_looks_is_looked_at_again(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    from blocks.profile import Profile
    from cli import _now

    looks = []

    def states(area: object) -> tuple[()]:
        looks.append(area)
        if len(looks) < 3:
            raise FileNotFoundError
        return ()

    monkeypatch.setattr(_now, "states", states)
    assert look(Profile.load("site-test")).observations == ()
    assert len(looks) == 3


@pytest.mark.parametrize("arguments", [["--watch"], ["--watch", "--json"], ["--log", "17.0", "--lines", "0"]])
def test_what_makes_no_sense_is_a_matter_of_usage(environment: Environment, arguments: list[str]) -> None:
    assert environment.ppi(*arguments).exit_code == 2


def test_nothing_of_prefect_or_dask_is_needed(environment: Environment) -> None:
    environment.queue(job(1))
    with environment.running():
        ran = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "cli", "status", "--json"],
            env=variables(environment), capture_output=True, text=True, check=True,
        )  # fmt: skip
    imported = {
        name.partition(".")[0] for name in re.findall(r"^import time:.*\| +(\S+)$", ran.stderr, re.MULTILINE)
    }
    assert "sqlmodel" in imported
    assert {"prefect", "dask", "distributed", "matplotlib", "numpy"} & imported == set()


def variables(environment: Environment) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(environment.root),
        "CAPO_PATH": str(environment.root),
        "CAPO_PROFILE": "site-test",
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "TERM": "xterm",
        "COLUMNS": "200",
    }


class Terminal:
    """A command on a terminal of its own, and what it shows there."""

    def __init__(self, environment: Environment, *arguments: str) -> None:
        self._screen, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cli", "status", *arguments],
            env=variables(environment), stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        self.shown = ""

    def until(self, words: str, seconds: float = 60) -> None:
        """Wait until some words are shown that were not there before."""
        before, ends = len(self.shown), time.monotonic() + seconds
        while words not in self.shown[before:]:
            assert time.monotonic() < ends, self.shown[before:]
            if select.select([self._screen], [], [], 0.2)[0]:
                self.shown += os.read(self._screen, 65536).decode(errors="replace")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._screen)


def test_watched_it_shows_what_changes_until_ctrl_c(environment: Environment) -> None:
    environment.queue(job(1, status=1))
    with environment.running():
        terminal = Terminal(environment, "--watch")
        try:
            terminal.until("idle")
            environment.queue(job(1, **RUNNING))
            terminal.until("slot1_1@node7")
            environment.pool_is_away()
            terminal.until("not known: HTCondor's condor_q")
            os.kill(terminal.process.pid, signal.SIGINT)
            assert terminal.process.wait(60) == 0
        finally:
            terminal.close()

"""`ppi status --log`: CASA's log of a job or an execution block, as text; the job's own where there is none."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
from status_environment import BLOCK, MOUS, OTHER, PROJECT, Environment, entry
from test_status_command import environment, variables

__all__ = ["environment"]
SIMILAR = "uid://A002/Xc72428/X2dfe"


def test_the_newest_attempt_of_the_block_that_a_job_works_on(environment: Environment) -> None:
    environment.crew(entry())
    tree = environment.attempt()
    old = environment.casa_log("old\n", tree)
    os.utime(old, (1, 1))
    new = environment.casa_log("".join(f"line {number}\n" for number in range(50)), tree)
    ran = environment.ppi("--log", "17.0", "--lines", "2")
    assert ran.stdout == "line 48\nline 49\n"
    assert ran.stderr == f"CASA's log of job 17.0, restore {BLOCK}: {new}\n"
    assert environment.ppi("--log", "17", "--lines", "1").stdout == "line 49\n"
    assert environment.ppi("--log", "17.0").stdout.count("\n") == 20


@pytest.mark.parametrize("name", [BLOCK, BLOCK.file_form, "A002_Xc72427_X2dfe", "X2dfe", "x2DFE", "Xc72427_X2dfe"])
def test_a_block_is_found_by_any_of_its_names(environment: Environment, name: str) -> None:
    environment.write(kind="local")
    environment.casa_log("as it is\n", environment.attempt())
    assert environment.ppi("--log", name).stdout == "as it is\n"


@pytest.mark.parametrize("name", ["X2df", "dfe", "*", "", "..", "uid___A002_Xc72427", "X2dfe/../X2dfe"])
def test_a_part_of_a_name_is_none(environment: Environment, name: str) -> None:
    environment.casa_log("as it is\n", environment.attempt())
    assert environment.ppi("--log", name).exit_code == 1
    assert environment.ppi("--log", name).stdout == ""


def test_two_that_are_called_alike_are_not_guessed(environment: Environment) -> None:
    from tasks.alma.ids import EntityId

    environment.casa_log("one\n", environment.attempt())
    environment.casa_log("other\n", environment.attempt(OTHER), EntityId(SIMILAR))
    ran = environment.ppi("--log", "X2dfe")
    assert "uid___A002_Xc72427_X2dfe, uid___A002_Xc72428_X2dfe are called so" in str(ran.exception)
    assert environment.ppi("--log", SIMILAR).stdout == "other\n"
    assert environment.ppi(MOUS, "--log", "X2dfe").stdout == "one\n"


def test_of_what_is_done_and_of_what_is_delivered_too(environment: Environment) -> None:
    delivered = environment.area.destination(PROJECT, MOUS) / "log" / BLOCK.file_form
    delivered.mkdir(parents=True)
    (delivered / "casa.log").write_text("delivered\n")
    assert environment.ppi("--log", "X2dfe").stdout == "delivered\n"
    tree = environment.attempt()
    done = environment.casa_log("done\n", tree).parent.rename(tree.finished(BLOCK.file_form))
    assert environment.ppi("--log", "X2dfe").stderr.endswith(f"{done}/casa.log\n")


def test_the_pipeline_has_one_log_for_all_blocks(environment: Environment) -> None:
    environment.crew(entry(step="pipeline", item=""))
    (environment.attempt().working / "casa.log").write_text("all of them\n")
    assert environment.ppi("--log", "17.0").stdout == "all of them\n"


@pytest.mark.parametrize(
    ("stage", "known", "said"),
    [
        ("gather", {"step": "fetch"}, f"CASA does not work in job 17.0 (gather: fetch {BLOCK}); its own log"),
        ("process", {"step": "", "item": "", "state": "waits for work"}, "(process: waits for work); its own log"),
        ("process", {}, f"(process: restore {BLOCK}); its own log"),
    ],
)
def test_where_casa_does_not_work_the_job_speaks_for_itself(
    environment: Environment, stage: str, known: dict[str, str], said: str
) -> None:
    directory = environment.crew(entry(**known), stage=stage)  # type: ignore[arg-type]
    (directory / "w-1.err").touch()
    (directory / "w-1.out").write_text("hello\n")
    ran = environment.ppi("--log", "17.0")
    assert (ran.stdout, ran.exit_code) == ("hello\n", 0)
    assert said in ran.stderr
    (directory / "w-1.err").write_text("Traceback\n")
    assert environment.ppi("--log", "17.0").stdout == "Traceback\n"


def test_a_job_that_is_done_has_the_log_of_what_it_did_last(environment: Environment) -> None:
    environment.crew(entry(step="", item="", last_step="restore", last_item=BLOCK, state="ended", is_over=True))
    environment.casa_log("as it was\n", environment.attempt())
    ran = environment.ppi("--log", "17.0")
    assert ran.stdout == "as it was\n"
    assert f"CASA's log of job 17.0, restore {BLOCK}, which it did last: " in ran.stderr


def test_a_job_that_left_no_log_and_one_that_nobody_knows(environment: Environment) -> None:
    environment.crew(entry(step=""))
    assert "it has written none" in str(environment.ppi("--log", "17.0").exception)
    assert "no crew of profile site-test had it" in str(environment.ppi("--log", "99.0").exception)


def test_a_log_makes_the_terminal_do_nothing(environment: Environment) -> None:
    environment.casa_log("\x1b[2J\x1b]0;title\x07 fine\r\n", environment.attempt())
    told = environment.ppi("--log", "X2dfe").stdout
    assert told.endswith(" fine\n")
    assert told.strip().isprintable()


def test_as_json(environment: Environment) -> None:
    log = environment.casa_log("one\ntwo\n", environment.attempt())
    told = json.loads(environment.ppi("--log", "X2dfe", "--json").stdout)
    assert told == {"job": "X2dfe", "what": "CASA's log of X2dfe", "path": str(log), "lines": ["one", "two"]}


def test_it_is_followed_into_the_next_attempt_and_to_where_it_is_settled(environment: Environment) -> None:
    tree = environment.attempt()
    first = environment.casa_log("begin\nhalf a ", tree)
    following = subprocess.Popen(
        [sys.executable, "-m", "cli", "status", "--log", "X2dfe", "--watch"],
        env=variables(environment), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert following.stdout
        assert following.stdout.readline() == "begin\n"
        with first.open("a") as stream:
            stream.write("line\nnext\n")
        assert [following.stdout.readline() for _ in range(2)] == ["half a line\n", "next\n"]
        os.utime(first, (1, 1))
        second = environment.casa_log("again\n", tree)
        assert following.stdout.readline() == "again\n"
        settled = second.parent.rename(tree.finished(BLOCK.file_form)) / "casa.log"
        with settled.open("a") as stream:
            stream.write("done\n")
        assert following.stdout.readline() == "done\n"
        following.send_signal(signal.SIGINT)
        assert following.wait(60) == 0
        assert following.stdout.read() == ""
    finally:
        following.kill()
        following.wait()
        if following.stdout:
            following.stdout.close()

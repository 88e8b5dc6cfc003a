"""Leases: one holder at a time, whatever happens to it, and nothing left of the dead."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tasks import lease as lease_module
from tasks.errors import Transient
from tasks.lease import Claim, Holder, Lease, beating, holders, leased, sweep

BEAT = 0.05
ELSEWHERE = Holder(token="t", host="elsewhere", machine="another", pid=1, born=1, subject="its work")


@contextmanager
def dead_process(folder: Path) -> Iterator[int]:
    """A process that took the lease `x` and was killed; its parent has not yet asked for it."""
    script = "import sys, time; from pathlib import Path; from tasks.lease import Claim\n"
    script += "Claim(Path(sys.argv[1]), 'x', 'its work').attempt(); print('ok', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", script, str(folder)], stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ok\n"
        process.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        yield process.pid


def put(folder: Path, holder: Holder | None, generation: int = 1) -> Path:
    path = folder / "x" / str(generation)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(holder.text if holder else "?")
    return path


def holder_of(path: Path) -> Holder:
    holder = lease_module._read(path)
    assert holder
    return holder


def taken(folder: Path) -> Lease:
    lease = Claim(folder, "x", "our work", BEAT).attempt()
    assert lease
    return lease


def test_it_is_held_and_released(tmp_path: Path) -> None:
    with leased(tmp_path, "x", "our work") as lease:
        lease.require_held()
        assert [(name, holder.pid) for name, holder in holders(tmp_path).items()] == [("x", os.getpid())]
        assert Claim(tmp_path, "x", "other work").attempt() is None
        assert Claim(tmp_path, "y", "other work").attempt()
    assert not (tmp_path / "x").exists()


def test_who_waits_is_told_who_holds_it(tmp_path: Path) -> None:
    first, told = taken(tmp_path), list[str]()
    threading.Timer(0.2, first.release).start()
    with leased(tmp_path, "x", "other work", on_wait=lambda holder: told.append(f"{holder}: {holder.subject}")):
        assert told == [f"process {os.getpid()} on {os.uname().nodename}: our work"]


def test_of_many_threads_one_holds_it(tmp_path: Path) -> None:
    inside, most = 0, 0

    def work(_: int) -> None:
        nonlocal inside, most
        with leased(tmp_path, "x", "our work"):
            inside += 1
            most = max(most, inside)
            time.sleep(0.001)
            inside -= 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(40)))
    assert most == 1
    assert not (tmp_path / "x").exists()


def test_a_dead_process_is_known_at_once(tmp_path: Path) -> None:
    with dead_process(tmp_path):
        assert not holders(tmp_path)
        lease = taken(tmp_path)
        lease.release()
        assert not (tmp_path / "x").exists()


def test_a_process_number_that_is_used_again_is_another_process(tmp_path: Path) -> None:
    taken(tmp_path)
    path = tmp_path / "x" / "1"
    holder = holder_of(path)
    put(tmp_path, holder.model_copy(update={"born": holder.born - 1}))
    assert taken(tmp_path)


@pytest.mark.parametrize("holder", [ELSEWHERE, None], ids=["elsewhere", "unreadable"])
def test_who_cannot_be_seen_counts_as_dead_when_silent(tmp_path: Path, holder: Holder | None) -> None:
    path = put(tmp_path, holder)
    claim, began = Claim(tmp_path, "x", "our work", BEAT), time.monotonic()
    while time.monotonic() < began + 10 * BEAT:
        os.utime(path, follow_symlinks=False)
        assert claim.attempt() is None
        time.sleep(BEAT / 5)
    silent = time.monotonic()
    while not claim.attempt():
        time.sleep(BEAT / 5)
    assert 5 * BEAT < time.monotonic() - silent < 5


def test_the_heart_beats_while_it_is_held(tmp_path: Path) -> None:
    with leased(tmp_path, "x", "our work", heartbeat=BEAT):
        path = tmp_path / "x" / "1"
        before = path.lstat().st_mtime_ns
        time.sleep(5 * BEAT)
        assert path.lstat().st_mtime_ns > before


def test_who_was_taken_for_dead_finds_out_and_harms_nobody(tmp_path: Path) -> None:
    slow = taken(tmp_path)
    path = tmp_path / "x" / "1"
    put(tmp_path, holder_of(path).model_copy(update={"machine": "another"}))
    claim = Claim(tmp_path, "x", "other work", BEAT)
    while not (lease := claim.attempt()):
        time.sleep(BEAT)
    with pytest.raises(Transient, match="our work: another process took it over"):
        slow.require_held()
    slow.beat()
    slow.release()
    lease.require_held()


@pytest.mark.parametrize("round_", range(25))
def test_of_many_that_find_it_dead_one_gets_it(tmp_path: Path, round_: int) -> None:
    put(tmp_path, ELSEWHERE.model_copy(update={"machine": dead_machine(tmp_path)}), generation=round_ + 1)
    start = threading.Barrier(8)

    def attempt(_: int) -> Lease | None:
        start.wait()
        return Claim(tmp_path, "x", "our work").attempt()

    with ThreadPoolExecutor(8) as pool:
        got = [lease for lease in pool.map(attempt, range(8)) if lease]
    assert len(got) <= 1, "none where two of them withdrew"
    for lease in got or [taken(tmp_path)]:
        lease.require_held()
        lease.release()
    assert not (tmp_path / "x").exists()


def test_it_is_left_to_who_took_it_between_looking_and_taking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dead one's lease was taken over and released, and somebody has begun anew at the first generation."""
    put(tmp_path, ELSEWHERE.model_copy(update={"machine": dead_machine(tmp_path)}))
    make = lease_module._make

    def make_late(path: Path, holder: Holder) -> bool:
        put(tmp_path, ELSEWHERE)
        return make(path, holder)

    monkeypatch.setattr(lease_module, "_make", make_late)
    assert Claim(tmp_path, "x", "our work").attempt() is None
    assert holders(tmp_path) == {"x": ELSEWHERE}


def dead_machine(folder: Path) -> str:
    """Return this machine's mark, where no process has been born in the first tick."""
    with leased(folder / "probe", "probe", "probe"):
        return holders(folder / "probe")["probe"].machine


def test_what_the_dead_have_left_is_swept(tmp_path: Path) -> None:
    with dead_process(tmp_path), leased(tmp_path, "y", "our work"):
        (tmp_path / "empty").mkdir()
        sweep(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["y"]
    sweep(tmp_path / "nowhere")


def test_holding_can_be_nested(tmp_path: Path) -> None:
    with leased(tmp_path, "x", "our work"), leased(tmp_path, "y", "our work"):
        assert set(holders(tmp_path)) == {"x", "y"}


def test_a_release_that_comes_late_removes_nothing(tmp_path: Path) -> None:
    first = taken(tmp_path)
    first.release()
    with beating(taken(tmp_path)):
        first.release()
        assert holders(tmp_path)


WORK = """
import fcntl, os, random, sys, time
from pathlib import Path
from tasks.lease import leased
root, parent = Path(sys.argv[1]), os.getppid()
while os.getppid() == parent:
    with leased(root / "leases", "x", "work"):
        witness = os.open(root / "witness", os.O_RDWR | os.O_CREAT)
        fcntl.flock(witness, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with open(root / "count", "ab") as count:
            count.write(b".")
        time.sleep(random.random() / 500)
        os.close(witness)
"""


@contextmanager
def working(root: Path, number: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    processes = [work_in(root) for _ in range(number)]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def work_in(root: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", WORK, str(root)], stderr=subprocess.PIPE)


def grown(path: Path, by: int) -> bool:
    """Whether a file grows by so much within a minute."""
    ends, before = time.monotonic() + 60, size_of(path)
    while (there := size_of(path)) < before + by and time.monotonic() < ends:
        time.sleep(0.01)
    return there >= before + by


def size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def test_processes_that_are_killed_at_any_moment(tmp_path: Path) -> None:
    """The kernel's lock is the witness that no two were inside: it ends with its holder, as a lease must."""
    chance = random.Random(0)  # noqa: S311 - the same every time
    with working(tmp_path, 4) as processes:
        for _ in range(12):
            assert grown(tmp_path / "count", chance.randrange(1, 20)), "none goes on"
            victim = processes.pop(chance.randrange(4))
            assert victim.poll() is None, (victim.stderr or sys.stdin).read()
            victim.kill()
            victim.communicate()
            processes.append(work_in(tmp_path))
        assert grown(tmp_path / "count", 20), "none goes on"
        assert [process.poll() for process in processes] == [None] * 4
    sweep(tmp_path / "leases")
    assert not list((tmp_path / "leases").iterdir())


def test_a_file_that_is_there_for_a_moment_takes_nothing(tmp_path: Path) -> None:
    """Somebody has looked before we took it, and withdraws."""
    lease = taken(tmp_path)
    later = put(tmp_path, ELSEWHERE, 2)
    threading.Timer(0.1, later.unlink).start()
    assert lease.is_held()
    put(tmp_path, ELSEWHERE, 2)
    lease.release()
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["2"]


def test_who_was_killed_in_taking_over_is_followed(tmp_path: Path) -> None:
    with dead_process(tmp_path):
        put(tmp_path, holder_of(tmp_path / "x" / "1"), 2)
        lease = taken(tmp_path)
        assert [path.name for path in (tmp_path / "x").iterdir()] == ["3"]
        lease.release()
        assert not (tmp_path / "x").exists()


def test_who_made_a_file_that_is_gone_does_not_hold_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = lease_module._make

    def make(path: Path, holder: Holder) -> bool:
        done = made(path, holder)
        path.unlink()  # one that saw a file of a later generation removed it
        return done

    monkeypatch.setattr(lease_module, "_make", make)
    assert Claim(tmp_path, "x", "our work").attempt() is None


def test_what_nobody_was_heard_of_for_a_day_is_swept(tmp_path: Path) -> None:
    path = put(tmp_path, ELSEWHERE)
    sweep(tmp_path)
    assert list(holders(tmp_path)) == ["x"]
    os.utime(path, (time.time() - 90000, time.time() - 90000), follow_symlinks=False)
    assert not holders(tmp_path)
    sweep(tmp_path)
    assert not (tmp_path / "x").exists()


def test_its_folders_are_shared_with_the_group_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        with leased(tmp_path / "leases", "x", "our work"):
            modes = [path.stat().st_mode & 0o7777 for path in (tmp_path / "leases", tmp_path / "leases" / "x")]
    finally:
        os.umask(before)
    assert modes == [0o2770, 0o2770]


def test_who_comes_late_to_a_dead_one_takes_nothing_from_who_holds_it_by_then(tmp_path: Path) -> None:
    with dead_process(tmp_path):
        (tmp_path / "x" / "1").rename(tmp_path / "x" / "3")
        before = lease_module._newest(tmp_path / "x")
        taken(tmp_path).release()
        holder = taken(tmp_path)
        late = tmp_path / "x" / "4"
        assert lease_module._make(late, ELSEWHERE)
        assert lease_module._remains(late, before) is None
        late.unlink()
        assert holder.is_held()


def test_who_looks_where_it_points_to_finds_nothing(tmp_path: Path) -> None:
    with leased(tmp_path, "x", "fetching a/very\n\0 long name \N{SNOWMAN} " + 50 * "name "):
        (path,) = (tmp_path / "x").iterdir()
        assert not path.exists()
        assert holders(tmp_path)["x"].subject.startswith("fetching a/very?? long name ? name ")


def test_a_process_that_the_system_hides_is_not_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """With ``hidepid`` nobody sees the processes of other accounts, but that they are there."""

    def forbid(pid: int, signal: int) -> None:
        raise PermissionError

    hidden = lease_module._ourselves("its work").model_copy(update={"pid": 2**22 + 1})
    assert hidden.is_gone
    monkeypatch.setattr(os, "kill", forbid)
    assert not hidden.is_gone


def test_a_child_does_not_keep_alive_what_its_parent_holds(tmp_path: Path) -> None:
    with leased(tmp_path, "x", "our work", heartbeat=BEAT):
        child = os.fork()
        if child == 0:
            with leased(tmp_path, "y", "its work", heartbeat=BEAT):
                names = [lease._path.parent.name for lease in lease_module._heart._leases]
                os._exit(0 if names == ["y"] else 1)
        assert os.waitpid(child, 0)[1] == 0
    sweep(tmp_path)


def test_what_is_swept_can_be_chosen(tmp_path: Path) -> None:
    with dead_process(tmp_path):
        assert sweep(tmp_path, ["y"]) == []
        assert sweep(tmp_path, ["x", "y"]) == ["x"]

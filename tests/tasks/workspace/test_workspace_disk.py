"""What lies on disk is whole or not there, whenever its writer was killed; a lock ends with its holder."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest
from workspace_examples import content, moments

from tasks import disk
from tasks.errors import Transient


def test_a_file_is_old_or_new_whenever_its_writer_is_killed(tmp_path: Path) -> None:
    path, seen = tmp_path / "record.json", set()
    path.write_bytes(b"old")
    for _ in moments(lambda: disk.write_whole(path, b"new")):
        seen.add(path.read_bytes())
        disk.write_whole(path, b"new")
        assert content(tmp_path) == {"record.json": b"new"}
        path.write_bytes(b"old")
    assert seen == {b"old", b"new"}


def test_a_tree_is_in_one_of_its_places_whenever_its_mover_is_killed(tmp_path: Path) -> None:
    destination, places = tmp_path / "finished", set()
    whole = content(source := _tree(tmp_path / "attempt"))
    for _ in moments(lambda: disk.settle(source, destination)):
        (place,) = tmp_path.iterdir()
        assert content(place) == whole
        places.add(place)
        disk.settle(source, destination)
        disk.settle(source, destination)
        assert [content(path) for path in tmp_path.iterdir()] == [whole]
        disk.remove(destination)
        _tree(source)
    assert places == {source, destination}


def _tree(root: Path) -> Path:
    (root / "SUB").mkdir(parents=True)
    (root / "table.dat").write_bytes(b"table")
    (root / "SUB" / "table.f0").write_bytes(b"column")
    return root


def test_what_is_no_file_or_folder_is_moved_with_its_tree(tmp_path: Path) -> None:
    """CASA's private HOME and temporary folder are in the tree, with whatever a library leaves there."""
    source = _tree(tmp_path / "attempt")
    (source / "link").symlink_to("nowhere")
    os.mkfifo(source / "pipe")
    disk.settle(source, tmp_path / "finished")
    assert (tmp_path / "finished" / "link").is_symlink()
    assert (tmp_path / "finished" / "pipe").is_fifo()


def test_a_tree_is_whole_or_not_there_whenever_its_remover_is_killed(tmp_path: Path) -> None:
    whole = content(root := _tree(tmp_path / "attempt"))
    for _ in moments(lambda: disk.remove(root)):
        assert not root.exists() or content(root) == whole
        disk.remove(root)
        assert list(tmp_path.iterdir()) == []
        _tree(root)


def test_a_lock_names_its_holder_and_ends_with_it(tmp_path: Path) -> None:
    lock = tmp_path / "locks" / "observation"
    assert not disk.is_locked(lock)
    holder = _holder(lock)
    assert disk.is_locked(lock)
    with pytest.raises(Transient, match=f"process {holder} on"), disk.exclusive(lock, "the observation"):
        pass
    os.kill(holder, signal.SIGKILL)
    os.waitpid(holder, 0)
    assert not disk.is_locked(lock)
    with disk.exclusive(lock, "the observation"):
        assert lock.read_text() == f"process {os.getpid()} on {os.uname().nodename}"


def _holder(lock: Path) -> int:
    """Have another process hold a lock; return when it does."""
    ready, held = os.pipe()
    child = os.fork()
    if child == 0:
        with disk.exclusive(lock, "the observation"):
            os.write(held, b"!")
            signal.pause()
    assert os.read(ready, 1) == b"!"
    os.close(ready)
    os.close(held)
    return child


def test_a_look_at_a_lock_keeps_nobody_out(tmp_path: Path) -> None:
    lock, over = tmp_path / "observation", threading.Event()
    lock.touch()

    def look() -> None:
        while not over.is_set():
            disk.is_locked(lock)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        for _ in range(300):
            with disk.exclusive(lock, "the observation"):
                pass
    finally:
        over.set()
        looking.join()

"""What lies on disk is whole or not there, whenever its writer was killed; a lock ends with its holder."""

from __future__ import annotations

import os
import signal
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from killed_moments import moments
from workspace_examples import content

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


def test_a_shared_folder_is_open_to_its_group_as_soon_as_it_has_its_name(tmp_path: Path) -> None:
    folder, umask, seen = tmp_path / "a" / "b", os.umask(0o077), set[Path]()
    try:
        for _ in moments(lambda: disk.make_shared(folder)):
            seen.update(path for path in (folder, folder.parent) if path.exists())
            assert {stat.S_IMODE(path.stat().st_mode) for path in seen} <= {0o2770}
            disk.make_shared(folder)
            disk.remove(folder.parent)
    finally:
        os.umask(umask)
    assert seen == {folder, folder.parent}


def test_many_make_one_shared_folder_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        for round_ in range(20):
            list(pool.map(disk.make_shared, [tmp_path / f"{round_}" / "b"] * 8))
    assert {path.name for path in tmp_path.rglob("*")} == {"b", *map(str, range(20))}


def test_a_shared_folder_is_made_although_somebody_clears_it_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chmod = Path.chmod

    def clear_away(draft: Path, mode: int) -> None:
        monkeypatch.setattr(Path, "chmod", chmod)
        draft.rmdir()
        chmod(draft, mode)

    monkeypatch.setattr(Path, "chmod", clear_away)
    disk.make_shared(tmp_path / "a")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_copy_is_whole_or_not_there_whenever_its_writer_is_killed(tmp_path: Path) -> None:
    source, copy = tmp_path / "source", tmp_path / "there" / "copy"
    source.write_bytes(b"bytes")
    copy.parent.mkdir()
    for _ in moments(lambda: disk.copy_whole(source, copy, 0o440)):
        assert not copy.exists() or copy.read_bytes() == b"bytes"
        disk.copy_whole(source, copy, 0o440)
        assert content(copy.parent) == {"copy": b"bytes"}
        assert stat.S_IMODE(copy.stat().st_mode) == 0o440
        copy.unlink()


def test_nothing_is_left_of_a_copy_that_fails(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        disk.copy_whole(tmp_path / "nowhere", tmp_path / "copy", 0o440)
    assert list(tmp_path.iterdir()) == []

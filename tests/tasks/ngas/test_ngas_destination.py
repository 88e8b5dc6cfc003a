"""Where files come to lie: below the destination, past links that lie there already."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from tasks.errors import Failed, Refused
from tasks.ngas.destination import destination_of

FILE = PurePosixPath("a/b/f")


def test_folders_are_made_on_the_way(tmp_path: Path) -> None:
    assert destination_of(tmp_path / "new" / "root", FILE) == tmp_path / "new" / "root" / FILE
    assert (tmp_path / "new" / "root" / "a" / "b").is_dir()
    assert destination_of(tmp_path / "new" / "root", FILE) == tmp_path / "new" / "root" / FILE


def test_a_link_that_leaves_is_not_followed(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (root / "a").symlink_to(outside)
    with pytest.raises(Refused, match="it is a link that leaves"):
        destination_of(root, FILE)
    (root / "a").unlink()
    (root / "a").mkdir()
    (root / "a" / "b").symlink_to("../../outside")
    with pytest.raises(Refused, match="it is a link that leaves"):
        destination_of(root, FILE)
    assert not list(outside.iterdir())


def test_a_link_through_which_nothing_is_made_outside(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "a").symlink_to(tmp_path / "nowhere")
    with pytest.raises(Refused, match="a folder should be there"):
        destination_of(tmp_path / "root", FILE)
    assert not (tmp_path / "nowhere").exists()


def test_a_link_that_stays_within(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "a").symlink_to("real")
    assert destination_of(tmp_path, FILE).parent.resolve() == (tmp_path / "real" / "b").resolve()


def test_a_root_that_is_a_link_is_the_users_own_choice(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert destination_of(tmp_path / "link", FILE) == tmp_path / "real" / FILE


def test_what_is_no_folder_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(Refused, match="a folder should be there"):
        destination_of(tmp_path, FILE)
    (tmp_path / "a").unlink()
    (tmp_path / "a").symlink_to("a")
    with pytest.raises(Refused, match="a folder should be there"):
        destination_of(tmp_path, FILE)


def test_a_root_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Failed, match="cannot be placed"):
        destination_of(tmp_path / "file" / "root", FILE)

"""Gathering: what the plan names is brought into place, each thing once, and only what it should be."""

from __future__ import annotations

import io
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from restore_examples import FIRST, MOUS, SECOND, Archived, commands_name, raw_name

from tasks.errors import PpiError, Refused
from tasks.ngas import Store
from tasks.ppr import xml
from tasks.progress import following
from tasks.restore.gather import fetch_block, fetch_products, request_path, write_request
from tasks.transfers import Account
from tasks.workspace.layout import Area, Tree


def tar_of(*names: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(name)
            tar.addfile(member, io.BytesIO(name.encode()))
    return stream.getvalue()


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    area = Area(tmp_path / "area")
    with area.held(MOUS):
        return area.attempt(MOUS, "key", "2017.1.00886.L", lambda _: "2017.1.00886.L_now/SOUS/GOUS/MOUS")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.mark.parametrize("top", [FIRST.file_form, f"{FIRST.file_form}.asdm.sdm"])
def test_an_execution_block_is_unpacked_under_its_name_and_fetched_once(
    archived: Archived, tree: Tree, store: Store, top: str
) -> None:
    archived.without = (raw_name(FIRST),)
    archived.put_all()
    archived.put(raw_name(FIRST), data := tar_of(f"{top}/Main.xml", f"{top}/ASDMBinary/bdf"), listed=False)
    block, account = archived.plan().blocks[0], Account("gather")
    with following(account):
        (entry,) = fetch_block(block, tree, store, archived.client)
    assert (tree.rawdata / FIRST.file_form / "Main.xml").read_text() == f"{top}/Main.xml"
    assert [path.name for path in tree.rawdata.iterdir()] == [FIRST.file_form]
    assert (entry.name, entry.file_id, entry.size, entry.server) == (
        FIRST.file_form, raw_name(FIRST), len(data), archived.address,
    )  # fmt: skip
    assert entry.checksum == str(block.raw.stored.checksum)
    assert (entry.attempts, entry.resumed_from, entry.method, entry.moved) == (1, 0, "stream", len(data))
    came = account.standing()
    with following(account):
        (again,) = fetch_block(block, tree, store, archived.client)
    assert again == entry.model_copy(update={"server": None, "seconds": 0.0, "attempts": 0})
    assert (came.moved, came.found, came.finished) == (len(data), 0, 1)
    assert (account.standing().moved, account.standing().found, account.standing().whole.done) == (
        len(data), len(data), len(data),
    )  # fmt: skip


@pytest.mark.parametrize(
    "names",
    [(), ("Main.xml",), (f"{SECOND.file_form}/Main.xml",), (f"{FIRST.file_form}/Main.xml", "more/Main.xml")],
    ids=["nothing", "a file", "another execution block", "two"],
)
def test_a_tar_that_does_not_hold_the_execution_block_is_refused(
    archived: Archived, tree: Tree, store: Store, names: tuple[str, ...]
) -> None:
    archived.without = (raw_name(FIRST),)
    archived.put_all()
    archived.put(raw_name(FIRST), tar_of(*names), listed=False)
    block = archived.plan().blocks[0]
    for _ in range(2):
        with pytest.raises(Refused, match=rf"{raw_name(FIRST)}.*instead of {FIRST.file_form}"):
            fetch_block(block, tree, store, archived.client)
    assert not (tree.rawdata / FIRST.file_form).exists()


def test_products_are_placed_under_the_names_that_the_manifest_gives_them(
    archived: Archived, tree: Tree, store: Store
) -> None:
    archived.put_all()
    plan = archived.plan()
    for _ in range(2):
        inputs = fetch_products(plan, tree, store, archived.client)
    assert [entry.name for entry in inputs] == [file.name for file in plan.products]
    assert {path.name for path in tree.products.iterdir()} == {file.name for file in plan.products}
    assert (tree.products / commands_name(FIRST)).read_text() == f"member.{commands_name(FIRST)}"


def test_a_product_that_is_not_what_was_planned_is_not_placed(
    archived: Archived, tree: Tree, store: Store
) -> None:
    archived.put_all()
    plan = archived.plan()
    for path in archived.root.rglob("*calapply*"):
        data = path.read_bytes()
        path.unlink()
        path.write_bytes(data[::-1])
    with pytest.raises(PpiError, match=r"calapply.*[Cc]hecksum"):
        fetch_products(plan, tree, store, archived.client)
    assert not (tree.products / commands_name(FIRST)).exists()


def test_the_request_of_an_attempt_is_always_the_same_and_names_its_directory(
    archived: Archived, tree: Tree
) -> None:
    archived.put_all()
    plan = archived.plan()
    path = write_request(plan, tree, "LOCAL", "ppi")
    written = path.read_bytes()
    assert path == request_path(plan, tree)
    assert path.parent == tree.working
    assert write_request(plan, tree, "LOCAL", "ppi").read_bytes() == written
    request = xml.read(written)
    assert request.data_set.relative_path == plan.relative_path(tree.stamp)
    assert request.data_set.execution_blocks == (FIRST, SECOND)
    assert {uid: request.session_of(uid) for uid in (FIRST, SECOND)} == {FIRST: "session_1", SECOND: "session_3"}
    assert plan.relative_path(datetime(2026, 1, 1, tzinfo=UTC)) != request.data_set.relative_path

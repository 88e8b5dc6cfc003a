"""Leftovers, the logs of jobs, messages and the store; and that what goes wrong keeps nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from retention_examples import MOUS, NOW, OTHER, Site, aged, ago, told

from tasks.catalog.catalog import Catalog
from tasks.catalog.connection import Database
from tasks.catalog.outbox import Outbox, write
from tasks.cluster import board
from tasks.cluster.board import Board
from tasks.cluster.orphans import sign
from tasks.cluster.tag import Owner, own
from tasks.disk import make_shared
from tasks.errors import Failed, Transient
from tasks.ngas import StoredFile
from tasks.ngas.store import Store
from tasks.ngas.store.entry import Entry, Record
from tasks.retention import leftovers, shared
from tasks.retention.cleaning import Cleaning
from tasks.retention.joblogs import JobLogs
from tasks.retention.model import Account, Cleared, Finding, Look, Outcome, Part
from tasks.retention.page import rows

HERE = own(os.uname().nodename, os.getpid())
DEAD = Owner(HERE.host, HERE.machine, HERE.pid, HERE.born + 1)
ELSEWHERE = Owner("cvpost023", "another boot pid:[1]", 4711, 1)


def cleaned(looks: dict[Part, Look], *, dry_run: bool = False) -> Account:
    cleaning = Cleaning("site-test", looks, dry_run=dry_run)
    cleaning.run()
    return cleaning.account


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (site := Site(tmp_path / "area")).area.make()
    return site


def test_what_the_dead_have_left_in_an_area_goes_unless_somebody_works_on_its_observation(site: Site) -> None:
    names = [f".{MOUS.file_form}.spent", f"..{MOUS.file_form}.begun.removed", f".{OTHER.file_form}.begun"]
    for name in (*names, ".trash", ".prefect", f"{MOUS.file_form}.spent"):
        (site.root / name / "deep").mkdir(parents=True)
        (site.root / name / "deep" / "file").write_bytes(bytes(10))

    def look() -> Iterator[Finding]:
        yield from leftovers.of_area(site.area, NOW)
        yield from leftovers.of_trash(site.root, NOW)

    with site.area.held(OTHER):
        account = cleaned({Part.LEFTOVERS: look})
    assert {path.name for path in site.root.iterdir()} == {
        ".locks", ".trash", ".prefect", names[2], f"{MOUS.file_form}.spent",
    }  # fmt: skip
    assert [(line.outcome, line.size) for line in account.lines] == [(Outcome.REMOVED, 10)] * 3
    assert list((site.root / ".trash").iterdir()) == []


def test_a_delivery_that_was_replaced_goes_when_the_new_one_is_in_its_place(site: Site) -> None:
    attempt = site.attempt(MOUS, 1)
    site.deliver(MOUS, 400).rename(attempt / "replaced")
    assert list(leftovers.of_area(site.area, NOW)) == []
    site.deliver(MOUS, 1)
    (found,) = leftovers.of_area(site.area, NOW)
    site.area.destination("2017.1.00886.L", MOUS).rename(site.root / "aside")
    assert found.remove
    assert found.remove() == Cleared(0, 0, "its place is empty now")
    site.deliver(MOUS, 1)
    cleaned({Part.LEFTOVERS: lambda: leftovers.of_area(site.area, NOW)}).require_whole()
    assert (attempt / "attempt.json").exists()
    assert not (attempt / "replaced").exists()


def crew(directory: Path, name: str, owner: Owner | None, days: float, run: str = "") -> Path:
    folder = directory / name
    folder.mkdir(parents=True)
    if owner:
        sign(folder, owner)
    if run:
        board.write(
            folder,
            Board(
                crew=name, profile="site-test", project="", observation="", flow="restore-ous", flow_run=run,
                stage="process", written=ago(days),
            ),
        )  # fmt: skip
    (folder / "worker.out").write_text("said")
    aged(folder, days)
    return folder


def test_the_logs_of_crews_that_are_gone_go_when_they_are_old(tmp_path: Path) -> None:
    old = [
        crew(tmp_path, "dead", DEAD, 31),
        crew(tmp_path, "dead-at-work", DEAD, 31, "counted on"),
        crew(tmp_path, "elsewhere", ELSEWHERE, 31),
        crew(tmp_path, "elsewhere-ended", ELSEWHERE, 31, "ended"),
    ]
    kept = {
        crew(tmp_path, "alive", HERE, 31): "their flow runs",
        crew(tmp_path, "young", DEAD, 29): "somebody has written there within 30 days",
        crew(tmp_path, "elsewhere-at-work", ELSEWHERE, 31, "counted on"): "their run is under way",
        crew(tmp_path, "nobodys", None, 31): "no crew says that they are its own",
    }
    broken = crew(tmp_path, "elsewhere-broken", ELSEWHERE, 31, "ended")
    (broken / "crew.json").write_text("{")
    aged(broken, 31)
    logs = JobLogs(tmp_path, lambda: frozenset({"counted on"}), timedelta(days=30), NOW)
    cleaned({Part.LOGS: logs.look}, dry_run=True)
    assert all(folder.is_dir() for folder in old)
    account = cleaned({Part.LOGS: logs.look})
    account.require_whole()
    assert [folder for folder in old if folder.exists()] == []
    assert {
        line.what: line.why for line in account.lines if line.outcome is Outcome.KEPT and "read" not in line.why
    } == {str(folder): why for folder, why in kept.items()}
    assert (account.lines[0].outcome, account.lines[0].count) == (Outcome.REMOVED, len(old))
    assert broken.is_dir()


def test_logs_that_are_written_meanwhile_stay(tmp_path: Path) -> None:
    folder = crew(tmp_path, "dead", DEAD, 31)
    (found,) = JobLogs(tmp_path, frozenset, timedelta(days=30), NOW).look()
    aged(folder, 1)
    assert found.remove
    assert found.remove() == Cleared(0, 0, "somebody has written there within 30 days")
    assert folder.is_dir()


def test_messages_that_were_sent_long_ago_go_and_no_other(tmp_path: Path) -> None:
    from sqlmodel import Session

    database = Database(f"sqlite:///{tmp_path / 'catalog.db'}")
    Catalog(database, "site-test")
    with database.writing() as connection, Session(connection) as session:
        for number in range(4):
            write(session, "workflow-status.restore-ous", {"number": number}, ago(90))
        session.flush()
    outbox = Outbox(database)
    first, second, third, _ = outbox.unsent()
    outbox.mark_sent([first.number, second.number], ago(31))
    outbox.mark_sent([third.number], ago(29))

    def look() -> Iterator[Finding]:
        yield from shared.of_messages(outbox, timedelta(days=30), NOW)

    assert cleaned({Part.MESSAGES: look}, dry_run=True).summary == "messages: 2 to be removed, 1 kept"
    assert cleaned({Part.MESSAGES: look}).summary == "messages: 2 removed, 1 kept"
    assert cleaned({Part.MESSAGES: look}).summary == "messages: 1 kept"
    assert outbox.backlog() == 1


def stored(root: Path, name: str, days: int) -> Path:
    file = StoredFile(file_id=name, version=1, size=1000, checksum=None, server="one:7777")
    entry = Entry.of(root, file)
    make_shared(entry.folder)
    entry.content.write_bytes(bytes(1000))
    entry.vouch(Record.of(file, entry.content.stat().st_mtime_ns))
    os.utime(entry.record_path, (ago(days).timestamp(), ago(days).timestamp()))
    return entry.content


def test_the_store_is_brought_within_its_limit_and_it_is_said_what_keeps_it(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    contents = {name: stored(tmp_path / "store", name, days) for days, name in enumerate("abcd", 1)}
    (tmp_path / "in-a-workspace").hardlink_to(contents["d"])

    def look(limit: int | None) -> dict[Part, Look]:
        return {Part.STORE: lambda: shared.of_store(store, tmp_path / "store", limit)}

    assert "it has no limit" in cleaned(look(None)).lines[0].why
    assert "it is within its 9.0 kB" in cleaned(look(9000)).lines[0].why
    (planned,) = cleaned(look(2500), dry_run=True).lines
    assert (planned.outcome, planned.count, (planned.size or 0) // 1000) == (Outcome.PLANNED, 2, 2)
    assert all(content.exists() for content in contents.values())
    (removed,) = cleaned(look(2500)).lines
    assert (removed.outcome, removed.count, (removed.size or 0) // 1000) == (Outcome.REMOVED, 2, 2)
    assert "kB stay, linked" in removed.why
    assert {name for name, content in contents.items() if content.exists()} == {"a", "d"}


def gone() -> Cleared:
    return Cleared(1, 10)


def away() -> Cleared:
    raise Transient("the catalog", "it does not answer", "wait")


def full() -> Cleared:
    raise OSError(5, "Input/output error", "/lustre/a")


def test_what_goes_wrong_is_told_and_keeps_nothing_else(tmp_path: Path) -> None:
    def broken() -> Iterator[Finding]:
        yield Finding(Part.ATTEMPTS, "seen before", "old", remove=gone)
        raise ZeroDivisionError("a defect")

    def mixed() -> Iterator[Finding]:
        for name, remove in (("one", away), ("two", gone), ("three", full)):
            yield Finding(Part.LOGS, name, "old", 1, 10, remove)

    looks: dict[Part, Look] = {
        Part.LEFTOVERS: lambda: [Finding(Part.LEFTOVERS, str(away()), "")],
        Part.ATTEMPTS: broken,
        Part.LOGS: mixed,
        Part.STORE: lambda: [Finding(Part.STORE, "store", "too large", 3, 30, lambda: Cleared(2, 20, "1 in use"))],
    }
    account = cleaned(looks)
    assert told(account) == {
        "seen before": ("removed", "old"),
        "two": ("removed", "old"),
        "one": ("not all removed", "old; the catalog: it does not answer. Next: wait"),
        "three": ("not all removed", "old; Input/output error at /lustre/a"),
        "store": ("removed", "too large; 1 in use"),
    }
    assert len(account.failures) == 3
    assert account.failures[0].startswith("leftovers: the catalog")
    assert account.failures[1] == "attempts: ZeroDivisionError a defect"
    assert account.failures[2].startswith("job logs: not all of them could be removed: one: the catalog")
    assert "Not whole: leftovers" in account.summary
    with pytest.raises(Failed, match="not whole") as raised:
        account.require_whole()
    assert raised.value.reasons == account.failures
    assert "three" in rows(account)


def test_a_clean_up_that_is_stopped_says_how_far_it_came() -> None:
    def stop() -> Cleared:
        raise KeyboardInterrupt

    found = [Finding(Part.LOGS, name, "old", remove=remove) for name, remove in (("one", gone), ("two", stop))]
    cleaning = Cleaning("site-test", {Part.LOGS: lambda: found}, dry_run=False)
    with pytest.raises(KeyboardInterrupt):
        cleaning.run()
    assert told(cleaning.account) == {"one": ("removed", "old"), "two": ("to be removed", "old")}
    assert cleaning.account.failures == ("it was stopped before its end",)
    with pytest.raises(Failed):
        cleaning.account.require_whole()

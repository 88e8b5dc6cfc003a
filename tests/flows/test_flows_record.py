"""Recording a run: whatever ends it is written down, and a catalog that goes away hides nothing."""

from __future__ import annotations

import json
import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

import flows._record
from blocks.profile import Broker, Metadata, Ngas, Processing, Profile
from blocks.profile import Catalog as CatalogSection
from flows._record import recorded, refusals_recorded
from tasks.alma.ids import EntityId
from tasks.casa.verdict import Outcome
from tasks.catalog.book import Book
from tasks.catalog.catalog import Catalog, Wanted
from tasks.catalog.following import Remark
from tasks.catalog.model import Record
from tasks.catalog.outbox import Outbox
from tasks.catalog.request import SWEEP, Ask, Change
from tasks.catalog.request_states import RequestState
from tasks.catalog.states import State
from tasks.catalog.tasks import catalog_of, database_of, known_database_of, sizes_of
from tasks.cluster.tag import Owner
from tasks.errors import Exhausted, Failed, Missing, Refused, Transient
from tasks.sweep.model import Terms, key_of
from tasks.usage import Usage, Work, report
from tasks.workspace.layout import Tree

MOUS = EntityId("uid://A001/X1284/X265f")
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
PLAN: Any = SimpleNamespace(
    observation=SimpleNamespace(project_code="2017.1.00886.L"),
    procedure=SimpleNamespace(title="hifa_restore"),
    casa=SimpleNamespace(version="6.7.0", executor="casatasks"),
    calibrated_with="5.1.1",
    recipe="hifa_restoredata/1",
    key="f00d",
)

DELIVERED: Any = SimpleNamespace(
    provenance=SimpleNamespace(verdict=SimpleNamespace(outcome=Outcome.SUCCESS, reasons=())), path="a", report="b"
)


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    return profile_at(tmp_path / "area")


def profile_at(area: Path, **sections: Any) -> Profile:
    return Profile(
        name="site-test",
        processing=Processing(root_directory=area),
        metadata=Metadata(url="sqlite:////nowhere"),
        ngas=Ngas(servers=("one:7777",)),
        **sections,
    )


def written(profile: Profile) -> tuple[Record, ...]:
    return catalog_of(profile).look_up(Wanted(), lambda _: True)


@contextmanager
def away(profile: Profile) -> Iterator[None]:
    """Keep the catalog's file to ourselves."""
    with sqlite3.connect(str(database_of(profile).location.file), isolation_level=None) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
    connection.close()


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for nothing."""
    monkeypatch.setattr("tasks.catalog.connection._BUSY_SECONDS", 0.05)
    monkeypatch.setattr(flows._record, "_PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(flows._record, "_PAUSE_SECONDS", 0.05)


@pytest.mark.parametrize(
    ("error", "state", "said"),
    [
        (Refused("the data", "proprietary", "wait"), State.REFUSED, "the data: proprietary. Next: wait"),
        (Missing("the manifest"), State.REFUSED, "the manifest"),
        (Transient("the archive", "busy"), State.FAILED, "the archive: busy"),
        (Failed("the block", reasons=("bad", "worse")), State.FAILED, "the block: bad; worse"),
        (ValueError("a bug"), State.FAILED, "ValueError: a bug"),
        (KeyboardInterrupt(), State.INTERRUPTED, "stopped from outside (KeyboardInterrupt)"),
    ],
)
def test_what_ends_a_run_is_written_down_and_goes_on(
    profile: Profile, error: BaseException, state: State, said: str
) -> None:
    with pytest.raises(type(error)) as raised, recorded(profile, "restore-ous", MOUS) as record:
        with record.stage("plan"):
            record.planned(PLAN, None)
        with record.stage("gather"):
            assert [stage.name for stage in written(profile)[0].stages] == ["plan", "gather"]
            raise error
    assert raised.value is error
    (found,) = written(profile)
    assert (found.state, found.error, found.flow, found.observation) == (state, said, "restore-ous", MOUS)
    assert (found.verdict, found.reasons) == (
        ("failed", ("bad", "worse")) if isinstance(error, Failed) else (None, ())
    )
    assert (found.project, found.procedure, found.key) == ("2017.1.00886.L", "hifa_restore", "f00d")
    assert [stage.name for stage in found.stages if stage.wall_seconds is not None] == ["plan"]
    assert found.started == record.started
    assert found.finished
    assert found.account
    assert [time.stage for time in record.times] == ["plan"]


@pytest.mark.parametrize("well", [True, False])
def test_what_work_took_is_written_down_on_the_way_however_the_run_ends(profile: Profile, well: bool) -> None:
    fetch, restore = Work("gather", "fetch", "uid://A002/X1/X1", size=7), Work("process", "restore")
    with suppress(Failed), recorded(profile, "restore-ous", MOUS) as record:
        report(Usage(fetch, 2.0, 1.0, 800))
        with record.stage("process"):
            assert [piece.step for piece in written(profile)[0].pieces] == ["fetch"]
            report(Usage(restore, 3.0))
            if not well:
                raise Failed("the block")
    (found,) = written(profile)
    assert [(piece.step, piece.item, piece.wall_seconds) for piece in found.pieces] == [
        ("fetch", "uid://A002/X1/X1", 2.0),
        ("restore", None, 3.0),
    ]
    assert sizes_of(profile, [fetch]).memory(fetch) == 1000


@pytest.mark.parametrize(
    ("error", "cancelled", "state"),
    [
        (None, False, RequestState.SUCCEEDED),
        (Refused("the data", "proprietary"), False, RequestState.WITHDRAWN),
        (Transient("the archive", "busy"), False, RequestState.WAITING),
        (Exhausted("the cluster", "busy for days"), False, RequestState.WAITING),
        (httpx.ConnectError("the Prefect server is away"), False, RequestState.WAITING),
        (Failed("the block"), False, RequestState.FAILED),
        (ValueError("a bug"), False, RequestState.FAILED),
        (KeyboardInterrupt(), False, RequestState.WAITING),
        (KeyboardInterrupt(), True, RequestState.CANCELLED),
    ],
)
def test_a_request_follows_its_run_and_is_told_of(
    profile: Profile,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException | None,
    cancelled: bool,
    state: RequestState,
) -> None:
    told: list[Change] = []
    monkeypatch.setattr(flows._record, "tell", lambda changes, profile: told.extend(changes))
    monkeypatch.setattr(flows._record, "is_cancelled", lambda: cancelled)
    catalog_of(profile)
    Book(database_of(profile)).record([Ask(workflow="restore-ous", observation=MOUS, origin=SWEEP)], NOON)
    with suppress(*([type(error)] if error else [])), recorded(profile, "restore-ous", MOUS) as record:
        assert [change.state for change in told] == [RequestState.RUNNING]
        if error:
            raise error
        record.found(DELIVERED)
    assert [change.state for change in told] == [RequestState.RUNNING, state]
    assert catalog_of(profile).look_up(Wanted(), lambda _: True)[0].state is not State.RUNNING


def test_where_there_is_a_broker_it_is_told_where_a_run_works(tmp_path: Path) -> None:
    tree = Tree(tmp_path, "2017_x/MOUS_c", NOON)
    profile = profile_at(tmp_path / "area", broker=Broker(url="amqp://one:5672/"))
    with suppress(Failed), recorded(profile, "restore-ous", MOUS) as record:
        record.working(tree)
        with record.stage("gather"):
            raise Failed("the block", reasons=("bad",))
    told = [json.loads(message.body) for message in Outbox(database_of(profile)).unsent()]
    assert [(each["state"], each["stage"], each["directory"]) for each in told] == [
        ("running", "gathering data", str(tree.mous)),
        ("failed", "gathering data", str(tree.mous)),
    ]
    assert (told[1]["reason"], told[1]["verdict"]) == ("the block: bad", "failed")


def test_a_run_belongs_to_the_process_that_runs_it(profile: Profile) -> None:
    with recorded(profile, "restore-ous", MOUS):
        pass
    owner = Owner.read(written(profile)[0].owner or "")
    assert (owner.pid, owner.host, owner.is_gone) == (os.getpid(), os.uname().nodename, False)


def test_a_catalog_that_cannot_be_asked_teaches_nothing_and_is_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    work = Work("gather", "fetch")
    assert sizes_of(profile_at(tmp_path), [work]).memory(work) is None
    assert (list(tmp_path.iterdir()), caplog.text) == ([], "")
    (tmp_path / "catalog.db").write_text("a shopping list, and a long one at that" * 100)
    assert sizes_of(profile_at(tmp_path), [work]).memory(work) is None
    assert "sizes of work are not known: the catalog at" in caplog.text


def test_a_catalog_that_is_away_in_the_middle_is_caught_up_with(profile: Profile, hurried: None) -> None:
    with pytest.raises(Failed), recorded(profile, "restore-ous", MOUS) as record:
        with away(profile), record.stage("plan"):
            pass
        raise Failed("the block")
    (found,) = written(profile)
    assert (found.state, [stage.name for stage in found.stages]) == (State.FAILED, ["plan"])


@pytest.mark.parametrize(("profiles_key", "begins"), [("site-test", False), ("site-prod", True), (None, True)])
def test_a_run_that_a_sweep_launched_does_not_begin_what_is_cancelled(
    profile: Profile, monkeypatch: pytest.MonkeyPatch, profiles_key: str | None, begins: bool
) -> None:
    catalog_of(profile)
    book, ask = Book(database_of(profile)), Ask(workflow="restore-ous", observation=str(MOUS), origin=SWEEP)
    book.record([ask], NOON)
    (request,) = book.candidates("restore-ous", 1, NOON)
    book.launch([request.id], 1, NOON)
    (launched,) = book.active()
    book.settle(launched, RequestState.CANCELLED, NOON, "cancelled by operator")
    terms = Terms(profiles_key or "", "restore-ous", (), 1, None, 1)
    key = key_of(launched, terms) if profiles_key else None
    context = SimpleNamespace(flow_run=SimpleNamespace(idempotency_key=key))
    monkeypatch.setattr(flows._record, "FlowRunContext", SimpleNamespace(get=lambda: context))
    told = nullcontext() if begins else pytest.raises(Refused, match="cancelled by operator")
    with told, recorded(profile, "restore-ous", MOUS):
        pass
    assert len(written(profile)) == begins


def test_a_catalog_that_stays_away_hides_no_failure(
    profile: Profile, hurried: None, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.WARNING),
        ExitStack() as stack,
        pytest.raises(Failed, match="the block"),
        recorded(profile, "restore-ous", MOUS),
    ):
        stack.enter_context(away(profile))
        raise Failed("the block")
    assert "execution 1 is not recorded: the catalog at" in caplog.text


def test_a_catalog_that_cannot_be_used_is_told_of_before_anything_is_done(tmp_path: Path) -> None:
    elsewhere = CatalogSection(url=f"sqlite:///{tmp_path / 'nowhere' / 'catalog.db'}")
    for way in (recorded, refusals_recorded):
        with (
            pytest.raises(Missing, match="there is no such directory"),
            way(profile_at(tmp_path, catalog=elsewhere), "restore-ous", MOUS),
        ):
            pytest.fail("it was begun")


@pytest.mark.parametrize("error", [Refused("the data", "proprietary"), Transient("the database")])
def test_a_refusal_before_the_run_is_written_down(profile: Profile, error: Exception) -> None:
    with pytest.raises(type(error)), refusals_recorded(profile, "restore-ous", MOUS):
        raise error
    (found,) = written(profile)
    assert found.state is (State.REFUSED if isinstance(error, Refused) else State.FAILED)
    assert (found.error, found.stages, found.flow_run) == (str(error), (), None)


def test_what_is_not_refused_is_not_written_down(profile: Profile) -> None:
    with refusals_recorded(profile, "restore-ous", MOUS):
        pass
    assert written(profile) == ()


def test_the_catalog_is_a_file_in_the_area_unless_the_profile_names_another(tmp_path: Path) -> None:
    for area in (tmp_path, tmp_path / "odd? #1 at 100%41"):
        assert database_of(profile_at(area)).location.where == str(area / "catalog.db")
    section = CatalogSection.model_validate({"url": "postgresql+psycopg://me:secret@host:5432/name"})
    location = database_of(profile_at(tmp_path, catalog=section)).location
    assert location.where == "host:5432/name"
    assert location.url.password == "secret"
    assert list(tmp_path.iterdir()) == [], "asking touches nothing"


def test_a_catalog_is_asked_where_there_is_one_and_then_is_our_own(profile: Profile) -> None:
    assert known_database_of(profile) is None
    assert not profile.processing.root_directory.exists(), "nothing is made by asking"
    catalog_of(profile)
    database = known_database_of(profile)
    assert database
    assert Outbox(database).backlog() == 0
    with pytest.raises(Refused, match="it belongs to profile site-test"):
        known_database_of(profile.model_copy(update={"name": "site-prod"}))


def test_an_unknown_account_does_not_stop_a_run(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr("getpass.getuser", nobody)
    with pytest.raises(Failed), recorded(profile, "restore-ous", MOUS):
        raise Failed("the block")
    assert written(profile)[0].account.isdigit()  # type: ignore[union-attr]


def test_a_delivery_that_could_not_be_recorded_is_told_of(
    profile: Profile, hurried: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def gone(catalog: Catalog, record: Record, remark: Remark) -> None:
        tried.append(record.state)
        raise Transient("the catalog at host", "it is gone")

    with (
        pytest.raises(
            Transient, match=f"{MOUS} is delivered in .* Next: run the same command again, which records"
        ),
        recorded(profile, "restore-ous", MOUS),
    ):
        monkeypatch.setattr(Catalog, "write", gone)
    assert len(tried) > 2, "it waits for it for a while"


def test_a_refusal_is_told_although_the_catalog_is_away(
    profile: Profile, hurried: None, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.WARNING),
        ExitStack() as stack,
        pytest.raises(Refused, match="proprietary"),
        refusals_recorded(profile, "restore-ous", MOUS),
    ):
        stack.enter_context(away(profile))
        raise Refused("the data", "proprietary")
    assert "the refusal is not recorded: the catalog at" in caplog.text

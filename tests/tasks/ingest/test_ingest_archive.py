"""A delivery goes into a real archive once, at whichever moment whoever sends it is killed."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from typing import Any

import pytest
from ingest_examples import LAST, MOUS, NAMES, TAR, VIS, Site, deliver
from killed_moments import moments
from sqlalchemy import Engine, event

from deployments.local.ngas_index import Index
from tasks.catalog.archived import Ingestions
from tasks.catalog.outbox import Outbox
from tasks.catalog.tasks import database_of
from tasks.errors import Failed, Transient
from tasks.ingest import tasks as steps
from tasks.ngas import Checksum, Patience

EVERY = 7
"""So many moments lie between two at which it is killed: all of them take a minute."""


def announced(site: Site) -> list[dict[str, Any]]:
    return [json.loads(message.body) for message in Outbox(database_of(site.profile)).unsent()]


def known(site: Site) -> dict[str, str]:
    consignment = steps.look_at_delivery(site.profile, MOUS)
    files = Ingestions(database_of(site.profile), announces=False).known(consignment.delivery)
    return {file.file_id: file.checksum for file in files.values()}


def test_a_delivery_is_archived_recorded_and_announced_once(site: Site) -> None:
    deliver(site.area)
    placed, is_news = site.ingest()
    assert is_news
    assert site.versions() == dict.fromkeys(NAMES, 1)
    entries = {entry.file_id: entry for entry in Index(site.root).like("%")}
    assert known(site) == {
        name: str(Checksum.parse(entry.checksum_plugin, entry.checksum)) for name, entry in entries.items()
    }
    (message,) = announced(site)
    assert sorted(file["file_id"] for file in message["files"]) == NAMES
    assert not any(each.was_there for each in placed)
    placed, is_news = site.ingest()
    assert not is_news
    assert all(each.was_there for each in placed)
    assert site.versions() == dict.fromkeys(NAMES, 1)
    assert len(announced(site)) == 1


def test_what_the_archive_lost_is_sent_again(site: Site) -> None:
    deliver(site.area)
    site.ingest()
    (site.root / "index.sqlite").unlink()
    Index(site.root)
    placed, _ = site.ingest()
    assert not any(each.was_there for each in placed)
    assert site.versions() == dict.fromkeys(NAMES, 1)


def test_of_a_delivery_made_anew_only_what_differs_is_sent(site: Site) -> None:
    deliver(site.area)
    site.ingest()
    place = deliver(site.area, ppi_version="0.2.0")
    (place / "calibrated" / VIS / "table.dat").write_text("anew")
    placed, is_news = site.ingest()
    assert is_news
    anew = [TAR, LAST]
    assert [each.file.file_id for each in placed if not each.was_there] == anew
    assert site.versions() == {**dict.fromkeys(NAMES, 1), **dict.fromkeys(anew, 2)}
    first, second = announced(site)
    assert len(first["files"]) == len(second["files"]) == len(NAMES)


def test_an_archive_that_is_away_is_told_of_and_nothing_is_announced(site: Site) -> None:
    deliver(site.area)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tasks.ngas.client._TO_TRANSFER", Patience(rounds=1))
        with pytest.raises(Transient):
            Site(site.folder, "127.0.0.1:1").ingest()
    assert announced(site) == []
    _, is_news = site.ingest()
    assert is_news


def test_what_is_not_what_was_delivered_ends_it(site: Site) -> None:
    place = deliver(site.area)
    next((place / "images").glob("*.fits")).write_text("XIMPLE  =")
    with pytest.raises(Failed, match="not what was delivered"):
        site.ingest()
    assert announced(site) == []


def _watch(tick: Callable[..., object]) -> None:
    """Also kill it before any statement or commit of the catalog, and before the archive's answers are read."""
    event.listen(Engine, "before_cursor_execute", tick)
    event.listen(Engine, "commit", tick)
    begin = http.client.HTTPResponse.begin
    http.client.HTTPResponse.begin = lambda self: (tick(), begin(self))[1]  # type: ignore[method-assign]


def test_killed_at_any_moment_it_goes_on_and_nothing_is_there_twice(site: Site) -> None:
    deliver(site.area)
    killed = 0
    for _ in moments(site.ingest, EVERY, _watch):
        killed += 1
        site.ingest()
        assert site.versions() == dict.fromkeys(NAMES, 1)
        assert sorted(known(site)) == NAMES
        assert len(announced(site)) == 1
        site.forget()
    assert killed > 15

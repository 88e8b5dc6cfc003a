"""Progress that goes over the wire is all told, in its order, in fewer pieces."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.cluster.relay import Packed, Relay, retell
from tasks.progress import Event, Kind, following

events = st.builds(
    Event, st.just("gather"), st.sampled_from(("a", "b")), st.sampled_from(("", "x")), st.integers(0, 9),
    kind=st.sampled_from(Kind),
)  # fmt: skip


def told_of(sent: list[Packed]) -> list[Event]:
    found: list[Event] = []
    with following(found.append):
        for packed in sent:
            retell(packed)
    return found


@given(given_events=st.lists(events, max_size=30))
@settings(max_examples=30, deadline=None)
def test_nothing_is_lost_and_what_came_is_summed(given_events: list[Event]) -> None:
    sent: list[Packed] = []
    with Relay(sent.append) as relay:
        for event in given_events:
            relay(event)
    found = told_of(sent)
    assert sum(event.done for event in found) == sum(event.done for event in given_events)
    assert len(found) <= len(given_events)
    single = [event for event in given_events if event.kind not in (Kind.CAME, Kind.FOUND)]
    assert [event for event in found if event.kind not in (Kind.CAME, Kind.FOUND)] == single


def test_many_small_pieces_become_one() -> None:
    sent: list[Packed] = []
    with Relay(sent.append) as relay:
        for _ in range(1000):
            relay(Event("gather", "a", "", 3, kind=Kind.CAME))
    assert sum(len(packed) for packed in sent) < 20
    assert sum(event.done for event in told_of(sent)) == 3000

"""What `ppi queue` shows of requests, and does to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import typer
from rich.table import Column, Table

from blocks.profile import Profile
from cli._console import out, print_json
from cli._environment import visiting_prefect
from tasks.account import account
from tasks.alma.ids import EntityId
from tasks.catalog.desk import Chosen, Desk, Done, Listed
from tasks.catalog.request_states import OPEN, RequestState
from tasks.catalog.tasks import known_database_of
from tasks.errors import Missing, PpiError, Refused
from tasks.report.units import count, duration

__all__ = ["act", "chosen", "prioritise", "show"]

_NAMED: Final = 10
"""So many of those that were left are named."""
_SAID: Final = {
    "hold": "held",
    "release": "released",
    "cancel": "cancelled",
    "retry": "to be tried again",
    "retry_all": "to be tried again",
}
_DAY: Final = timedelta(days=1)


def chosen(observations: list[str] | None, project: str | None, states: list[RequestState] | None) -> Chosen:
    """Return which requests are meant.

    Raises
    ------
    Refused
        Something is no observation's name.
    """
    return Chosen(
        observations=frozenset(str(EntityId.parse(name)) for name in observations or ()),
        project=project,
        states=frozenset(states or ()),
    )


def show(profile: Profile, which: Chosen, most: int, as_json: bool) -> None:
    """Print a line for each request; where nothing is chosen, for those that are still to come to an end."""
    desk = _desk(profile)
    whole = which if which != Chosen() else Chosen(states=OPEN)
    requests = desk.look_up(whole, most) if desk else ()
    if as_json:
        return print_json([request.model_dump(mode="json") for request in requests])
    console, counts = out(), desk.counts() if desk else {}
    console.print(
        _table(requests) if requests else f"Nothing of that kind is asked for in profile {profile.name}."
    )
    if counts:
        console.print(", ".join(f"{count(number)} {state}" for state, number in counts.items()))
    return None


def act(profile: Profile, what: str, which: Chosen, as_json: bool) -> int:
    """Do something to requests, and print what came of it; return the exit code.

    Parameters
    ----------
    what
        ``hold``, ``release``, ``cancel``, ``retry`` or ``retry_all``.

    Raises
    ------
    BadParameter
        Nothing is chosen.
    Missing
        There are no such requests.
    """
    done = _do(profile, which, lambda desk: _actions(desk)[what](which))
    runs = _made_known(profile, done, _runs(done) if what == "cancel" else set())
    return _report(done, which, _SAID[what], runs, as_json)


def prioritise(profile: Profile, which: Chosen, priority: int, as_json: bool) -> int:
    """Give requests another priority, and print which; return the exit code. It raises as `act` does."""
    done = _do(profile, which, lambda desk: desk.prioritise(which, priority))
    return _report(done, which, f"of priority {priority}", (), as_json)


def _actions(desk: Desk) -> dict[str, Callable[[Chosen], Done]]:
    return {
        "hold": desk.hold,
        "release": desk.release,
        "cancel": desk.cancel,
        "retry": desk.retry,
        "retry_all": partial(desk.retry, again=True),
    }


def _desk(profile: Profile) -> Desk | None:
    """Return where requests are, if the environment has a catalog."""
    database = known_database_of(profile)
    return Desk(database, account(), partial(datetime.now, UTC)) if database else None


def _do(profile: Profile, which: Chosen, action: Callable[[Desk], Done]) -> Done:
    if which == Chosen():
        raise typer.BadParameter("name observations, a --project or a --state; that is for safety")
    desk = _desk(profile)
    done = action(desk) if desk else Done((), ())
    if not (done.done or done.left):
        what = f"no such request in profile {profile.name}"
        raise Missing(what, "nothing that is asked for agrees with that", "see `ppi queue list`")
    return done


def _made_known(profile: Profile, done: Done, of_runs: set[str]) -> tuple[str, ...]:
    """Tell the Prefect server of what has changed, and end runs; return how that went."""
    if not (of_runs or (done.changes and profile.prefect.api_url)):
        return ()
    with visiting_prefect(profile):
        from flows._events import tell

        tell(done.changes, profile)
        return _ended(profile, of_runs) if of_runs else ()


def _runs(done: Done) -> set[str]:
    """Return the runs of what is cancelled, now or by a command that was cut off."""
    cancelled = (request for request in done.left if request.state is RequestState.CANCELLED)
    return {request.processing_id for request in (*done.done, *cancelled) if request.processing_id}


def _ended(profile: Profile, of_runs: set[str]) -> tuple[str, ...]:
    from deployments.cancel import cancelling_all

    try:
        with cancelling_all(profile, of_runs) as endings:
            return tuple(_told(ending.target.name, ending.tell) for ending in endings)
    except PpiError as error:
        return (f"the runs of what is cancelled go on: {error}",)


def _told(name: str, tell: Callable[[], tuple[str, ...]]) -> str:
    try:
        return f"{name}: told {' and '.join(tell())} to end it"
    except PpiError as error:
        return f"{name} goes on: {error}"


def _report(done: Done, which: Chosen, what: str, runs: tuple[str, ...], as_json: bool) -> int:
    unknown = sorted(which.observations - {request.observation for request in (*done.done, *done.left)})
    left = {request.observation: request.state.value for request in done.left}
    if as_json:
        named = [request.observation for request in done.done]
        print_json({"done": named, "left": left, "unknown": unknown, "runs": runs})
    else:
        for line in _lines(len(done.done), left, unknown, what):
            out().print(line)
        for run in runs:
            out().print(run)
    return 0 if done.done else Refused.exit_code


def _lines(done: int, left: dict[str, str], unknown: list[str], what: str) -> Iterator[str]:
    yield f"{count(done)} {'request is' if done == 1 else 'requests are'} {what} now."
    for observation, state in [*left.items()][:_NAMED]:
        yield f"{observation} is left as it is: {state}"
    if len(left) > _NAMED:
        yield f"... and so are {count(len(left) - _NAMED)} others"
    for observation in unknown:
        yield f"{observation} was not asked for yet"


def _table(requests: tuple[Listed, ...]) -> Table:
    table = Table(
        Column("place", justify="right"), "observation", "project", "workflow", "state",
        Column("priority", justify="right"), Column("age", justify="right"), Column("tries", justify="right"),
        "run", Column("why", overflow="fold"),
    )  # fmt: skip
    now = datetime.now(UTC)
    for request in requests:
        table.add_row(*_cells(request, now))
    return table


def _cells(request: Listed, now: datetime) -> Iterator[Any]:
    yield "" if request.place is None else str(request.place)
    yield from (request.observation, request.project or "", request.workflow)
    running = request.state is RequestState.RUNNING and request.stage
    yield f"{request.state}: {request.stage}" if running else request.state.value
    yield from (str(request.priority), _age(now - request.asked), str(request.tries))
    yield request.processing_id or ""
    later = request.state is RequestState.WAITING and request.due > now
    due = f"not before {request.due:%Y-%m-%d %H:%M} UTC" if later else ""
    yield "; ".join(filter(None, (due, request.reason)))


def _age(span: timedelta) -> str:
    return f"{span / _DAY:.1f} days" if span >= _DAY else duration(max(span.total_seconds(), 0))

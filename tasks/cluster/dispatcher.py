"""Who has the jobs of a crew submitted, gives them work, and watches over them: one thread, which alone knows all.

Dask tells at once when a worker comes or goes, HTCondor why. What either says is an event; a look at the queue is
taken when one is due, and every few seconds. That the pool does not answer says nothing of any job.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from typing import Any, Final

from distributed import Future

from tasks.abandon import Abandoned
from tasks.cluster import board
from tasks.cluster.board import JobRow
from tasks.cluster.description import Site, describe, lifetime
from tasks.cluster.fate import Fate, Kind, vanished
from tasks.cluster.job import Job
from tasks.cluster.link import Link
from tasks.cluster.member import Member, Ticket
from tasks.cluster.pool import Pool
from tasks.cluster.tag import Tag
from tasks.cluster.watch import Terms, Watch
from tasks.errors import Exhausted, Failed, PpiError, Refused, Transient
from tasks.usage import Usage

__all__ = ["Dispatcher"]

_SOON, _SELDOM, _SLOWER = 1.0, 8.0, 1.4
"""Seconds between looks at the queue: first after something happened, at most, and how that grows meanwhile."""
_SPARE_SECONDS: Final = 10.0
"""How long a worker with nothing to do is kept while others work."""
_UNBORN: Final = 3
"""So many times in a row that jobs ended before they were ever heard of are enough; twice as many, if by hand."""
_PRIME: Final = 0.5
"""For which part of its life a worker takes work: what does not fit into the rest is begun in vain."""
_WHOLE: Final = 0.9
"""Work that had so much of a worker's life had all of it, but for the start."""
_STOP_SECONDS: Final = 5.0
"""How long is waited, at the end, for a question to the pool that is under way."""
_REFUSALS: Final = 3
_DISMISSED: Final = "ended with its stage"


class Dispatcher:
    """One crew's; made by `tasks.cluster.crew`."""

    def __init__(self, pool: Pool, site: Site, tag: Tag, terms: Terms) -> None:
        self.terms = terms
        self._pool, self._site, self._tag = pool, site, tag
        self._events: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._members: dict[str, Member] = {}
        self._tickets: list[Ticket] = []
        self._unborn = self._refusals = 0
        self._buried = 0.0
        self._lifetime = lifetime(terms.resources)
        self._looked = self._retry_at = self._written = 0.0
        self._pace, self._changed = _SOON, True
        self._watch = Watch(pool, tag, terms)
        self._over: Exception | None = None
        self._stopped = threading.Event()
        self._link = Link(site.directory, site.interface, self._on(self._joined), self._on(self._left))
        self._thread = threading.Thread(target=self._run, name=f"crew of {tag.stage}", daemon=True)

    # What others call, in their own threads.

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> bool:
        """End; return whether it is certain that no job is submitted any more, which a silent pool may delay."""
        self._stopped.set()
        self._events.put(lambda: None)
        if self._thread.is_alive():
            self._thread.join(_STOP_SECONDS)
        return not self._thread.is_alive()

    def close(self) -> None:
        """Let go of the workers, and write down what became of them."""
        self._link.close()
        for member in tuple(self._members.values()):
            member.outcome = member.outcome or _DISMISSED
        self._write()

    def ask(self, ticket: Ticket) -> None:
        """Take in a piece of work."""
        self._events.put(lambda: self._asked(ticket))
        if self._stopped.is_set():
            ticket.mail.put(Abandoned())

    def settle(self, ticket: Ticket, usage: Usage | None) -> None:
        """Take note that nobody waits for a piece of work any more, and what it took if it came to an end."""
        self._events.put(lambda: self._settled(ticket, usage))

    def lost(self, ticket: Ticket, future: Future[Any]) -> None:
        """Take note that a result could not be brought."""
        self._events.put(lambda: self._again(ticket, future))

    def rows(self) -> tuple[JobRow, ...]:
        """Return what became of every job."""
        return tuple(member.row(self._tag.crew) for member in tuple(self._members.values()))

    # The thread.

    def _run(self) -> None:
        try:
            while not self._stopped.is_set():
                self._take(_SOON / 2)
                self._step()
        except Exception as error:  # noqa: BLE001 - who waits must hear of it, whatever it is
            self._give_up(error)
            while not self._stopped.wait(_SOON):
                self._take(_SOON)
        self._take(0.0)
        self._give_up(Abandoned())

    def _step(self) -> None:
        now = time.monotonic()
        if (self._members or self._watch.is_blind) and now - self._looked >= self._pace:
            self._look(now)
        if self._over is None:
            self._retire(now)
            self._assign()
            self._spare(now)
            self._hire(now)
        if self._changed and now - self._written >= _SOON:
            self._write()

    def _take(self, seconds: float) -> None:
        """Take every event that is there; wait some seconds for the first."""
        try:
            self._events.get(timeout=seconds or None, block=bool(seconds))()
            while True:
                self._events.get_nowait()()
        except Empty:
            return

    def _on(self, happens: Callable[..., None]) -> Callable[..., None]:
        """Return what makes an event of a call in another thread."""
        return lambda *args: self._events.put(lambda: happens(*args))

    # What happens.

    def _asked(self, ticket: Ticket) -> None:
        if self._over:
            ticket.mail.put(self._over)
        else:
            self._tickets.append(ticket)

    def _settled(self, ticket: Ticket, usage: Usage | None) -> None:
        if ticket in self._tickets:
            self._tickets.remove(ticket)
        if ticket.future:
            ticket.future.release()
        if ticket.member and ticket.member.ticket is ticket:
            ticket.member.ticket, ticket.member.idle_since = None, time.monotonic()
            ticket.member.usages += [usage] if usage else []
            self._changed = True

    def _joined(self, name: str, address: str) -> None:
        member = self._members.get(name)
        if member is None or not member.lives:
            return
        if member.silent_since and not member.is_known_lost:
            self._befallen(member, Fate(Kind.EVICTED, member.id, _vacated(member.job), member.memory), ends=False)
        member.address, member.joins, member.silent_since = address, member.joins + 1, 0.0
        member.joined = member.idle_since = time.monotonic()
        self._unborn, self._changed = 0, True

    def _left(self, address: str) -> None:
        for member in self._members.values():
            if member.address == address and member.lives:
                member.address, member.silent_since = "", time.monotonic()
                self._pace, self._changed = _SOON, True

    def _ended(self, ticket: Ticket, future: Future[Any]) -> None:
        """Pass on what became of a piece of work; where its worker is gone, that one's fate is awaited."""
        if ticket.future is not future:
            return
        if future.status == "finished":
            ticket.mail.put(future)
        elif future.status == "error" and not _is_lost(error := future.exception()):
            ticket.mail.put(error)
        else:
            self._pace = _SOON

    def _again(self, ticket: Ticket, future: Future[Any]) -> None:
        member = ticket.member
        if ticket.future is future and member and member.address:
            self._befallen(member, vanished(member.id, 0.0), ends=True)

    def _look(self, now: float) -> None:
        """Ask HTCondor about everybody, and act upon it."""
        self._looked = now
        living = [member for member in self._members.values() if member.lives]
        try:
            befallen, self._changed = self._watch.look(living, now, changed=self._changed)
        except Exhausted as error:
            self._give_up(error)
            return
        self._take(0.0)  # what was said while HTCondor was asked, such as that the work is done
        for member, fate in befallen:
            if member.lives and (member.silent_since or fate.kind is not Kind.EVICTED):
                self._befallen(member, fate, ends=fate.kind is not Kind.EVICTED)
        unsettled = any(not (each.address and each.host) for each in self._members.values() if each.lives)
        self._pace = min(self._pace * _SLOWER, _SELDOM) if unsettled else _SELDOM

    # What is done about it.

    def _befallen(self, member: Member, fate: Fate, *, ends: bool) -> None:
        """Let the piece of work that a job had be tried again; a job that ended is replaced."""
        until = member.silent_since or time.monotonic()
        ticket, member.ticket, member.silent_since = member.ticket, None, 0.0
        member.losses = member.joins
        self._changed = True
        if ends:
            member.outcome, member.address = str(fate), ""
            self._take_out(member)
            self._bury(member)
        is_again = bool(ticket and self._requeue(ticket, fate, until))
        self.terms.say(_capital(str(fate)) + (f"; {ticket.work} is tried again" if ticket and is_again else ""))
        enough = _UNBORN * (2 if fate.kind is Kind.REMOVED else 1)
        if self._unborn >= enough and not any(each.address for each in self._members.values()):
            self._give_up(_stillborn(self._tag.stage, self._unborn, fate))

    def _bury(self, member: Member) -> None:
        """Count how often in a row jobs ended before they were heard of; those queued together are one."""
        if member.joins:
            self._unborn = 0
        elif member.submitted > self._buried:
            self._unborn, self._buried = self._unborn + 1, time.monotonic()
            self._retry_at = self._buried + (_SELDOM if self._unborn >= _UNBORN else 0.0)

    def _requeue(self, ticket: Ticket, fate: Fate, until: float) -> bool:
        """Let a piece of work be tried again; return whether it may."""
        if ticket.future:
            ticket.future.cancel()
        ticket.future = ticket.member = None
        try:
            ticket.budget.spend(fate, whole=until - ticket.given > _WHOLE * self._lifetime)
        except PpiError as error:
            self._tickets.remove(ticket)
            ticket.mail.put(error)
            return False
        return True

    def _take_out(self, member: Member) -> None:
        """Remove what is left of a job; if that cannot be now, it is at the stage's end."""
        if self._watch.is_blind:
            return
        try:
            self._pool.remove(Tag.constraint(crew=self._tag.crew, name=member.name), "its worker has ended")
        except Transient as error:
            self._watch.missed(error, time.monotonic())
        except PpiError as error:
            self.terms.say(f"Job {member.id} is removed later: {error}")

    def _assign(self) -> None:
        """Give free workers something to do: the largest need first, to the smallest worker that suffices."""
        for ticket in sorted(self._tickets, key=lambda ticket: -ticket.budget.memory):
            free = [
                each for each in self._members.values() if each.is_free and each.memory >= ticket.budget.memory
            ]
            if ticket.member is None and free:
                self._give(ticket, min(free, key=lambda member: member.memory))

    def _give(self, ticket: Ticket, member: Member) -> None:
        ticket.member, member.ticket, ticket.given = member, ticket, time.monotonic()
        member.did.append(ticket.work)
        self._changed = True
        ended = self._on(self._ended)
        ticket.future = self._link.send(
            ticket.key, member.address, ticket.call, lambda future: ended(ticket, future)
        )

    def _retire(self, now: float) -> None:
        """Let workers go that have too little of their life left for another piece of work."""
        for member in self._members.values():
            if member.is_free and now - member.joined > _PRIME * self._lifetime and not self._watch.is_blind:
                self._let_go(member)

    def _spare(self, now: float) -> None:
        """Let workers go for which nothing is left to do, or in whose place a larger one is wanted."""
        if self._watch.is_blind:
            return
        living = [member for member in self._members.values() if member.lives]
        free = [member for member in living if member.is_free]
        if free and len(living) >= self.terms.most and any(ticket.member is None for ticket in self._tickets):
            self._let_go(min(free, key=lambda member: member.memory))
            return
        if not self._tickets or len(living) <= len(self._tickets):
            return
        spare = [each for each in free if now - each.idle_since > _SPARE_SECONDS]
        for member in spare[: len(living) - len(self._tickets)]:
            self._let_go(member)

    def _let_go(self, member: Member) -> None:
        member.outcome, member.address = "done", ""
        self._take_out(member)

    def _hire(self, now: float) -> None:
        """Submit a job for each piece of work that has none, the largest first."""
        if now < self._retry_at or self._watch.is_blind:
            return
        have = sorted((member.memory for member in self._members.values() if member.lives), reverse=True)
        room = self.terms.most - len(have)
        for need in sorted((ticket.budget.memory for ticket in self._tickets), reverse=True):
            if have and have[0] >= need:
                have.pop(0)
            elif room > 0 and self._over is None and now >= self._retry_at and not self._stopped.is_set():
                self._submit(need, now)
                room -= 1

    def _submit(self, memory: int, now: float) -> None:
        name = f"{self._tag.stage}-{len(self._members) + 1}"
        member = Member(name, memory)
        description = describe(
            self._site, self.terms.resources, self._tag, self._link.address, self._link.security, name, memory
        )
        try:
            member.id = self._pool.submit(description, name)
        except Transient as error:
            self._watch.missed(error, now)
            self._retry_at = now + _SELDOM
        except Refused as error:
            self._refused(error, now)
        else:
            self._members[name] = member
            self._refusals, self._pace, self._changed = 0, _SOON, True

    def _refused(self, error: Refused, now: float) -> None:
        """Take note that HTCondor refuses a job; while others work that may pass, as a limit on jobs does."""
        self._refusals += 1
        if self._refusals <= _REFUSALS:
            self.terms.say(f"A job could not be submitted: {error}")
        self._retry_at = now + (_SOON if self._refusals < _REFUSALS else _SELDOM)
        at_work = any(member.lives and not member.is_free for member in self._members.values())
        if self._refusals >= _REFUSALS and not at_work:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        """Let everybody who waits, or will, know that it comes to nothing."""
        if self._over is None:
            self._over = error
            for ticket in self._tickets:
                ticket.mail.put(error)

    def _write(self) -> None:
        """Write down how the jobs fare; that this cannot be stops no work."""
        self._changed, self._written = False, time.monotonic()
        try:
            board.write(self._site.directory, self._board())
        except OSError as error:
            self.terms.say(f"How the jobs of stage {self._tag.stage} fare could not be written down: {error}")

    def _board(self) -> board.Board:
        tag = self._tag
        return board.Board(
            crew=tag.crew,
            profile=tag.profile,
            project=tag.project,
            observation=tag.observation,
            flow=tag.flow,
            flow_run=tag.flow_run,
            stage=tag.stage,
            written=datetime.now(UTC),
            entries=tuple(member.entry() for member in tuple(self._members.values())),
        )


def _stillborn(stage: str, times: int, fate: Fate) -> Failed:
    why = f"{times} jobs in a row ended before they began to work; {fate}"
    return Failed(
        f"the jobs of stage {stage}", why, "see ppi.cluster.python, and that nodes see the area: ppi doctor"
    )


def _is_lost(error: Any) -> bool:
    from distributed.scheduler import KilledWorker

    return isinstance(error, KilledWorker)


def _vacated(job: Job | None) -> str:
    return (job.vacate_reason if job else None) or "it had to leave its node"


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]

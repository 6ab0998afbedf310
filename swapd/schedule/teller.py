"""Answering questions about the queue: where requests stand, and what a request would lead to.

Rule 1: nothing is changed by a question. A plan is a rehearsal: the same scheduler, at a copy of
its desk, is told of a request that is none.
"""

import abc
import copy
from collections.abc import Iterator
from typing import Self

import attrs

from swapd.ids import ModelId, Run, Ticket
from swapd.schedule.clerk import Clerk
from swapd.schedule.desk import Desk
from swapd.schedule.effects import Reject
from swapd.schedule.events import Arrived
from swapd.schedule.facts import Request, RunFacts
from swapd.schedule.phase import Phase
from swapd.schedule.reasons import BackingOff
from swapd.schedule.standing import (
    BackOff,
    Draining,
    Loading,
    ModelStanding,
    Nothing,
    Plan,
    Stage,
    Standing,
    Stopping,
)

# Tickets count from 1.
_REHEARSED = Ticket(0)


@attrs.frozen
class Needs:
    """What has to happen to models for a request."""

    evict: tuple[ModelId, ...]
    start: bool


class Teller(Clerk):
    """A clerk that can be asked."""

    def queue(self, now: float) -> Iterator[Standing]:
        """Say where every request stands, in the order in which they run, the served first.

        To be heard to its end before the next event: of a long queue it is read off, not copied.
        """
        self._desk.now = now
        for service in self._desk.granted.values():
            yield _granted(service.request)
        yield from self._waits()

    def model(self, model: ModelId, now: float) -> ModelStanding:
        """Say where a model stands."""
        desk = self._desk
        facts, failure = desk.run_of(model), desk.failures.get(model)
        return ModelStanding(
            phase=facts.phase if facts else Phase.STOPPED,
            failed=facts is None and failure is not None,
            run=facts.run if facts else None,
            since=facts.since if facts else None,
            in_flight=len(facts.serving) if facts else 0,
            waiting=len(desk.lines.get(model, ())),
            idle_at=facts.idle_at if facts and facts.armed else None,
            failure=failure,
            load=desk.measures.load(model),
            service=desk.measures.service(model),
        )

    def plan(self, model: ModelId, now: float) -> Plan:
        """Say what a request for the model would lead to, if it came now."""
        self._desk.now = now
        rehearsal = self._rehearsal()
        for effect in rehearsal.handle(Arrived(_REHEARSED, model), now):
            if isinstance(effect, Reject) and effect.ticket == _REHEARSED:
                failure = self._desk.back_off(model)
                if isinstance(effect.reason, BackingOff) and failure:
                    return Plan(model, wait=BackOff(model, failure.until), refused=effect.reason)
                return Plan(model, refused=effect.reason)
        needs, bound = self._needs(model), self._bound(model)
        found = next(one for one in rehearsal.queue(now) if one.ticket == _REHEARSED)
        start = model if needs.start else None
        return Plan(model, needs.evict, start, found.position, found.eta, bound, found.wait)

    # What each scheduler has of its own

    @abc.abstractmethod
    def _waits(self) -> Iterator[Standing]:
        """Say where those stand that wait, in the order in which they will run."""

    @abc.abstractmethod
    def _needs(self, model: ModelId) -> Needs:
        """Say what would have to be stopped and started for one more request."""

    @abc.abstractmethod
    def _bound(self, model: ModelId) -> float | None:
        """Say how many seconds one more request could wait at most; None without a bound."""

    # What they share

    def _rehearsal(self) -> Self:
        rehearsal = copy.copy(self)
        rehearsal._desk = self._desk.copy()
        rehearsal._revived = dict(self._revived)
        return rehearsal


def draining(desk: Desk, model: ModelId, run: Run) -> Draining:
    """Say what a run still serves; it may be gone before its clients have noticed."""
    since = [one.since for one in desk.granted.values() if one.run == run]
    return Draining(model, len(since), desk.now - min(since, default=desk.now))


def loading(desk: Desk, facts: RunFacts) -> Loading:
    """Say how far a load is."""
    return Loading(facts.model, desk.now - facts.since, desk.measures.load(facts.model))


def stopping(desk: Desk, facts: RunFacts) -> Stopping:
    """Say for how long a run has been on its way out."""
    return Stopping(facts.model, desk.now - facts.since)


def rest(desk: Desk, facts: RunFacts) -> float | None:
    """Say how many seconds what the run is doing still takes; None if that is not known."""
    elapsed = desk.now - facts.since
    if facts.phase is Phase.STARTING:
        usual = desk.measures.load(facts.model)
    elif facts.phase is Phase.READY:
        if not facts.serving:
            return 0.0
        usual = desk.measures.service(facts.model)
        elapsed = min(desk.now - desk.granted[one].since for one in facts.serving)
    else:
        usual = desk.measures.stop(facts.model) or 0.0
    return None if usual is None else max(0.0, usual - elapsed)


def _granted(request: Request) -> Standing:
    return Standing(
        *(request.ticket, request.model, request.arrived), 0, Stage.GRANTED, Nothing(), 0.0
    )

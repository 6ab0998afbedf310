"""Strictly one after the other: exact arrival order, one request at a time, one model in memory.

The rules S1 to S17 are the ones of `DESIGN.md`. After every event the whole desk is looked at
again and the next steps follow from what is true now; there is no record of a swap in progress
that could go stale, and no wake-up that could be missed.

A settlement, in this order:

1. who waits for something that cannot come is refused;
2. the head of the queue is granted, if its model is ready and nothing else runs;
3. places in the queue are told;
4. stale runs, whose model was removed or changed, are stopped when they serve nobody;
5. if the head is not served: every other model is stopped, then the head's is started;
6. models that nobody wants get an idle timer;
7. unload orders whose models are gone are answered.
"""

from collections.abc import Iterator
from typing import assert_never

from swapd.config.settings import Settings
from swapd.ids import ModelId, Order, Run, Ticket
from swapd.schedule.desk import Desk, RunFacts
from swapd.schedule.effects import (
    ArmBackOff,
    ArmIdle,
    Effect,
    Grant,
    Place,
    Reject,
    Revoke,
    StartModel,
    StopModel,
    Unloaded,
)
from swapd.schedule.events import (
    Arrived,
    BackOffElapsed,
    Departed,
    Event,
    IdleElapsed,
    ModelBroke,
    ModelReady,
    ModelStopped,
    ModelStuck,
    Returned,
    SettingsChanged,
    StopAsked,
    UnloadAsked,
)
from swapd.schedule.phase import Phase
from swapd.schedule.reasons import (
    BackingOff,
    Cause,
    LoadFailed,
    ModelUnloaded,
    NotLoaded,
    QueueFull,
    Reason,
    ShuttingDown,
    Unkillable,
    UnknownModel,
)


class Serial:
    """Decide in strict arrival order."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._desk = Desk()

    def phase(self, model: ModelId) -> Phase:
        """Say where the model stands."""
        facts = self._desk.run_of(model)
        return facts.phase if facts else Phase.STOPPED

    def handle(self, event: Event) -> list[Effect]:
        """Take the event in and answer with everything that is to be done now, in order."""
        return [*self._note(event), *self._settle()]

    def __repr__(self) -> str:
        return f"<Serial {self._desk!r}>"

    # Taking events in

    def _note(self, event: Event) -> Iterator[Effect]:
        desk = self._desk
        match event:
            case Arrived(ticket, model, loads):
                if reason := self._refusal(model):
                    yield Reject(ticket, reason)
                else:
                    desk.waiting[ticket] = model
                    if not loads:
                        desk.modest.add(ticket)
            case Departed(ticket):
                desk.depart(ticket)
            case Returned(ticket, model):
                if ticket in desk.granted and ticket not in desk.revoked:
                    desk.take_back(ticket, model)
            case ModelReady(run):
                if (facts := desk.alive(run)) and facts.phase is Phase.STARTING:
                    facts.move(Phase.READY)
                    desk.failures.pop(facts.model, None)
            case ModelBroke(run, cause):
                if facts := desk.alive(run):
                    yield from self._broke(facts, cause)
            case ModelStuck(run, why):
                if facts := desk.runs.get(run):
                    facts.move(Phase.FAILED)
                    facts.stuck = Unkillable(facts.model, why)
            case ModelStopped(run):
                if facts := desk.runs.get(run):
                    desk.gone(facts)
            case IdleElapsed(run, turn):
                if (facts := desk.alive(run)) and facts.turn == turn:
                    facts.armed = False
                    if not desk.wanted(facts):
                        yield self._stop(facts)
            case BackOffElapsed(model, attempt):
                failure = desk.failures.get(model)
                if failure and failure.attempt == attempt:
                    failure.backing_off = False
            case UnloadAsked(order, models):
                yield from self._unload(order, models)
            case SettingsChanged(settings):
                desk.adopt(self._settings.models, settings.models)
                self._settings = settings
            case StopAsked():
                desk.stopping = True
            case _:
                assert_never(event)

    def _refusal(self, model: ModelId) -> Reason | None:
        if hopeless := self._hopeless(model):
            return hopeless
        limit = self._settings.serial.max_queue
        return QueueFull(limit) if len(self._desk.waiting) >= limit else None

    def _hopeless(self, model: ModelId) -> Reason | None:
        """Say why waiting for the model is no use at present."""
        if model not in self._settings.models:
            return UnknownModel(model)
        if self._desk.stopping:
            return ShuttingDown()
        if stuck := self._desk.stuck():
            return stuck
        if cause := self._desk.back_off(model):
            return BackingOff(model, cause)
        return None

    def _unloaded(self, ticket: Ticket, model: ModelId) -> Reason | None:
        """Say that a request which loads nothing has nothing to wait for (S17)."""
        if ticket not in self._desk.modest:
            return None
        facts = self._desk.run_of(model)
        return None if facts and facts.fit else NotLoaded(model)

    def _broke(self, facts: RunFacts, cause: Cause) -> Iterator[Effect]:
        """Fail the one request that the load was for; the next tries again (S5)."""
        failure = self._desk.broke(facts, cause)
        if failure is None:
            return
        head = self._desk.head()
        if head and head[1] == facts.model:
            self._desk.depart(head[0])
            yield Reject(head[0], LoadFailed(facts.model, cause))
        if failure.backing_off:
            yield ArmBackOff(facts.model, failure.back_off(), failure.attempt)

    def _unload(self, order: Order, models: frozenset[ModelId]) -> Iterator[Effect]:
        desk = self._desk
        # All that runs, too: a stale run may be of a model that is configured no more.
        named = models or self._settings.models.keys() | {
            facts.model for facts in desk.runs.values()
        }
        for model in named:
            desk.failures.pop(model, None)
        for ticket, model in list(desk.waiting.items()):
            if model in named:
                desk.depart(ticket)
                yield Reject(ticket, ModelUnloaded(model))
        ending = [facts for facts in desk.runs.values() if facts.model in named]
        for ticket, run in desk.granted.items():
            facts = desk.runs.get(run)
            if facts and facts.model in named and ticket not in desk.revoked:
                desk.revoked.add(ticket)
                yield Revoke(ticket, ModelUnloaded(facts.model))
        for facts in ending:
            if desk.alive(facts.run):
                yield self._stop(facts)
        desk.orders[order] = {facts.run for facts in ending}

    # Settling

    def _settle(self) -> Iterator[Effect]:
        yield from self._refuse_the_hopeless()
        yield from self._grant()
        yield from (Place(ticket, position) for ticket, position in self._desk.moved())
        yield from self._stop_the_stale()
        yield from self._swap()
        yield from self._arm_idle()
        yield from self._answer_orders()

    def _refuse_the_hopeless(self) -> Iterator[Effect]:
        for ticket, model in list(self._desk.waiting.items()):
            if reason := self._hopeless(model) or self._unloaded(ticket, model):
                self._desk.depart(ticket)
                yield Reject(ticket, reason)

    def _grant(self) -> Iterator[Effect]:
        desk = self._desk
        head = desk.head()
        if desk.granted or head is None or len(desk.runs) != 1:
            return
        ticket, model = head
        facts = desk.run_of(model)
        if facts and facts.fit:
            desk.grant(ticket, facts)
            yield Grant(ticket, facts.run)

    def _stop_the_stale(self) -> Iterator[Effect]:
        for facts in self._desk.runs.values():
            if facts.stale and self._desk.alive(facts.run) and not self._desk.serves(facts):
                yield self._stop(facts)

    def _swap(self) -> Iterator[Effect]:
        desk = self._desk
        head = desk.head()
        if desk.granted or head is None:
            return
        _, model = head
        for facts in desk.runs.values():
            if facts.model != model and desk.alive(facts.run):
                yield self._stop(facts)
        if not desk.runs:
            yield StartModel(model, desk.start(self._settings.models[model]).run)

    def _stop(self, facts: RunFacts) -> StopModel:
        facts.move(Phase.STOPPING)
        return StopModel(facts.run)

    def _arm_idle(self) -> Iterator[Effect]:
        for facts in self._desk.runs.values():
            ttl = facts.definition.ttl
            if ttl > 0 and facts.phase is Phase.READY and not facts.armed:
                if self._desk.wanted(facts):
                    continue
                facts.armed = True
                yield ArmIdle(facts.run, ttl, facts.turn)

    def _answer_orders(self) -> Iterator[Effect]:
        for order, pending in list(self._desk.orders.items()):
            stuck = self._stuck_among(pending)
            if stuck or not pending:
                del self._desk.orders[order]
                yield Unloaded(order, stuck)

    def _stuck_among(self, pending: set[Run]) -> Unkillable | None:
        """Once nothing but stuck runs is left to wait for, name one of them."""
        found = [self._desk.runs[run].stuck for run in sorted(pending)]
        return found[0] if found and all(found) else None

"""What every scheduler does alike: taking events in, and clearing up after each.

A settlement, in this order; a scheduler of its own fills in what is marked with a star:

1. who waits for something that cannot come is refused;
2. * waiting requests are granted;
3. places in the queue are told;
4. runs that are to leave (their model was changed or removed, or somebody has them drained) are
   stopped when they serve nobody;
5. * models are stopped and started for those that still wait; what was found unwell starts anew;
6. what the next load needs is read ahead while somebody is served;
7. models that nobody wants get an idle timer;
8. unload orders whose models are gone are answered.

After every event the whole desk is looked at again and the next steps follow from what is true
now, so no wake-up can be missed.
"""

import abc
import math
from collections.abc import Iterable, Iterator
from typing import assert_never

from swapd.config.settings import Settings
from swapd.ids import ModelId, Ticket
from swapd.schedule import unloading
from swapd.schedule.desk import Desk
from swapd.schedule.effects import (
    ArmBackOff,
    ArmIdle,
    Effect,
    Place,
    Prefetch,
    Reject,
    StartModel,
)
from swapd.schedule.events import (
    Arrived,
    BackOffElapsed,
    Departed,
    DrainElapsed,
    Event,
    IdleElapsed,
    ModelBroke,
    ModelReady,
    ModelStopped,
    ModelStuck,
    ResetAsked,
    Returned,
    SettingsChanged,
    StopAsked,
    TurnElapsed,
    Unanswered,
    UnloadAsked,
)
from swapd.schedule.facts import Request, RunFacts
from swapd.schedule.measures import Measures
from swapd.schedule.motives import Asked, Outdated, Unused, Unwell
from swapd.schedule.phase import Phase
from swapd.schedule.reasons import (
    BackingOff,
    Cause,
    LoadFailed,
    NotLoaded,
    Reason,
    ShuttingDown,
    Unkillable,
    UnknownModel,
)
from swapd.schedule.unloading import stop


class Clerk(abc.ABC):
    """The part of deciding that is the same in whatever order requests run."""

    def __init__(self, settings: Settings, measures: Measures | None = None) -> None:
        self._settings = settings
        self._desk = Desk(measures or Measures())
        self._prefetched: ModelId | None = None
        self._revived: dict[ModelId, None] = {}
        """Models that were unwell and are to be started anew."""

    def phase(self, model: ModelId) -> Phase:
        """Say where the model stands."""
        facts = self._desk.run_of(model)
        return facts.phase if facts else Phase.STOPPED

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Take the event in and answer with everything that is to be done now, in order."""
        self._desk.now = now
        return [*self._note(event), *self._settle()]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._desk!r}>"

    # What each scheduler has of its own

    @abc.abstractmethod
    def _full(self, model: ModelId) -> Reason | None:
        """Say why one more request for the model is too many, if it is."""

    @abc.abstractmethod
    def _blocked(self, model: ModelId) -> Unkillable | None:
        """Say what would not die and stands in the model's way."""

    @abc.abstractmethod
    def _victims(self, model: ModelId) -> Iterable[Ticket]:
        """Name those who are told that the load of the model has failed."""

    @abc.abstractmethod
    def _grant(self) -> Iterator[Effect]:
        """Let requests use what is loaded."""

    @abc.abstractmethod
    def _order(self) -> list[Ticket]:
        """List those that wait in the order in which they will run."""

    @abc.abstractmethod
    def _swap(self) -> Iterator[Effect]:
        """Stop and start models for those that wait."""

    @abc.abstractmethod
    def _has_room(self, model: ModelId) -> bool:
        """Say whether the model could be started and take nothing from anybody."""

    @abc.abstractmethod
    def _next_load(self) -> ModelId | None:
        """Name the model that is started next and is not there yet."""

    # Taking events in

    def _note(self, event: Event) -> Iterator[Effect]:
        desk = self._desk
        match event:
            case Arrived(ticket, model, loads, keep_alive):
                if reason := self._hopeless(model) or self._full(model):
                    yield Reject(ticket, reason)
                else:
                    desk.wait(Request(ticket, model, desk.now, loads, keep_alive))
            case Departed(ticket):
                desk.depart(ticket)
            case Returned(ticket):
                if ticket in desk.granted and ticket not in desk.revoked:
                    desk.take_back(ticket)
            case ModelReady(run):
                if (facts := desk.alive(run)) and facts.phase is Phase.STARTING:
                    desk.ready(facts)
            case ModelBroke(run, cause):
                if facts := desk.alive(run):
                    yield from self._broke(facts, cause)
            case Unanswered(run):
                if (facts := desk.alive(run)) and facts.fit and not desk.wanted(facts):
                    facts.unwell = True
                    yield stop(facts, desk.now, Unwell())
            case ModelStuck(run, why):
                if facts := desk.runs.get(run):
                    facts.move(Phase.FAILED, desk.now)
                    facts.stuck = Unkillable(facts.model, why)
            case ModelStopped(run):
                if facts := desk.runs.get(run):
                    desk.gone(facts)
                    if facts.unwell:
                        self._revived[facts.model] = None
            case IdleElapsed(run, turn):
                if (facts := desk.alive(run)) and facts.turn == turn:
                    facts.armed = False
                    if not desk.wanted(facts):
                        yield stop(facts, desk.now, Unused(desk.idle(facts) or 0.0))
            case BackOffElapsed(model, attempt):
                failure = desk.failures.get(model)
                if failure and failure.attempt == attempt:
                    failure.backing_off = False
            case TurnElapsed(run):
                # A clock that counts in fractions may ring a hair too early: then it is set again.
                if facts := desk.alive(run):
                    facts.closes_at = None
            case ResetAsked(model):
                desk.failures.pop(model, None)
            case UnloadAsked():
                for model in event.models or tuple(self._revived):
                    self._revived.pop(model, None)
                yield from unloading.unload(desk, event, self._settings.models)
            case DrainElapsed(order):
                yield from unloading.cut_short(desk, order)
            case SettingsChanged(settings):
                self._adopt(settings)
            case StopAsked():
                desk.stopping = True
            case _:
                assert_never(event)

    def _hopeless(self, model: ModelId) -> Reason | None:
        """Say why waiting for the model is no use at present."""
        if model not in self._settings.models:
            return UnknownModel(model)
        if self._desk.stopping:
            return ShuttingDown()
        if stuck := self._blocked(model):
            return stuck
        if failure := self._desk.back_off(model):
            return BackingOff(model, failure.cause)
        return None

    def _unloaded(self, request: Request) -> Reason | None:
        """Say that a request which loads nothing has nothing to wait for (S17)."""
        if request.loads:
            return None
        facts = self._desk.run_of(request.model)
        return None if facts and facts.fit else NotLoaded(request.model)

    def _broke(self, facts: RunFacts, cause: Cause) -> Iterator[Effect]:
        failure = self._desk.broke(facts, cause)
        if failure is None:
            return
        for ticket in tuple(self._victims(facts.model)):
            self._desk.depart(ticket)
            yield Reject(ticket, LoadFailed(facts.model, cause))
        if failure.backing_off:
            yield ArmBackOff(facts.model, failure.back_off(), failure.attempt)

    def _adopt(self, settings: Settings) -> None:
        self._desk.adopt(self._settings.models, settings.models)
        self._settings = settings

    # Settling

    def _settle(self) -> Iterator[Effect]:
        # Nothing is asked that has no answer: this is on the path of every request.
        desk = self._desk
        if desk.lines:
            yield from self._refuse_the_hopeless()
        yield from self._grant()
        # Carried out after the places are told, decided before: a swap may change them.
        swaps = [*self._stop_the_leaving(), *self._swap()]
        if desk.modest:
            # Their model may be among what is stopped.
            yield from self._refuse_the_hopeless()
        yield from map(Place._make, desk.moved(self._order()))
        yield from swaps
        if self._revived:
            yield from self._revive()
        if desk.lines or self._prefetched is not None:
            yield from self._read_ahead()
        yield from self._arm_idle()
        if desk.orders:
            yield from unloading.answers(desk)

    def _refuse_the_hopeless(self) -> Iterator[Effect]:
        desk = self._desk
        hopeless = {model: self._hopeless(model) for model in desk.lines}
        if not desk.modest and not any(hopeless.values()):
            return
        for request in list(desk.waiting.values()):
            if reason := hopeless[request.model] or self._unloaded(request):
                desk.depart(request.ticket)
                yield Reject(request.ticket, reason)

    def _stop_the_leaving(self) -> Iterator[Effect]:
        for facts in self._desk.runs.values():
            if facts.leaving and self._desk.alive(facts.run) and not facts.serving:
                yield stop(facts, self._desk.now, Outdated() if facts.stale else Asked())

    def _start(self, model: ModelId, ticket: Ticket | None) -> StartModel:
        self._prefetched = None
        return StartModel(model, self._desk.start(self._settings.models[model]).run, ticket)

    def _revive(self) -> Iterator[Effect]:
        """Start what was unwell anew, as soon as that takes nothing from anybody."""
        for model in tuple(self._revived):
            there = self._desk.run_of(model) or model in self._desk.lines
            if there or self._hopeless(model):
                del self._revived[model]
            elif self._has_room(model):
                del self._revived[model]
                yield self._start(model, None)

    def _read_ahead(self) -> Iterator[Effect]:
        """Begin while somebody is served, and go on as long as the model is wanted next."""
        model = self._next_load() if self._desk.lines else None
        if model is not None and self._settings.models[model].prefetch is None:
            model = None
        if model == self._prefetched or (model is not None and not self._desk.granted):
            return
        self._prefetched = model
        yield Prefetch(model)

    def _arm_idle(self) -> Iterator[Effect]:
        for facts in self._desk.runs.values():
            if facts.phase is not Phase.READY or facts.armed or self._desk.wanted(facts):
                continue
            if (seconds := facts.patience) < math.inf:
                facts.armed, facts.idle_at = True, self._desk.now + seconds
                yield ArmIdle(facts.run, seconds, facts.turn)

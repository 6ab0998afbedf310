"""Requests for a model together, models side by side as groups or the matrix allow.

What llama-swap's scheduler of this name does (join a load, serve what is ready, swaps beside each
other, priorities, limits), but for two promises of ours:

Rule 1: a model has a **turn**. While a request waits that needs it gone, it may be granted to
others for `maxTurn`, at least four times its own switch, counted from the later of its readiness
and that request's arrival. Then its **gate** closes: it serves what it has and is granted no more.
Rule 2: swaps are begun for whoever has waited longest (`swaps.py`).

So a request waits, for each model ahead of it, at most a turn, what is in flight then, and a
switch (`_bound`).

A settlement (`clerk.py`) is filled in so:

2. a. swaps that are complete serve those who joined them; what nobody waits for is no swap;
   b. what is loaded serves, unless its gate is closed or something would have to go for it first;
5. a. in the order of rule 2: a swap begins if it touches no other one and evicts nobody in use;
   b. what swaps wait for is gone: their models are started;
   c. timers are set for turns that will end.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from math import inf
from typing import Self

from swapd.config.settings import Settings
from swapd.ids import ModelId, Ticket
from swapd.schedule.effects import ArmTurn, Effect, Grant
from swapd.schedule.eviction import Eviction, eviction_of
from swapd.schedule.facts import Request, RunFacts
from swapd.schedule.forecast import Forecast
from swapd.schedule.measures import Measures, Total
from swapd.schedule.motives import MakeRoom
from swapd.schedule.phase import Phase
from swapd.schedule.reasons import QueueFull, Reason, TooMany, Unkillable
from swapd.schedule.standing import Standing
from swapd.schedule.swaps import Swaps, first
from swapd.schedule.teller import Needs, Teller
from swapd.schedule.unloading import stop

# Requests that a model without a `concurrencyLimit` serves at a time; llama-swap refuses more.
AT_A_TIME = 10

# A turn is at least so many of the model's own switches: one that takes long to load is worth
# more use once it is there.
SWITCHES_A_TURN = 4


class Fifo(Teller):
    """Decide model by model; `eviction` says who must leave for whom."""

    def __init__(
        self,
        settings: Settings,
        measures: Measures | None = None,
        *,
        eviction: Callable[[Settings], Eviction] = eviction_of,
    ) -> None:
        super().__init__(settings, measures)
        self._eviction_of = eviction
        self._swaps = Swaps(self._desk, eviction(settings))
        self._next: ModelId | None = None
        self._closing: dict[ModelId, float] = {}
        """When turns end; no model that may be granted for ever."""

    def _adopt(self, settings: Settings) -> None:
        super()._adopt(settings)
        self._swaps.eviction = self._eviction_of(settings)

    # Admission

    def _full(self, model: ModelId) -> Reason | None:
        desk = self._desk
        limit = self._settings.models[model].concurrency_limit
        if limit > 0:
            served = sum(one.request.model == model for one in desk.granted.values())
            if served + len(desk.lines.get(model, ())) >= limit:
                return TooMany(model, limit)
        most = self._settings.fifo.max_queue
        if len(desk.waiting) < most or self._free(model):
            return None
        return QueueFull(most)

    def _free(self, model: ModelId) -> int:
        """Say how many more requests the model could be granted now."""
        facts = self._desk.run_of(model)
        if facts is None or not facts.fit or not self._swaps.alone(model):
            return 0
        return 0 if self._shut(model) else self._slots(facts)

    def _slots(self, facts: RunFacts) -> int:
        return max(0, self._at_a_time(facts.model) - len(facts.serving))

    def _at_a_time(self, model: ModelId) -> int:
        limit = self._settings.models[model].concurrency_limit
        return limit if limit > 0 else AT_A_TIME

    def _blocked(self, model: ModelId) -> Unkillable | None:
        stuck = [facts for facts in self._desk.runs.values() if facts.stuck]
        if not stuck:
            return None
        gone = {model, *self._swaps.evict(model)}
        return next((facts.stuck for facts in stuck if facts.model in gone), None)

    def _victims(self, model: ModelId) -> Iterable[Ticket]:
        """Fail all who wait for the load: they have joined it."""
        return self._desk.lines.get(model, ())

    # Turns

    def _turn(self, model: ModelId) -> float:
        """Say how many seconds a model's turn has."""
        longest = self._settings.fifo.max_turn
        if longest <= 0:
            return inf
        return max(longest, SWITCHES_A_TURN * (self._desk.measures.switch(model) or 0.0))

    def _look_at_turns(self) -> None:
        """Say when the turns end of those that somebody needs gone (rule 1).

        Not for who has to wait for others first: a gate that is shut for nobody serves nobody.
        """
        swaps, before = self._swaps, list[ModelId]()
        self._closing = {}
        for model in self._candidates():
            evict = swaps.evict(model)
            request = first(self._desk.lines[model])
            if (
                request
                and not swaps.collides(model, evict)
                and not swaps.held(model, evict, before)
            ):
                for facts in swaps.in_the_way(evict):
                    if facts.phase is Phase.READY and facts.ready_at is not None:
                        end = max(facts.ready_at, request.arrived) + self._turn(facts.model)
                        self._closing[facts.model] = min(end, self._ends(facts.model))
            before.append(model)

    def _ends(self, model: ModelId) -> float:
        """Say when the model's turn ends."""
        return self._closing.get(model, inf)

    def _shut(self, model: ModelId) -> bool:
        """Say whether the model's turn is over."""
        return self._ends(model) <= self._desk.now

    # Granting

    def _grant(self) -> Iterator[Effect]:
        desk = self._desk
        for model, evict in list(self._swaps.under_way.items()):  # 2a
            facts = desk.run_of(model)
            if model not in desk.lines:
                del self._swaps.under_way[model]
            elif facts and facts.fit and not self._swaps.in_the_way(evict):
                del self._swaps.under_way[model]
                yield from self._serve(facts, desk.lines[model])
        self._look_at_turns()
        for model, line in list(desk.lines.items()):  # 2b
            facts = desk.run_of(model)
            if facts is None or not facts.fit or self._shut(model):
                continue
            if not self._swaps.alone(model):
                # Both are loaded already: whoever would load nothing may as well be served.
                line = {ticket: one for ticket, one in line.items() if not one.loads}
            yield from self._serve(facts, line)

    def _serve(self, facts: RunFacts, line: dict[Ticket, Request]) -> Iterator[Effect]:
        for ticket in tuple(islice(line, self._slots(facts))):
            self._desk.grant(ticket, facts)
            yield Grant(ticket, facts.run)

    # Swapping

    def _swap(self) -> Iterator[Effect]:
        desk, swaps = self._desk, self._swaps
        swaps.look_again()
        waiting: list[ModelId] = []
        for model in self._candidates():  # 5a
            evict = swaps.evict(model)
            if swaps.possible(model, evict, waiting):
                for facts in swaps.begin(model, evict):
                    yield stop(facts, desk.now, MakeRoom(model, desk.idle(facts)))
            else:
                waiting.append(model)
        for model, evict in swaps.under_way.items():  # 5b
            if desk.run_of(model) is None and not swaps.in_the_way(evict):
                yield self._start(model, next(iter(desk.lines[model])))
        soon = (*swaps.under_way, *waiting)
        self._next = next((model for model in soon if desk.run_of(model) is None), None)
        yield from self._arm_turns()  # 5c

    def _candidates(self) -> list[ModelId]:
        return self._swaps.candidates(self._settings.fifo.priority)

    def _arm_turns(self) -> Iterator[Effect]:
        self._look_at_turns()
        for facts in self._desk.runs.values():
            end = self._ends(facts.model)
            if not self._desk.now < end < inf:
                facts.closes_at = None
            elif facts.closes_at != end:
                facts.closes_at = end
                yield ArmTurn(facts.run, end - self._desk.now)

    def _has_room(self, model: ModelId) -> bool:
        evict = self._swaps.evict(model)
        return not evict and not self._swaps.collides(model, ()) and not self._candidates()

    def _next_load(self) -> ModelId | None:
        return self._next

    def _order(self) -> list[Ticket]:
        return [ticket for model in self._models_in_order() for ticket in self._desk.lines[model]]

    def _models_in_order(self) -> list[ModelId]:
        """List models that are waited for: loaded, being loaded, to be loaded, and shut."""
        later = self._candidates()
        others = [model for model in self._desk.lines if model not in later]
        if not others:
            return later
        swaps = [model for model in others if model in self._swaps.under_way]
        open_: list[ModelId] = []
        shut: list[ModelId] = []
        for model in others:
            if model not in swaps:
                facts = self._desk.run_of(model)
                fit = facts is not None and facts.fit and not self._shut(model)
                (open_ if fit else shut).append(model)
        return [*open_, *swaps, *later, *shut]

    # Telling

    def _waits(self) -> Iterator[Standing]:
        return Forecast(
            self._desk,
            self._models_in_order(),
            self._swaps,
            self._closing,
            self._at_a_time,
        ).standings()

    def _needs(self, model: ModelId) -> Needs:
        facts = self._desk.run_of(model)
        going = self._swaps.in_the_way(self._swaps.evict(model))
        stays = facts and self._desk.alive(facts.run) and not facts.leaving
        start = not stays or self._shut(model)
        return Needs(tuple(facts.model for facts in going), start=start)

    def _bound(self, model: ModelId) -> float | None:
        """Say how long one more request could wait: rule 2 in seconds.

        For each other model that is there, is waited for, or has a higher priority: its load, its
        turn, its drain and its stop. Who does not get into the turn that its model has, or into
        the next, because of those before it, may find all other models before it each time.
        """
        desk, settings = self._desk, self._settings
        if settings.fifo.max_turn <= 0:
            return None
        if self._free(model):
            return 0.0
        own = settings.fifo.priority.get(model, 0)
        ahead = (
            {facts.model for facts in desk.runs.values()}
            | desk.lines.keys()
            | {other for other, priority in settings.fifo.priority.items() if priority > own}
        )
        facts = desk.run_of(model)
        loaded = facts is not None and facts.phase is Phase.READY
        before = len(desk.lines.get(model, ())) + (len(facts.serving) if facts else 0)
        rounds = max(before // self._at_a_time(model), int(loaded))
        bound = Total()
        for others, times in ((ahead, 1), (settings.models.keys(), rounds)):
            for other in others if times else ():
                longest = desk.measures.longest_turn(other, self._turn(other))
                bound.add(None if longest is None else longest * times)
        if model not in ahead:
            load = desk.measures.of(model).load
            bound.add(load.longest if load else None)
        return bound.seconds

    def _rehearsal(self) -> Self:
        rehearsal = super()._rehearsal()
        rehearsal._swaps = self._swaps.copy(rehearsal._desk)
        return rehearsal

"""What waits for what under fifo, and for how long: a guess by what was measured.

The guess plays the models that are waited for one after the other, in the order in which they
would be loaded, each served once through; turns of others are not foreseen to be used up.
"""

from collections.abc import Callable, Iterator, Mapping
from math import inf

import attrs

from swapd.ids import ModelId
from swapd.schedule.desk import Desk
from swapd.schedule.facts import RunFacts
from swapd.schedule.measures import Total
from swapd.schedule.phase import Phase
from swapd.schedule.standing import (
    Behind,
    Nothing,
    Stage,
    Standing,
    TurnOf,
    Wait,
)
from swapd.schedule.swaps import Swaps
from swapd.schedule.teller import draining, loading, rest, stopping


@attrs.define
class Forecast:
    """A look ahead from how things stand."""

    desk: Desk
    order: list[ModelId]
    """The models that are waited for, as they will be loaded."""
    swaps: Swaps
    closing: Mapping[ModelId, float]
    """When turns end; of a model that is not here nobody needs that."""
    at_a_time: Callable[[ModelId], int]
    _free: dict[ModelId, Total] = attrs.field(init=False)
    """When each model that is there, or will be, has nothing left to do."""

    def standings(self) -> Iterator[Standing]:
        """Say where those stand that wait, in the order in which they will run."""
        self._free = {
            facts.model: Total(rest(self.desk, facts)) for facts in self.desk.runs.values()
        }
        position = 0
        for model in self.order:
            ready, at_a_time = self._ready(model), self.at_a_time(model)
            service = self.desk.measures.service(model)
            stage, wait, ahead = self._wait(model, position)
            for index, request in enumerate(self.desk.lines[model].values()):
                position += 1
                eta = _after(ready.seconds, index // at_a_time, service)
                if index and ahead is not None:
                    stage, wait = Stage.WAITING, Behind(ahead + index)
                yield Standing(request.ticket, model, request.arrived, position, stage, wait, eta)
            rounds = len(self.desk.lines[model]) // at_a_time + 1
            self._free[model] = Total(_after(ready.seconds, rounds, service))

    def _ready(self, model: ModelId) -> Total:
        """Say when the model can serve who waits first, and have gone what must go for it."""
        known = self.desk.measures
        facts = self.desk.run_of(model)
        shut = self.closing.get(model, inf) <= self.desk.now
        # Loaded it may be, and still have to go for somebody before.
        loaded = facts is not None and facts.fit and not shut and model in self._free
        if loaded and self.swaps.alone(model):
            return self._free[model]
        if facts and facts.phase is Phase.STARTING:
            return Total(rest(self.desk, facts))
        others = tuple(sorted(self._free.keys() - {model}))
        going = [*self.swaps.eviction(model, others), *(() if loaded else (model,))]
        gone = []
        for other in going:
            if (end := self._free.pop(other, None)) is not None:
                run = self.desk.run_of(other)
                if run is None or self.desk.alive(run.run):
                    end = Total(end.seconds)
                    end.add(known.stop(other) or 0.0)
                gone.append(end.seconds)
        latest = [seconds for seconds in gone if seconds is not None]
        ready = Total(max(latest, default=0.0) if len(latest) == len(gone) else None)
        if not loaded:
            ready.add(known.load(model))
        return ready

    def _wait(self, model: ModelId, before: int) -> tuple[Stage, Wait, int | None]:
        """Say what the first waits for, and how many go before it.

        None of them if all who wait for the model have joined its load.
        """
        facts, swap = self.desk.run_of(model), self.swaps.under_way.get(model)
        for other in self.desk.runs.values():
            if swap is not None and other.model in swap:
                return Stage.WAITING, stopping(self.desk, other), None
        if facts and facts.phase is Phase.STARTING:
            return Stage.LOADING, loading(self.desk, facts), None
        if facts and facts.phase is not Phase.READY:
            return Stage.WAITING, stopping(self.desk, facts), None
        if facts and facts.leaving:
            return Stage.WAITING, draining(self.desk, facts.model, facts.run), None
        evict = self.swaps.evict(model)
        in_use = [other for other in self.swaps.in_the_way(evict) if other.serving]
        shut = self.closing.get(model, inf) <= self.desk.now
        if facts and facts.fit and self.swaps.alone(model) and not shut:
            served = len(facts.serving)
            return Stage.WAITING, Behind(served), served
        if in_use:
            return Stage.WAITING, self._turn_of(in_use[0]), before
        return Stage.WAITING, Behind(before) if before else Nothing(), before

    def _turn_of(self, facts: RunFacts) -> Wait:
        left = self.closing.get(facts.model, inf) - self.desk.now
        if left <= 0:
            return draining(self.desk, facts.model, facts.run)
        return TurnOf(facts.model, len(facts.serving), left if left < inf else None)


def _after(ready: float | None, rounds: int, service: float | None) -> float | None:
    """Say when a request is granted that so many rounds of others go before."""
    if not rounds or ready is None:
        return ready
    return None if service is None else ready + rounds * service

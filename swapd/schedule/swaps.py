"""Swaps under way (these go, that comes), who is in whose way, and whose swap is next.

Rule 1: two swaps go on beside each other only if neither touches what the other one does.
Rule 2: the next swap is for whoever has waited longest, counted from its arrival or from when its
model had to go last. A model of higher priority goes before that one, once.
Rule 3: nothing is loaded that somebody who comes before would need gone.
"""

from collections.abc import Mapping
from math import inf

import attrs

from swapd.ids import ModelId, Ticket
from swapd.schedule.desk import Desk
from swapd.schedule.eviction import Eviction
from swapd.schedule.facts import Request, RunFacts

Models = tuple[ModelId, ...]


@attrs.define
class Swaps:
    """What is being loaded for those who wait."""

    desk: Desk
    eviction: Eviction
    under_way: dict[ModelId, Models] = attrs.field(factory=dict)
    """By what is being loaded: what has to go for it."""
    evicted: dict[ModelId, float] = attrs.field(factory=dict)
    """When each model had to go for another one last."""

    # Who is in whose way

    def evict(self, model: ModelId, *, without: Models = (), beside: Models = ()) -> Models:
        """Say what has to go for a model, among what runs and what is being loaded."""
        there = {facts.model for facts in self.desk.runs.values()} | self.under_way.keys()
        others = (there - {*without}) | {*beside}
        return self.eviction(model, tuple(sorted(others - {model})))

    def in_the_way(self, evict: Models) -> list[RunFacts]:
        """Find the runs of models that have to go, also those that are going."""
        return [facts for facts in self.desk.runs.values() if facts.model in evict]

    def alone(self, model: ModelId) -> bool:
        """Say whether nothing that runs has to go for the model, but what is leaving anyway."""
        return all(facts.leaving for facts in self.in_the_way(self.evict(model)))

    def collides(self, model: ModelId, evict: Models) -> bool:
        """Say whether a swap would touch one that is under way."""
        return any(
            target in evict
            or model in going
            or not set(going).isdisjoint(evict)
            # Not only what goes for it by now: this one would have to, if it were there.
            or model in self.evict(target, without=evict, beside=(model,))
            for target, going in self.under_way.items()
        )

    # Whose swap is next

    def candidates(self, priority: Mapping[ModelId, int]) -> list[ModelId]:
        """List models that have to be loaded, or others stopped for them, in order (rule 2)."""
        since: dict[ModelId, float] = {}
        for model, line in self.desk.lines.items():
            facts = self.desk.run_of(model)
            if first(line) is None or model in self.under_way:
                continue
            if facts is None or not facts.fit or not self.alone(model):
                since[model] = self._since(model)
        if not since:
            return []
        longest = min(since, key=since.__getitem__)

        def order(model: ModelId) -> tuple[int, float]:
            own, most = priority.get(model, 0), priority.get(longest, 0)
            had_its_turn = self.evicted.get(model, -inf) > since[longest]
            return -(min(own, most) if had_its_turn else own), since[model]

        return sorted(since, key=order)

    def possible(self, model: ModelId, evict: Models, before: list[ModelId]) -> bool:
        """Say whether a swap can begin, with nothing taken from those who wait before it."""
        if any(facts.serving for facts in self.in_the_way(evict)):
            return False
        return not self.collides(model, evict) and not self.held(model, evict, before)

    def held(self, model: ModelId, evict: Models, before: list[ModelId]) -> bool:
        """Say whether more would have to go for somebody before, if the model were there (rule 3).

        Not whether it has had a turn meanwhile: who is in nobody's way need not wait for anybody.
        """
        return any(
            not {*self.evict(other, without=evict, beside=(model,))} <= {*self.evict(other)}
            for other in before
        )

    def begin(self, model: ModelId, evict: Models) -> list[RunFacts]:
        """Note that a swap begins; answer with what is to be stopped for it."""
        self.under_way[model] = evict
        going = [facts for facts in self.in_the_way(evict) if self.desk.alive(facts.run)]
        for facts in going:
            self.evicted[facts.model] = self.desk.now
        return going

    def look_again(self) -> None:
        """Forget swaps for which more has to go by now (a reload said so): they begin anew."""
        for model, evict in list(self.under_way.items()):
            if self.desk.run_of(model) is None and not {*self.evict(model)} <= {*evict}:
                del self.under_way[model]

    def copy(self, desk: Desk) -> "Swaps":
        """Make the same of a copied desk."""
        return Swaps(desk, self.eviction, dict(self.under_way), dict(self.evicted))

    def _since(self, model: ModelId) -> float:
        request = first(self.desk.lines[model])
        return max(request.arrived if request else inf, self.evicted.get(model, -inf))


def first(line: Mapping[Ticket, Request]) -> Request | None:
    """Find who has waited longest for a model to be loaded."""
    return next((request for request in line.values() if request.loads), None)

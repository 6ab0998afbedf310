"""Strictly one after the other: exact arrival order, one request at a time, one model in memory.

The rules S1 to S19 are the ones of `DESIGN.md`. A settlement (`clerk.py`) is filled in so:

2. the head of the queue is granted, if its model is ready and nothing else runs;
5. if the head is not served: every other model is stopped, then the head's is started.

There is no record of a swap in progress that could go stale.
"""

from collections.abc import Iterable, Iterator

from swapd.ids import ModelId, Ticket
from swapd.schedule.effects import Effect, Grant
from swapd.schedule.facts import Request
from swapd.schedule.measures import Total
from swapd.schedule.motives import MakeRoom
from swapd.schedule.phase import Phase
from swapd.schedule.reasons import QueueFull, Reason, Unkillable
from swapd.schedule.standing import Behind, Nothing, Stage, Standing, Wait
from swapd.schedule.teller import Needs, Teller, draining, loading, rest, stopping
from swapd.schedule.unloading import stop


class Serial(Teller):
    """Decide in strict arrival order."""

    def _full(self, model: ModelId) -> Reason | None:
        limit = self._settings.serial.max_queue
        return QueueFull(limit) if len(self._desk.waiting) >= limit else None

    def _blocked(self, model: ModelId) -> Unkillable | None:
        return self._desk.stuck()

    def _victims(self, model: ModelId) -> Iterable[Ticket]:
        """Fail the one request that the load was for; the next tries again (S5)."""
        head = self._desk.head()
        return (head.ticket,) if head and head.model == model else ()

    def _order(self) -> list[Ticket]:
        return list(self._desk.waiting)

    def _grant(self) -> Iterator[Effect]:
        desk = self._desk
        head = desk.head()
        if desk.granted or head is None or len(desk.runs) != 1:
            return
        facts = desk.run_of(head.model)
        if facts and facts.fit:
            desk.grant(head.ticket, facts)
            yield Grant(head.ticket, facts.run)

    def _swap(self) -> Iterator[Effect]:
        desk = self._desk
        head = desk.head()
        if desk.granted or head is None:
            return
        for facts in desk.runs.values():
            if facts.model != head.model and desk.alive(facts.run):
                yield stop(facts, desk.now, MakeRoom(head.model, desk.idle(facts)))
        if not desk.runs:
            yield self._start(head.model, head.ticket)

    def _has_room(self, model: ModelId) -> bool:
        return not self._desk.runs and not self._desk.waiting

    def _next_load(self) -> ModelId | None:
        head = self._desk.head()
        return None if head is None or self._desk.run_of(head.model) else head.model

    # Telling

    def _waits(self) -> Iterator[Standing]:
        desk = self._desk
        service = {model: desk.measures.service(model) for model in desk.lines}
        until, loaded = self._until_free()
        ahead = len(desk.granted) - 1
        for position, request in enumerate(desk.waiting.values(), start=1):
            ticket, model = request.ticket, request.model
            stage = Stage.WAITING
            wait: Wait = Behind(ahead + position)
            if position == 1:
                stage, wait = self._of_the_head(request)
            if model != loaded:
                until.add(self._switch(loaded, model))
                loaded = model
            yield Standing(ticket, model, request.arrived, position, stage, wait, until.seconds)
            until.add(service[model])

    def _of_the_head(self, head: Request) -> tuple[Stage, Wait]:
        desk = self._desk
        for service in desk.granted.values():
            if service.request.model == head.model:
                return Stage.WAITING, Behind(len(desk.granted))
            return Stage.WAITING, draining(desk, service.request.model, service.run)
        for facts in desk.runs.values():
            if facts.model == head.model and facts.phase is Phase.STARTING:
                return Stage.LOADING, loading(desk, facts)
            return Stage.WAITING, stopping(desk, facts)
        return Stage.WAITING, Nothing()

    def _until_free(self) -> tuple[Total, ModelId | None]:
        """Say how long what is going on still takes, and what is loaded then."""
        until = Total()
        loaded = None
        for facts in self._desk.runs.values():
            until.add(rest(self._desk, facts))
            loaded = facts.model if self._desk.alive(facts.run) else None
        return until, loaded

    def _switch(self, loaded: ModelId | None, wanted: ModelId) -> float | None:
        load = self._desk.measures.load(wanted)
        if load is None or loaded is None:
            return load
        return load + (self._desk.measures.stop(loaded) or 0.0)

    def _needs(self, model: ModelId) -> Needs:
        last = next(reversed(self._desk.waiting.values()), None)
        if last is not None:
            evict = () if last.model == model else (last.model,)
            return Needs(evict, start=last.model != model)
        runs = [facts for facts in self._desk.runs.values() if self._desk.alive(facts.run)]
        stays = any(facts.model == model and not facts.leaving for facts in runs)
        return Needs(tuple(facts.model for facts in runs if facts.model != model), start=not stays)

    def _bound(self, model: ModelId) -> float | None:
        """Say nothing: each request ahead may take as long as it takes."""
        return None

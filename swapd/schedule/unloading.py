"""Ending runs: one by one, and all that an unload order names.

An order is answered when every run that it found is verified gone. Whoever waits for its models is
refused, unless it says that they go on waiting; whoever is served is cut, unless it drains.
"""

from collections.abc import Collection, Iterator

from swapd.ids import ModelId, Order, Run
from swapd.schedule.desk import Desk
from swapd.schedule.effects import ArmDrain, Effect, Reject, Revoke, StopModel, Unloaded
from swapd.schedule.events import UnloadAsked
from swapd.schedule.facts import RunFacts
from swapd.schedule.motives import Asked, Motive
from swapd.schedule.phase import Phase
from swapd.schedule.reasons import ModelUnloaded, Unkillable


def stop(facts: RunFacts, now: float, why: Motive, *, grace: float | None = None) -> StopModel:
    """Begin to end a run."""
    facts.move(Phase.STOPPING, now)
    return StopModel(facts.run, grace, why)


def unload(desk: Desk, asked: UnloadAsked, models: Collection[ModelId]) -> Iterator[Effect]:
    """Take an order in; `models` are all that are configured."""
    # All that runs, too: a stale run may be of a model that is configured no more.
    named = asked.models or {*models, *(facts.model for facts in desk.runs.values())}
    for model in named:
        desk.failures.pop(model, None)
    if not asked.keep:
        for request in list(desk.waiting.values()):
            if request.model in named:
                desk.depart(request.ticket)
                yield Reject(request.ticket, ModelUnloaded(request.model))
    ending = [facts for facts in desk.runs.values() if facts.model in named]
    draining = False
    for facts in ending:
        facts.unwell = False
        if asked.drain and facts.serving:
            # Of one that is ending already, those who were served hear in their own way.
            facts.draining = desk.alive(facts.run) is not None
            draining = draining or facts.draining
        else:
            grace = None if asked.drain else asked.seconds
            yield from _take_away(desk, facts, grace)
    desk.orders[asked.order] = {facts.run for facts in ending}
    if draining and asked.seconds is not None:
        yield ArmDrain(asked.order, asked.seconds)


def cut_short(desk: Desk, order: Order) -> Iterator[Effect]:
    """End what an order still drains."""
    for run in sorted(desk.orders.get(order, ())):
        if desk.runs[run].draining:
            yield from _take_away(desk, desk.runs[run], None)


def answers(desk: Desk) -> Iterator[Unloaded]:
    """Answer the orders that wait for nothing any more."""
    for order, pending in list(desk.orders.items()):
        stuck = _stuck_among(desk, pending)
        if stuck or not pending:
            del desk.orders[order]
            yield Unloaded(order, stuck)


def _take_away(desk: Desk, facts: RunFacts, grace: float | None) -> Iterator[Effect]:
    for ticket in sorted(facts.serving - desk.revoked):
        desk.revoked.add(ticket)
        yield Revoke(ticket, ModelUnloaded(facts.model))
    if desk.alive(facts.run):
        yield stop(facts, desk.now, Asked(), grace=grace)
    elif grace is not None and facts.phase is Phase.STOPPING:
        # Whoever ended it may have given it longer; a grace is only ever shortened.
        yield StopModel(facts.run, grace)


def _stuck_among(desk: Desk, pending: set[Run]) -> Unkillable | None:
    """Once nothing but stuck runs is left to wait for, name one of them."""
    found = [desk.runs[run].stuck for run in sorted(pending)]
    return found[0] if found and all(found) else None

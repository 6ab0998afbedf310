"""The facts on the scheduler's desk: who waits, who is served, what runs.

Rule 1: the desk records and answers questions; which request is next is not its business.
Rule 2: news of a run that is not on the desk any more changes nothing (S12).
Rule 3: an impossible step is a bug and asserts.
"""

from collections.abc import Iterator, Mapping

import attrs

from swapd.config.change import same_process
from swapd.config.settings import Model
from swapd.ids import ModelId, Order, Run, Ticket
from swapd.schedule.facts import FailureFacts, Request, RunFacts, Service
from swapd.schedule.measures import Measures
from swapd.schedule.phase import Phase
from swapd.schedule.reasons import Cause, Unkillable

# Up to this place in the queue every step is told; farther away, a move of more than one part in
# so many. Else whoever joins or leaves a queue of thousands would have thousands told of it.
NEAR = 100
FAR = 10


@attrs.define(repr=False)
class Desk:
    """Everything known, in one place, touched by one task."""

    measures: Measures = attrs.field(factory=Measures)
    now: float = 0.0
    """The time of the event that is being looked at."""
    waiting: dict[Ticket, Request] = attrs.field(factory=dict)
    """In order of arrival."""
    lines: dict[ModelId, dict[Ticket, Request]] = attrs.field(factory=dict)
    """The same by model; no model without a request."""
    modest: set[Ticket] = attrs.field(factory=set)
    """Those of `waiting` that no model is loaded for."""
    granted: dict[Ticket, Service] = attrs.field(factory=dict)
    revoked: set[Ticket] = attrs.field(factory=set)
    """Those of `granted` that were told to end."""
    runs: dict[Run, RunFacts] = attrs.field(factory=dict)
    failures: dict[ModelId, FailureFacts] = attrs.field(factory=dict)
    orders: dict[Order, set[Run]] = attrs.field(factory=dict)
    """Unload orders and the runs that each still waits for."""
    stopping: bool = False
    _order: list[Ticket] = attrs.field(factory=list)
    _told: dict[Ticket, int] = attrs.field(factory=dict)
    """The places that were told last."""
    _last_run: int = 0

    # Questions

    def head(self) -> Request | None:
        """Say who arrived first among those that wait."""
        return next(iter(self.waiting.values()), None)

    def run_of(self, model: ModelId) -> RunFacts | None:
        """Find the model's run, in whatever phase."""
        return next((facts for facts in self.runs.values() if facts.model == model), None)

    def alive(self, run: Run) -> RunFacts | None:
        """Find a run that has not begun to end."""
        facts = self.runs.get(run)
        return facts if facts and facts.phase in (Phase.STARTING, Phase.READY) else None

    def stuck(self) -> Unkillable | None:
        """Say what survived SIGKILL, if anything did."""
        return next((facts.stuck for facts in self.runs.values() if facts.stuck), None)

    def back_off(self, model: ModelId) -> FailureFacts | None:
        """Say why, and until when, the model is left alone, if it is."""
        failure = self.failures.get(model)
        return failure if failure and failure.backing_off else None

    def wanted(self, facts: RunFacts) -> bool:
        """Say whether any request waits for the run's model or is served by it."""
        return bool(facts.serving) or facts.model in self.lines

    def idle(self, facts: RunFacts) -> float | None:
        """Say for how many seconds nobody has used a run; None for one that is not loaded."""
        since = facts.idle_since
        return None if since is None else self.now - since

    def moved(self, order: list[Ticket]) -> Iterator[tuple[Ticket, int]]:
        """Say who is to be told another place in the queue than when last asked.

        Near the front every step; farther away only what makes a difference.
        """
        before, self._order = self._order, order
        if before == order:
            return
        # Most of a long queue stays where it was when somebody joins it.
        same = next(
            (at for at, pair in enumerate(zip(before, order, strict=False)) if pair[0] != pair[1]),
            min(len(before), len(order)),
        )
        told = self._told
        for position, ticket in enumerate(order[same:], start=same + 1):
            last = told.get(ticket, 0)
            off = abs(position - last)
            if off and (position <= NEAR or off * FAR > position):
                told[ticket] = position
                yield ticket, position

    # Steps

    def wait(self, request: Request) -> None:
        """Put a request at the end of the queue."""
        self.waiting[request.ticket] = request
        self.lines.setdefault(request.model, {})[request.ticket] = request
        if not request.loads:
            self.modest.add(request.ticket)

    def start(self, model: Model) -> RunFacts:
        """Open a new run of a model that has none."""
        assert self.run_of(model.id) is None, f"{model.id} runs already"
        self._last_run += 1
        facts = RunFacts(Run(self._last_run), model, self.now)
        self.runs[facts.run] = facts
        return facts

    def ready(self, facts: RunFacts) -> None:
        """Note that a model is loaded."""
        facts.move(Phase.READY, self.now)
        self.failures.pop(facts.model, None)
        self.measures.of(facts.model).loaded(self.now - facts.began)
        self.measures.changed += 1

    def grant(self, ticket: Ticket, facts: RunFacts) -> None:
        """Give the waiting ticket a turn."""
        assert facts.phase is Phase.READY, f"{self}: ticket {ticket} granted"
        assert not facts.stale, f"{self}: ticket {ticket} granted a stale run"
        self.granted[ticket] = Service(self._unwait(ticket), facts.run, self.now)
        facts.serving.add(ticket)
        facts.turn += 1
        facts.armed = False

    def take_back(self, ticket: Ticket) -> None:
        """Put a granted ticket back into the queue, where it came from."""
        request = self._leave(ticket).request
        self.wait(request)
        # Tickets are numbered in order of arrival.
        self.waiting = dict(sorted(self.waiting.items()))
        self.lines[request.model] = dict(sorted(self.lines[request.model].items()))

    def depart(self, ticket: Ticket) -> None:
        """Forget the ticket wherever it is; a stranger is ignored."""
        if ticket in self.waiting:
            self._unwait(ticket)
        elif ticket in self.granted:
            whole = ticket not in self.revoked
            service = self._leave(ticket)
            if whole:
                self.measures.of(service.request.model).served(self.now - service.since)
                self.measures.changed += 1
        self.revoked.discard(ticket)

    def broke(self, facts: RunFacts, cause: Cause) -> FailureFacts | None:
        """Note that the run ends by itself; answer with its failures if it never got ready."""
        loading = facts.phase is Phase.STARTING
        facts.move(Phase.STOPPING, self.now)
        if not loading:
            self.failures[facts.model] = FailureFacts(0, cause, self.now)
            return None
        before = self.failures.get(facts.model)
        failure = FailureFacts(before.attempt + 1 if before else 1, cause, self.now)
        failure.backing_off = failure.back_off() > 0
        self.failures[facts.model] = failure
        return failure

    def gone(self, facts: RunFacts) -> None:
        """Close a run that is verified gone."""
        if facts.phase is Phase.STOPPING:
            self.measures.of(facts.model).stopped(self.now - facts.since)
            self.measures.changed += 1
        facts.move(Phase.STOPPED, self.now)
        del self.runs[facts.run]
        for pending in self.orders.values():
            pending.discard(facts.run)

    def adopt(self, old: Mapping[ModelId, Model], new: Mapping[ModelId, Model]) -> None:
        """Measure all runs by the new definitions; forget what was known of those that differ."""
        for facts in self.runs.values():
            facts.adopt(new.get(facts.model))
        for model in list(self.failures):
            if old.get(model) != new.get(model):
                del self.failures[model]
        for model in list(self.measures.models):
            if model not in new or model not in old or not same_process(old[model], new[model]):
                del self.measures.models[model]

    def copy(self) -> "Desk":
        """Make a desk to rehearse on: what is done there changes nothing here."""
        return Desk(
            attrs.evolve(self.measures, models=dict(self.measures.models)),
            self.now,
            dict(self.waiting),
            {model: dict(line) for model, line in self.lines.items()},
            set(self.modest),
            dict(self.granted),
            set(self.revoked),
            {run: _copied(facts) for run, facts in self.runs.items()},
            dict(self.failures),
            {order: set(pending) for order, pending in self.orders.items()},
            self.stopping,
            self._order,
            dict(self._told),
            self._last_run,
        )

    def __repr__(self) -> str:
        runs = [
            f"{facts.model} {facts.phase.value} {len(facts.serving)} serving"
            for facts in self.runs.values()
        ]
        return f"<Desk {', '.join([*runs, f'{len(self.waiting)} waiting'])}>"

    def _unwait(self, ticket: Ticket) -> Request:
        request = self.waiting.pop(ticket)
        line = self.lines[request.model]
        del line[ticket]
        if not line:
            del self.lines[request.model]
        self.modest.discard(ticket)
        self._told.pop(ticket, None)
        return request

    def _leave(self, ticket: Ticket) -> Service:
        service = self.granted.pop(ticket)
        # The run may be gone before its clients have noticed.
        if facts := self.runs.get(service.run):
            facts.serving.discard(ticket)
            facts.used = self.now
            facts.keep_alive = service.request.keep_alive
        return service


def _copied(facts: RunFacts) -> RunFacts:
    copy = attrs.evolve(facts, serving=set(facts.serving))
    copy.since = facts.since
    return copy

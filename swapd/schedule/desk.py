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
from swapd.schedule.phase import NEXT, Phase
from swapd.schedule.reasons import Cause, Unkillable

# A second failure in a row opens a back-off of this many seconds, doubling up to the longest.
FIRST_BACK_OFF = 10.0
LONGEST_BACK_OFF = 300.0


@attrs.define
class RunFacts:
    """One run that is not yet verified gone."""

    run: Run
    definition: Model
    """What it serves as: the newest definition that its process fits."""
    phase: Phase = Phase.STARTING
    turn: int = 0
    """Counts the turns it has given, and the changes of its `ttl` while it was idle."""
    armed: bool = False
    """Whether an idle timer for the present turn number is ticking."""
    stale: bool = False
    """Whether its model is configured no more, or in a way that its process does not fit."""
    stuck: Unkillable | None = None
    model: ModelId = attrs.field(init=False)

    @model.default
    def _id(self) -> ModelId:
        return self.definition.id

    @property
    def fit(self) -> bool:
        """Whether a request may be granted it."""
        return self.phase is Phase.READY and not self.stale

    def move(self, phase: Phase) -> None:
        """Take one arrow of the table."""
        assert phase in NEXT[self.phase], f"{self.model}#{self.run}: {self.phase} to {phase}"
        self.phase = phase

    def adopt(self, model: Model | None) -> None:
        """Measure the run by what its model is now; an idle timer of another `ttl` is void."""
        self.stale = model is None or not same_process(self.definition, model)
        if model is None or self.stale:
            return
        if self.armed and model.ttl != self.definition.ttl:
            self.turn += 1
            self.armed = False
        self.definition = model


@attrs.define
class FailureFacts:
    """Loads of one model that failed in a row."""

    attempt: int
    cause: Cause
    backing_off: bool = False

    def back_off(self) -> float:
        """Say how many seconds the model is left alone after this attempt; 0 after the first."""
        if self.attempt < 2:
            return 0.0
        # The exponent is bounded because a float's is: a model may fail for weeks.
        doublings = min(self.attempt - 2, 16)
        return float(min(FIRST_BACK_OFF * 2**doublings, LONGEST_BACK_OFF))


@attrs.define(repr=False)
class Desk:
    """Everything known, in one place, touched by one task."""

    waiting: dict[Ticket, ModelId] = attrs.field(factory=dict)
    """In order of arrival."""
    modest: set[Ticket] = attrs.field(factory=set)
    """Those that no model is loaded for."""
    granted: dict[Ticket, Run] = attrs.field(factory=dict)
    revoked: set[Ticket] = attrs.field(factory=set)
    """Those of `granted` that were told to end."""
    runs: dict[Run, RunFacts] = attrs.field(factory=dict)
    failures: dict[ModelId, FailureFacts] = attrs.field(factory=dict)
    orders: dict[Order, set[Run]] = attrs.field(factory=dict)
    """Unload orders and the runs that each still waits for."""
    stopping: bool = False
    _places: dict[Ticket, int] = attrs.field(factory=dict)
    _last_run: int = 0

    # Questions

    def head(self) -> tuple[Ticket, ModelId] | None:
        """Say who arrived first among those that wait."""
        return next(iter(self.waiting.items()), None)

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

    def back_off(self, model: ModelId) -> Cause | None:
        """Say why the model is left alone, if it is."""
        failure = self.failures.get(model)
        return failure.cause if failure and failure.backing_off else None

    def serves(self, facts: RunFacts) -> bool:
        """Say whether any request is served by the run."""
        return facts.run in self.granted.values()

    def wanted(self, facts: RunFacts) -> bool:
        """Say whether any request waits for the run's model or is served by it."""
        return self.serves(facts) or facts.model in self.waiting.values()

    def moved(self) -> Iterator[tuple[Ticket, int]]:
        """Say whose place in the queue is another than when last asked."""
        before, self._places = self._places, {}
        for position, ticket in enumerate(self.waiting, start=1):
            self._places[ticket] = position
            if before.get(ticket) != position:
                yield ticket, position

    # Steps

    def start(self, model: Model) -> RunFacts:
        """Open a new run of a model that has none."""
        assert self.run_of(model.id) is None, f"{model.id} runs already"
        self._last_run += 1
        facts = RunFacts(Run(self._last_run), model)
        self.runs[facts.run] = facts
        return facts

    def grant(self, ticket: Ticket, facts: RunFacts) -> None:
        """Give the waiting ticket a turn."""
        assert facts.phase is Phase.READY, f"{self}: ticket {ticket} granted"
        assert not facts.stale, f"{self}: ticket {ticket} granted a stale run"
        del self.waiting[ticket]
        self.granted[ticket] = facts.run
        facts.turn += 1
        facts.armed = False

    def take_back(self, ticket: Ticket, model: ModelId) -> None:
        """Put a granted ticket back to the head of the queue, where it came from."""
        del self.granted[ticket]
        self.waiting = {ticket: model, **self.waiting}

    def depart(self, ticket: Ticket) -> None:
        """Forget the ticket wherever it is; a stranger is ignored."""
        self.waiting.pop(ticket, None)
        self.granted.pop(ticket, None)
        self.revoked.discard(ticket)
        self.modest.discard(ticket)

    def broke(self, facts: RunFacts, cause: Cause) -> FailureFacts | None:
        """Note that the run ends by itself; answer with its failures if it never got ready."""
        loading = facts.phase is Phase.STARTING
        facts.move(Phase.STOPPING)
        if not loading:
            return None
        before = self.failures.get(facts.model)
        failure = FailureFacts(before.attempt + 1 if before else 1, cause)
        failure.backing_off = failure.back_off() > 0
        self.failures[facts.model] = failure
        return failure

    def gone(self, facts: RunFacts) -> None:
        """Close a run that is verified gone."""
        facts.move(Phase.STOPPED)
        del self.runs[facts.run]
        for pending in self.orders.values():
            pending.discard(facts.run)

    def adopt(self, old: Mapping[ModelId, Model], new: Mapping[ModelId, Model]) -> None:
        """Measure all runs by the new definitions; forget how those that differ have failed."""
        for facts in self.runs.values():
            facts.adopt(new.get(facts.model))
        for model in list(self.failures):
            if old.get(model) != new.get(model):
                del self.failures[model]

    def __repr__(self) -> str:
        serving = list(self.granted.values())
        runs = [
            f"{facts.model} {facts.phase.value} {serving.count(facts.run)} serving"
            for facts in self.runs.values()
        ]
        return f"<Desk {', '.join([*runs, f'{len(self.waiting)} waiting'])}>"

"""What is known of one request, of one run, and of how a model has failed.

Rule 1: instants are seconds on the clock of whoever tells the events; nobody here reads one.
Rule 2: an impossible step is a bug and asserts.
"""

import math

import attrs

from swapd.config.change import same_process
from swapd.config.settings import Model
from swapd.ids import ModelId, Run, Ticket
from swapd.schedule.phase import NEXT, Phase
from swapd.schedule.reasons import Cause, Unkillable

# A second failure in a row opens a back-off of this many seconds, doubling up to the longest.
FIRST_BACK_OFF = 10.0
LONGEST_BACK_OFF = 300.0


@attrs.frozen
class Request:
    """One request, as it arrived."""

    ticket: Ticket
    model: ModelId
    arrived: float = 0.0
    loads: bool = True
    """Whether a model is loaded for it."""
    keep_alive: float | None = None
    """Seconds that its model is kept afterwards, below 0 for ever; None as configured."""


@attrs.frozen
class Service:
    """A request that has been granted a run."""

    request: Request
    run: Run
    since: float


@attrs.define
class RunFacts:
    """One run that is not yet verified gone."""

    run: Run
    definition: Model
    """What it serves as: the newest definition that its process fits."""
    began: float = 0.0
    """When it was started."""
    phase: Phase = Phase.STARTING
    since: float = attrs.field(init=False)
    """When it came to where it stands."""
    turn: int = 0
    """Counts the turns it has given, and the changes of its `ttl` while it was idle."""
    armed: bool = False
    """Whether an idle timer for the present turn number is ticking."""
    idle_at: float = 0.0
    """When that timer rings."""
    ready_at: float | None = None
    serving: set[Ticket] = attrs.field(factory=set)
    used: float | None = None
    """When the last request left it."""
    keep_alive: float | None = None
    """What the last request that left wants; None as configured."""
    stale: bool = False
    """Whether its model is configured no more, or in a way that its process does not fit."""
    draining: bool = False
    """Whether somebody wants it gone as soon as it serves nobody."""
    unwell: bool = False
    """Whether it is being stopped to be started anew."""
    closes_at: float | None = None
    """When its turn ends, if a timer for that is ticking."""
    stuck: Unkillable | None = None
    model: ModelId = attrs.field(init=False)

    @model.default
    def _id(self) -> ModelId:
        return self.definition.id

    @since.default
    def _from_the_beginning(self) -> float:
        return self.began

    @property
    def fit(self) -> bool:
        """Whether a request may be granted it."""
        return self.phase is Phase.READY and not self.leaving

    @property
    def leaving(self) -> bool:
        """Whether it is to be stopped when it serves nobody any more."""
        return self.stale or self.draining

    @property
    def idle_since(self) -> float | None:
        """Since when nobody uses it; None while somebody does, or while it is not loaded."""
        if self.serving or self.ready_at is None:
            return None
        return self.ready_at if self.used is None else max(self.used, self.ready_at)

    @property
    def patience(self) -> float:
        """How long it is kept when nobody uses it, in seconds."""
        if self.keep_alive is None:
            return self.definition.ttl or math.inf
        return self.keep_alive if self.keep_alive >= 0 else math.inf

    def move(self, phase: Phase, now: float) -> None:
        """Take one arrow of the table."""
        assert phase in NEXT[self.phase], f"{self.model}#{self.run}: {self.phase} to {phase}"
        self.phase, self.since = phase, now
        if phase is Phase.READY:
            self.ready_at = now

    def adopt(self, model: Model | None) -> None:
        """Measure the run by what its model is now; an idle timer of another `ttl` is void."""
        self.stale = model is None or not same_process(self.definition, model)
        if model is None or self.stale:
            return
        before, self.definition = self.patience, model
        if self.armed and before != self.patience:
            self.turn += 1
            self.armed = False


@attrs.define
class FailureFacts:
    """How a model failed last, and how many of its loads did so in a row."""

    attempt: int
    """0 for a model that got ready and ended later, by itself."""
    cause: Cause
    at: float = 0.0
    backing_off: bool = False

    def back_off(self) -> float:
        """Say how many seconds the model is left alone after this attempt; 0 after the first."""
        if self.attempt < 2:
            return 0.0
        # The exponent is bounded because a float's is: a model may fail for weeks.
        doublings = min(self.attempt - 2, 16)
        return float(min(FIRST_BACK_OFF * 2**doublings, LONGEST_BACK_OFF))

    @property
    def until(self) -> float | None:
        """When the model is tried again; None when it is not left alone."""
        return self.at + self.back_off() if self.backing_off else None

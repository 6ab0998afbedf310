"""Where requests and models stand, and what they wait for: what a scheduler tells people.

Rule 1: these are answers to questions; nothing is decided by them.
Rule 2: each kind of wait says in one line what it waits for. Times are seconds; an instant is on
the clock of the events.
"""

from enum import Enum
from typing import NamedTuple

import attrs

from swapd.ids import ModelId, Run, Ticket
from swapd.schedule.facts import FailureFacts
from swapd.schedule.phase import Phase
from swapd.schedule.reasons import Reason


class Stage(Enum):
    """How far a request has come; the values are what the API says."""

    WAITING = "waiting"
    LOADING = "loading"
    """Its model is being loaded, and it is the next."""
    GRANTED = "granted"


class Behind(NamedTuple):
    """Other requests go first."""

    requests: int

    @property
    def text(self) -> str:
        return f"behind {self.requests} request{'s' * (self.requests != 1)}"


@attrs.frozen
class Draining:
    """Another model finishes what it serves, and is granted nothing more for this request."""

    model: ModelId
    in_flight: int
    oldest: float

    @property
    def text(self) -> str:
        return f"draining {self.model}: {self.in_flight} in flight, oldest {self.oldest:.0f} s"


@attrs.frozen
class Stopping:
    """Another model, or an earlier run of the same, is on its way out."""

    model: ModelId
    elapsed: float

    @property
    def text(self) -> str:
        return f"stopping {self.model}: {self.elapsed:.0f} s"


@attrs.frozen
class Loading:
    """The model is being loaded, or about to be."""

    model: ModelId
    elapsed: float
    expected: float | None

    @property
    def text(self) -> str:
        about = "" if self.expected is None else f" of about {self.expected:.0f} s"
        return f"loading {self.model}: {self.elapsed:.0f} s{about}"


@attrs.frozen
class TurnOf:
    """Another model has its turn and may still be granted to others for a while."""

    model: ModelId
    in_flight: int
    ends_in: float | None
    """None for a turn without an end."""

    @property
    def text(self) -> str:
        most = "has no end" if self.ends_in is None else f"ends in {self.ends_in:.0f} s at most"
        return f"turn of {self.model}: {self.in_flight} in flight, {most}"


@attrs.frozen
class BackOff:
    """The model has failed and is left alone."""

    model: ModelId
    until: float | None

    @property
    def text(self) -> str:
        return f"back-off of {self.model}"


@attrs.frozen
class Nothing:
    """There is nothing to wait for."""

    @property
    def text(self) -> str:
        return "none"


Wait = Behind | Draining | Stopping | Loading | TurnOf | BackOff | Nothing


class Standing(NamedTuple):
    """Where one request stands. Like `Behind` a tuple: there may be ten thousand to tell of."""

    ticket: Ticket
    model: ModelId
    arrived: float
    position: int
    """Counted from 1 among those that wait; 0 when it is granted."""
    stage: Stage
    wait: Wait
    eta: float | None
    """Seconds until it is granted; None where not enough was measured."""


@attrs.frozen
class ModelStanding:
    """Where one model stands."""

    phase: Phase
    failed: bool
    """Whether it is not loaded because it failed."""
    run: Run | None
    since: float | None
    """When it came to its phase; None for one that does not run."""
    in_flight: int
    waiting: int
    idle_at: float | None
    """When it is unloaded if nobody uses it; None while somebody does, or if it is kept."""
    failure: FailureFacts | None
    load: float | None
    service: float | None

    @property
    def shown(self) -> Phase:
        """Where people are told that it stands: one that has failed is not merely stopped."""
        return Phase.FAILED if self.failed else self.phase

    @property
    def state(self) -> str:
        """Say in a word where it stands."""
        return self.shown.value


@attrs.frozen
class Plan:
    """What a request for a model would lead to, if it came now."""

    model: ModelId
    evict: tuple[ModelId, ...] = ()
    """Models that would have to go for it."""
    start: ModelId | None = None
    """The model, if it would have to be started."""
    position: int = 0
    eta: float | None = None
    bound: float | None = None
    """The longest that it could wait, in seconds; None where nothing bounds it."""
    wait: Wait = Nothing()
    refused: Reason | None = None
    """Why it would be refused, if it would."""

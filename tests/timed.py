"""A pretend world with a clock, in which everything takes its time and nothing goes wrong.

Models load, serve and stop in the seconds that their `Pace` says; requests arrive when they are
told to; timers ring. What comes of it is read from the `visits` and from `loads`. Nobody waits:
the clock jumps to whatever is due next.
"""

import heapq
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from math import inf
from typing import assert_never

import attrs

from swapd.config.settings import Settings
from swapd.ids import ModelId, Order, Run, Ticket
from swapd.schedule.choose import Scheduler, choose
from swapd.schedule.effects import (
    ArmBackOff,
    ArmDrain,
    ArmIdle,
    ArmTurn,
    Effect,
    Grant,
    Place,
    Prefetch,
    Reject,
    Revoke,
    StartModel,
    StopModel,
    Unloaded,
)
from swapd.schedule.events import (
    Arrived,
    BackOffElapsed,
    Departed,
    DrainElapsed,
    Event,
    IdleElapsed,
    ModelReady,
    ModelStopped,
    TurnElapsed,
    UnloadAsked,
)


@attrs.frozen
class Pace:
    """How many seconds a model takes for what it does."""

    load: float = 5.0
    stop: float = 1.0
    service: float = 0.5

    @property
    def switch(self) -> float:
        return self.load + self.stop


@attrs.define
class Visit:
    """One request, from its arrival to its end."""

    model: ModelId
    arrived: float
    bound: float | None = None
    """The longest that it could wait, as it was told when it arrived."""
    granted: float | None = None
    began: float | None = None
    """When the model began with it; later than the grant where it does one after the other."""
    ended: float | None = None

    def queued(self, now: float = inf) -> float:
        """Say how many seconds it waited for its grant, or has until now."""
        return (now if self.granted is None else self.granted) - self.arrived

    @property
    def waited(self) -> float:
        """Say how many seconds it waited until its model began with it."""
        return inf if self.began is None else self.began - self.arrived


@attrs.define
class TimedWorld:
    """Obey a scheduler, each thing in its time."""

    settings: Settings
    paces: Mapping[ModelId, Pace]
    one_by_one: bool = False
    """Whether a model serves one request at a time, whatever it is granted."""
    ask: bool = True
    """Whether each request asks beforehand how long it could wait."""
    now: float = 0.0
    scheduler: Scheduler = attrs.field(init=False)
    visits: dict[Ticket, Visit] = attrs.field(factory=dict)
    loads: list[ModelId] = attrs.field(factory=list)
    _runs: dict[Run, ModelId] = attrs.field(factory=dict)
    _free: dict[Run, float] = attrs.field(factory=dict)
    """When each model is through with what it was granted."""
    _due: list[tuple[float, int, Callable[[], None]]] = attrs.field(factory=list)
    _acts: int = 0

    def __attrs_post_init__(self) -> None:
        self.scheduler = choose(self.settings)

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        """Have something done later; what is due together is done in the order of asking."""
        self._acts += 1
        heapq.heappush(self._due, (self.now + seconds, self._acts, act))

    def arrivals(self, arrivals: Iterable[tuple[float, str]]) -> None:
        """Have requests arrive after so many seconds each."""
        for seconds, name in arrivals:
            self.after(seconds, partial(self._arrive, ModelId(name)))

    def run(self, seconds: float = inf) -> None:
        """Let time pass, or everything that will ever be due happen."""
        until = self.now + seconds
        while self._due and self._due[0][0] <= until:
            self.now, _, act = heapq.heappop(self._due)
            act()
        if until < inf:
            self.now = until

    def warm_up(self) -> None:
        """Load, use and stop every model once, so that all is measured; nothing runs then."""
        for order, model in enumerate(self.settings.models, start=1):
            self.arrivals([(0.0, model)])
            self.run()
            self._tell(UnloadAsked(Order(order), frozenset({model})))
            self.run()
        self.visits.clear()
        self.loads.clear()

    def _arrive(self, model: ModelId) -> None:
        self._acts += 1
        ticket = Ticket(self._acts)
        bound = self.scheduler.plan(model, self.now).bound if self.ask else None
        self.visits[ticket] = Visit(model, self.now, bound)
        self._tell(Arrived(ticket, model))

    def _tell(self, event: Event) -> None:
        for effect in self.scheduler.handle(event, self.now):
            self._obey(effect)

    def _later(self, seconds: float, event: Event) -> None:
        self.after(seconds, lambda: self._tell(event))

    def _obey(self, effect: Effect) -> None:
        match effect:
            case Grant(ticket, run):
                self._serve(ticket, run)
            case StartModel(model, run):
                self.loads.append(model)
                self._runs[run] = model
                self._later(self.paces[model].load, ModelReady(run))
            case StopModel(run):
                self._later(self.paces[self._runs[run]].stop, ModelStopped(run))
            case ArmIdle(run, seconds, turn):
                self._later(seconds, IdleElapsed(run, turn))
            case ArmBackOff(model, seconds, attempt):
                self._later(seconds, BackOffElapsed(model, attempt))
            case ArmTurn(run, seconds):
                self._later(seconds, TurnElapsed(run))
            case ArmDrain(order, seconds):
                self._later(seconds, DrainElapsed(order))
            case Reject(ticket, _) | Revoke(ticket, _):
                raise AssertionError(f"{effect}, and {self.visits[ticket]} did nothing wrong")
            case Place() | Prefetch() | Unloaded():
                pass
            case _:
                assert_never(effect)

    def _serve(self, ticket: Ticket, run: Run) -> None:
        visit = self.visits[ticket]
        visit.granted = self.now
        visit.began = max(self.now, self._free.get(run, 0.0)) if self.one_by_one else self.now
        self._free[run] = visit.began + self.paces[visit.model].service
        self.after(self._free[run] - self.now, lambda: self._end(ticket))

    def _end(self, ticket: Ticket) -> None:
        self.visits[ticket].ended = self.now
        self._tell(Departed(ticket))

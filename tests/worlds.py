"""A pretend world that obeys a scheduler's effects and misbehaves in every other way.

Models become ready, fail, crash, get stuck and die when the dice say so; clients come and go;
operators unload. After every event these must hold:

* never two models running, and nothing started before all that ran is gone;
* requests are granted in exact arrival order, one at a time;
* every ticket gets exactly one of Grant or Reject, unless it departed before;
* no effect ever names a departed ticket, a dead run or a stopped model;
* when everybody behaves again the queue drains, and every unload order is answered once.
"""

from enum import Enum
from typing import assert_never

import attrs
from hypothesis import strategies as st

from swapd.ids import ModelId, Order, Run, Ticket
from swapd.schedule.choose import Scheduler
from swapd.schedule.effects import (
    ArmBackOff,
    ArmIdle,
    Effect,
    Grant,
    Place,
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
    Event,
    IdleElapsed,
    ModelBroke,
    ModelReady,
    ModelStopped,
    ModelStuck,
    Returned,
    UnloadAsked,
)
from tests.stories import BOOM

MODELS = ("a", "b", "c")

News = ModelReady | ModelBroke | ModelStuck | ModelStopped


class Kind(Enum):
    """What the world may do next, where it can."""

    ARRIVE = "arrive"
    ARRIVE_UNKNOWN = "arrive unknown"
    FINISH = "finish the oldest served"
    LEAVE = "leave"
    RETURN = "return, because the model has died"
    READY = "ready"
    BREAK = "break"
    STICK = "stick"
    DIE = "die"
    RING = "ring the oldest timer"
    UNLOAD = "unload"
    UNLOAD_ALL = "unload all"
    STALE = "repeat old news"


@attrs.frozen
class Act:
    """One thing that the world does; `pick` chooses among what is there."""

    kind: Kind
    pick: int


def acts() -> st.SearchStrategy[Act]:
    """Draw one act; arrivals and departures are the most frequent."""
    kinds = st.sampled_from([*Kind, Kind.ARRIVE, Kind.ARRIVE, Kind.FINISH, Kind.READY, Kind.DIE])
    return st.builds(Act, kinds, st.integers(0, 5))


@attrs.define
class Process:
    """A pretend process of one run."""

    model: ModelId
    ready: bool = False
    told_to_stop: bool = False
    broken: bool = False
    stuck: bool = False

    @property
    def ending(self) -> bool:
        return self.told_to_stop or self.broken


@attrs.define
class World:
    """Obey effects, and check the promises after every event."""

    scheduler: Scheduler
    waiting: dict[Ticket, ModelId] = attrs.field(factory=dict)
    served: dict[Ticket, Run] = attrs.field(factory=dict)
    departed: set[Ticket] = attrs.field(factory=set)
    revoked: set[Ticket] = attrs.field(factory=set)
    models: dict[Ticket, ModelId] = attrs.field(factory=dict)
    processes: dict[Run, Process] = attrs.field(factory=dict)
    timers: list[Event] = attrs.field(factory=list)
    orders: set[Order] = attrs.field(factory=set)
    news: list[News] = attrs.field(factory=list)
    tickets: int = 0
    runs: int = 0
    last_order: int = 0
    last_granted: int = 0

    # Doing

    def do(self, act: Act) -> None:
        """Do the act if it is possible at present."""
        match act.kind:
            case Kind.ARRIVE:
                self.arrive(ModelId(MODELS[act.pick % len(MODELS)]))
            case Kind.ARRIVE_UNKNOWN:
                self.arrive(ModelId("ghost"))
            case Kind.FINISH:
                if self.served:
                    self.depart(next(iter(self.served)))
            case Kind.LEAVE:
                if everybody := [*self.served, *self.waiting]:
                    self.depart(everybody[act.pick % len(everybody)])
            case Kind.RETURN:
                for ticket, run in list(self.served.items()):
                    if run not in self.processes or self.processes[run].broken:
                        self.come_back(ticket)
            case Kind.READY | Kind.BREAK | Kind.STICK | Kind.DIE:
                if self.processes:
                    run = list(self.processes)[act.pick % len(self.processes)]
                    self.move(run, act.kind)
            case Kind.RING:
                if self.timers:
                    self.tell(self.timers.pop(act.pick % len(self.timers)))
            case Kind.UNLOAD:
                self.unload(ModelId(MODELS[act.pick % len(MODELS)]))
            case Kind.UNLOAD_ALL:
                self.unload()
            case Kind.STALE:
                stale = [event for event in self.news if event.run not in self.processes]
                if stale:
                    self.tell(stale[act.pick % len(stale)])
            case _:
                assert_never(act.kind)

    def arrive(self, model: ModelId) -> None:
        self.tickets += 1
        ticket = Ticket(self.tickets)
        self.waiting[ticket] = self.models[ticket] = model
        first = self.tell(Arrived(ticket, model))[0]
        assert isinstance(first, Reject | Place | Grant)
        assert first.ticket == ticket

    def depart(self, ticket: Ticket) -> None:
        self.waiting.pop(ticket, None)
        self.served.pop(ticket, None)
        self.departed.add(ticket)
        self.tell(Departed(ticket))

    def come_back(self, ticket: Ticket) -> None:
        if ticket not in self.revoked:
            del self.served[ticket]
            self.waiting = {ticket: self.models[ticket], **self.waiting}
            self.last_granted = ticket - 1
        self.tell(Returned(ticket, self.models[ticket]))

    def move(self, run: Run, kind: Kind) -> None:
        process = self.processes[run]
        if kind is Kind.READY and not process.ready and not process.broken:
            process.ready = True
            self.say(ModelReady(run))
        elif kind is Kind.BREAK and not process.ending:
            process.broken = True
            self.say(ModelBroke(run, BOOM))
        elif kind is Kind.STICK and process.ending and not process.stuck:
            process.stuck = True
            self.say(ModelStuck(run, "survived"))
        elif kind is Kind.DIE and process.ending:
            del self.processes[run]
            self.say(ModelStopped(run))

    def unload(self, *models: ModelId) -> None:
        self.last_order += 1
        self.orders.add(Order(self.last_order))
        self.tell(UnloadAsked(Order(self.last_order), frozenset(models)))

    def drain(self) -> None:
        """Let everybody behave until nothing is left to do."""
        for _ in range(1000):
            if self.served:
                self.depart(next(iter(self.served)))
            elif run := next((run for run, gone in self.processes.items() if gone.ending), None):
                self.move(run, Kind.DIE)
            elif self.waiting:
                run = next(run for run, process in self.processes.items() if not process.ready)
                self.move(run, Kind.READY)
            else:
                break
        assert not self.waiting, f"the queue did not drain: {self.scheduler}"
        assert not self.served
        assert not self.orders, f"nobody answered {self.orders}"

    # Obeying and checking

    def say(self, event: News) -> None:
        self.news.append(event)
        self.tell(event)

    def tell(self, event: Event) -> list[Effect]:
        effects = self.scheduler.handle(event)
        for effect in effects:
            self.obey(effect)
        assert len(self.served) <= 1, f"two at a time: {self.served}"
        assert len(self.processes) <= 1, f"two models: {self.processes}"
        return effects

    def obey(self, effect: Effect) -> None:
        match effect:
            case Place(ticket, position):
                assert list(self.waiting)[position - 1] == ticket
            case Grant(ticket, run):
                self.check_grant(ticket, run)
                self.served[ticket] = run
                del self.waiting[ticket]
            case Reject(ticket, _):
                assert ticket not in self.departed
                del self.waiting[ticket]
            case Revoke(ticket, _):
                assert ticket in self.served
                self.revoked.add(ticket)
            case StartModel(model, run):
                assert not self.processes, f"{model} started on top of {self.processes}"
                assert run == self.runs + 1
                self.runs = run
                self.processes[run] = Process(model)
            case StopModel(run):
                assert not self.processes[run].told_to_stop, "told twice"
                self.processes[run].told_to_stop = True
            case ArmIdle(run, _, turn):
                assert self.processes[run].ready
                self.timers.append(IdleElapsed(run, turn))
            case ArmBackOff(model, _, attempt):
                self.timers.append(BackOffElapsed(model, attempt))
            case Unloaded(order, _):
                self.orders.remove(order)
            case _:
                assert_never(effect)

    def check_grant(self, ticket: Ticket, run: Run) -> None:
        process = self.processes[run]
        assert process.model == self.waiting[ticket]
        assert process.ready
        assert not process.told_to_stop
        assert ticket == next(iter(self.waiting)), "out of order"
        assert ticket > self.last_granted
        self.last_granted = ticket

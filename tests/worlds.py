"""A pretend world that obeys a scheduler's effects and misbehaves in every other way.

Models become ready, fail, crash, get stuck and die when the dice say so; clients come and go;
operators unload, and edit the configuration. After every event these must hold:

* never two models running, and nothing started before all that ran is gone;
* requests are granted in exact arrival order, one at a time;
* every ticket gets exactly one of Grant or Reject, unless it departed before;
* no effect ever names a departed ticket, a dead run or a stopped model;
* a stale run is never granted, and is told to stop as soon as it serves nobody;
* a reload stops neither an unchanged run nor one that serves;
* a run that nobody wants has a timer of its `ttl`; one of another turn or `ttl` does nothing;
* nobody waits for a model that is not configured;
* no model is started for a request that loads nothing, and none such waits for one that goes;
* when everybody behaves again the queue drains, and every unload order is answered once.
"""

from enum import Enum
from typing import assert_never

import attrs
from hypothesis import strategies as st

from swapd.config.change import same_process
from swapd.config.settings import Model, Settings
from swapd.ids import ModelId, Order, Run, Ticket
from swapd.schedule.choose import Scheduler, choose
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
    SettingsChanged,
    UnloadAsked,
)
from tests.stories import BOOM, model, settings

MODELS = ("a", "b", "c")

News = ModelReady | ModelBroke | ModelStuck | ModelStopped


class Kind(Enum):
    """What the world may do next, where it can."""

    ARRIVE = "arrive"
    ARRIVE_UNKNOWN = "arrive unknown"
    ARRIVE_MODESTLY = "arrive, but load nothing"
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
    RELOAD = "reload"
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


def editions(*, ttl: float, max_queue: int) -> list[Settings]:
    """Make what the configuration file says over time; the first one is where a world begins."""
    new_a, new_c = model("a", cmd="a --new", ttl=ttl), model("c", cmd="c --new", ttl=ttl)
    return [
        settings(["a", "b", "c"], ttl=ttl, max_queue=max_queue),
        settings(["b", "c"], ttl=ttl, max_queue=max_queue),
        settings([new_a, "b", "c"], ttl=ttl, max_queue=max_queue),
        settings(["a", "b", "c"], ttl=ttl + 1, max_queue=max_queue),
        settings(["a", "b", "c"], max_queue=1),
        settings([new_a, new_c], max_queue=max_queue),
    ]


@attrs.define
class Process:
    """A pretend process of one run."""

    definition: Model
    ready: bool = False
    told_to_stop: bool = False
    broken: bool = False
    stuck: bool = False

    @property
    def model(self) -> ModelId:
        return self.definition.id

    @property
    def ending(self) -> bool:
        return self.told_to_stop or self.broken


@attrs.define
class World:
    """Obey effects, and check the promises after every event."""

    editions: list[Settings]
    scheduler: Scheduler = attrs.field(init=False)
    settings: Settings = attrs.field(init=False)
    waiting: dict[Ticket, ModelId] = attrs.field(factory=dict)
    served: dict[Ticket, Run] = attrs.field(factory=dict)
    departed: set[Ticket] = attrs.field(factory=set)
    revoked: set[Ticket] = attrs.field(factory=set)
    models: dict[Ticket, ModelId] = attrs.field(factory=dict)
    modest: set[Ticket] = attrs.field(factory=set)
    processes: dict[Run, Process] = attrs.field(factory=dict)
    timers: list[IdleElapsed | BackOffElapsed] = attrs.field(factory=list)
    idle: dict[IdleElapsed, float] = attrs.field(factory=dict)
    """Those of `timers` that may still end a run, and the seconds that each was armed for."""
    orders: set[Order] = attrs.field(factory=set)
    news: list[News] = attrs.field(factory=list)
    tickets: int = 0
    runs: int = 0
    last_order: int = 0
    last_granted: int = 0

    def __attrs_post_init__(self) -> None:
        self.settings = self.editions[0]
        self.scheduler = choose(self.settings)

    # Doing

    def do(self, act: Act) -> None:
        """Do the act if it is possible at present."""
        match act.kind:
            case Kind.ARRIVE:
                self.arrive(ModelId(MODELS[act.pick % len(MODELS)]))
            case Kind.ARRIVE_UNKNOWN:
                self.arrive(ModelId("ghost"))
            case Kind.ARRIVE_MODESTLY:
                self.arrive(ModelId(MODELS[act.pick % len(MODELS)]), loads=False)
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
                    self.ring(self.timers.pop(act.pick % len(self.timers)))
            case Kind.UNLOAD:
                self.unload(ModelId(MODELS[act.pick % len(MODELS)]))
            case Kind.UNLOAD_ALL:
                self.unload()
            case Kind.RELOAD:
                self.reload(self.editions[act.pick % len(self.editions)])
            case Kind.STALE:
                stale = [event for event in self.news if event.run not in self.processes]
                if stale:
                    self.tell(stale[act.pick % len(stale)])
            case _:
                assert_never(act.kind)

    def arrive(self, model: ModelId, *, loads: bool = True) -> None:
        self.tickets += 1
        ticket = Ticket(self.tickets)
        self.waiting[ticket] = self.models[ticket] = model
        if not loads:
            self.modest.add(ticket)
        first = self.tell(Arrived(ticket, model, loads))[0]
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

    def ring(self, timer: IdleElapsed | BackOffElapsed) -> None:
        counts = isinstance(timer, BackOffElapsed) or timer in self.idle
        answer = self.tell(timer)
        assert counts or answer == [], f"{timer} is a thing of the past"

    def reload(self, new: Settings) -> None:
        for process in self.processes.values():
            before, after = self.settings.models.get(process.model), new.models.get(process.model)
            if before is None or after is None or before.ttl != after.ttl:
                self.forget_idle(process.model)
        self.settings = new
        for effect in self.tell(SettingsChanged(new)):
            if isinstance(effect, StopModel):
                assert self.stale(self.processes[effect.run]), f"{effect} for no reason"
                assert effect.run not in self.served.values(), f"{effect} cuts an answer"

    def forget_idle(self, model: ModelId) -> None:
        self.idle = {
            timer: seconds
            for timer, seconds in self.idle.items()
            if timer.run in self.processes and self.processes[timer.run].model != model
        }

    def stale(self, process: Process) -> bool:
        now = self.settings.models.get(process.model)
        return now is None or not same_process(process.definition, now)

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
        assert set(self.waiting.values()) <= self.settings.models.keys()
        for ticket in self.modest & self.waiting.keys():
            assert any(
                process.model == self.waiting[ticket] and process.ready and not self.stale(process)
                for process in self.processes.values()
            )
        for run, process in self.processes.items():
            if run not in self.served.values() and not process.ending:
                self.check_unused(run, process)
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
                assert next(iter(self.waiting)) not in self.modest, (
                    f"{model} for one who loads none"
                )
                assert run == self.runs + 1
                self.runs = run
                self.processes[run] = Process(self.settings.models[model])
            case StopModel(run):
                assert not self.processes[run].told_to_stop, "told twice"
                self.processes[run].told_to_stop = True
            case ArmIdle(run, seconds, turn):
                assert self.processes[run].ready
                self.forget_idle(self.processes[run].model)
                timer = IdleElapsed(run, turn)
                assert timer not in self.timers, f"{timer} would ring before its time"
                self.idle[timer] = seconds
                self.timers.append(timer)
            case ArmBackOff(model, _, attempt):
                self.timers.append(BackOffElapsed(model, attempt))
            case Unloaded(order, _):
                self.orders.remove(order)
            case _:
                assert_never(effect)

    def check_unused(self, run: Run, process: Process) -> None:
        assert not self.stale(process), f"nobody stops {process}"
        ttl = self.settings.models[process.model].ttl
        if process.ready and ttl and process.model not in self.waiting.values():
            ticking = [seconds for timer, seconds in self.idle.items() if timer.run == run]
            assert ticking == [ttl], f"{process} is idle, its timers are {ticking}"

    def check_grant(self, ticket: Ticket, run: Run) -> None:
        process = self.processes[run]
        assert process.model == self.waiting[ticket]
        assert process.ready
        assert not process.told_to_stop
        assert not self.stale(process)
        self.forget_idle(process.model)
        assert ticket == next(iter(self.waiting)), "out of order"
        assert ticket > self.last_granted
        self.last_granted = ticket

"""Pretend worlds that obey a scheduler's effects and misbehave in every other way.

Models become ready, fail, crash, fall silent, get stuck and die when the dice say so; clients
come and go; operators unload, and edit the configuration; time passes. After every event these
must hold:

* nothing is started beside what it may not run beside, nor beside an earlier run of its model;
* no more requests are granted a model at a time than it may have, the first of them first;
* nobody is evicted who serves, or, but by serial, who is being loaded for somebody;
* every ticket gets exactly one of Grant or Reject, unless it departed before;
* no effect ever names a departed ticket, a dead run or a stopped model;
* a run that is to leave is never granted, and is told to stop as soon as it serves nobody;
* a reload stops neither an unchanged run nor one that serves;
* a run that nobody wants has a timer of its patience; one of another turn or `ttl` does nothing;
* nobody waits for a model that is not configured, nor while nothing is under way;
* no model is started for a request that loads nothing, and none such waits for one that goes;
* nothing is started for nobody, but what was unwell;
* questions change nothing: a twin that is never asked does the same;
* everybody has a place, and the queue shows each once;
* when everybody behaves again the queue drains, and every unload order is answered once.

A `World` is one of serial: one model and one request at a time, in exact arrival order.
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
    ModelBroke,
    ModelReady,
    ModelStopped,
    ModelStuck,
    ResetAsked,
    Returned,
    SettingsChanged,
    TurnElapsed,
    Unanswered,
    UnloadAsked,
)
from swapd.schedule.motives import Asked, MakeRoom, Motive, Unwell
from swapd.schedule.reasons import ModelUnloaded, NotLoaded, QueueFull, TooMany
from tests.stories import BOOM, model, settings

MODELS = ("a", "b", "c")

News = ModelReady | ModelBroke | ModelStuck | ModelStopped
Told = Reject | Place | Grant
Timer = IdleElapsed | BackOffElapsed | TurnElapsed | DrainElapsed

# Seconds that a request wants its model to be kept, requests that come together, and seconds that
# pass.
KEPT = (0.0, 7.0, -1.0)
CROWD = 12
PASSING = (0.25, 1.0, 5.0, 30.0, 60.0)


class Kind(Enum):
    """What the world may do next, where it can."""

    ARRIVE = "arrive"
    ARRIVE_UNKNOWN = "arrive unknown"
    ARRIVE_MODESTLY = "arrive, but load nothing"
    ARRIVE_KEEPING = "arrive, and say how long the model is kept"
    CROWD = "arrive, many for the same"
    FINISH = "finish the oldest served"
    LEAVE = "leave"
    RETURN = "return, because the model has died"
    READY = "ready"
    BREAK = "break"
    SILENCE = "answer no health check any more"
    STICK = "stick"
    DIE = "die"
    PASS = "pass time"
    RING = "ring the oldest timer"
    UNLOAD = "unload"
    UNLOAD_ALL = "unload all"
    UNLOAD_KEEPING = "unload, but let the queue wait"
    UNLOAD_DRAINING = "unload, but let the served finish"
    RESET = "forget how a model failed"
    RELOAD = "reload"
    STALE = "repeat old news"


@attrs.frozen
class Act:
    """One thing that the world does; `pick` chooses among what is there."""

    kind: Kind
    pick: int


def acts() -> st.SearchStrategy[Act]:
    """Draw one act; arrivals and departures are the most frequent."""
    often = [Kind.ARRIVE, Kind.ARRIVE, Kind.ARRIVE, Kind.FINISH, Kind.READY, Kind.READY, Kind.DIE]
    return st.builds(Act, st.sampled_from([*Kind, *often]), st.integers(0, 9))


def stories() -> st.SearchStrategy[list[Act]]:
    """Draw acts enough for something to happen: in one list, few would be more than a handful."""
    return st.lists(st.lists(acts(), max_size=20), max_size=12).map(_joined)


def editions(*, ttl: float, max_queue: int) -> list[Settings]:
    """Make what the configuration file says over time; the first one is where a world begins."""
    new_a, new_c = model("a", cmd="a --new", ttl=ttl), model("c", cmd="c --new", ttl=ttl)
    read_ahead = attrs.evolve(model("b", ttl=ttl), prefetch=("b.gguf",))
    return [
        settings(["a", read_ahead, "c"], ttl=ttl, max_queue=max_queue),
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
    draining: bool = False
    unwell: bool = False
    wanted: bool = True
    """Whether somebody has waited for it, or used it, ever since it was started."""
    keep_alive: float | None = None
    """What the last request that left it wanted."""

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
    twin: Scheduler = attrs.field(init=False)
    """Told the same and asked nothing."""
    settings: Settings = attrs.field(init=False)
    waiting: dict[Ticket, ModelId] = attrs.field(factory=dict)
    served: dict[Ticket, Run] = attrs.field(factory=dict)
    departed: set[Ticket] = attrs.field(factory=set)
    revoked: set[Ticket] = attrs.field(factory=set)
    models: dict[Ticket, ModelId] = attrs.field(factory=dict)
    modest: set[Ticket] = attrs.field(factory=set)
    keeping: dict[Ticket, float] = attrs.field(factory=dict)
    places: dict[Ticket, int] = attrs.field(factory=dict)
    processes: dict[Run, Process] = attrs.field(factory=dict)
    timers: list[tuple[Timer, float]] = attrs.field(factory=list)
    """With the time when each is due."""
    idle: dict[IdleElapsed, float] = attrs.field(factory=dict)
    """Those of `timers` that may still end a run, and the seconds that each was armed for."""
    orders: set[Order] = attrs.field(factory=set)
    revived: set[ModelId] = attrs.field(factory=set)
    """What was unwell and has gone."""
    reading: ModelId | None = None
    """Whose files are read ahead."""
    news: list[News] = attrs.field(factory=list)
    tickets: int = 0
    runs: int = 0
    last_order: int = 0
    last_granted: int = 0
    now: float = 0.0

    def __attrs_post_init__(self) -> None:
        self.settings = self.editions[0]
        self.scheduler, self.twin = choose(self.settings), choose(self.settings)

    # Doing

    def do(self, act: Act) -> None:
        """Do the act if it is possible at present."""
        match act.kind:
            case Kind.ARRIVE:
                self.arrive(self.name(act.pick))
            case Kind.ARRIVE_UNKNOWN:
                self.arrive(ModelId("ghost"))
            case Kind.ARRIVE_MODESTLY:
                self.arrive(self.name(act.pick), loads=False)
            case Kind.ARRIVE_KEEPING:
                self.arrive(self.name(act.pick), keep_alive=KEPT[act.pick % len(KEPT)])
            case Kind.CROWD:
                for _ in range(CROWD):
                    self.arrive(self.name(act.pick))
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
            case Kind.READY | Kind.BREAK | Kind.SILENCE | Kind.STICK | Kind.DIE:
                if self.processes:
                    run = list(self.processes)[act.pick % len(self.processes)]
                    self.move(run, act.kind)
            case Kind.PASS:
                self.now += PASSING[act.pick % len(PASSING)]
            case Kind.RING:
                if self.timers:
                    self.ring(*self.timers.pop(act.pick % len(self.timers)))
            case Kind.UNLOAD:
                self.unload(self.name(act.pick))
            case Kind.UNLOAD_ALL:
                self.unload()
            case Kind.UNLOAD_KEEPING:
                self.unload(self.name(act.pick), keep=True, seconds=3.0)
            case Kind.UNLOAD_DRAINING:
                seconds = 3.0 if act.pick % 2 else None
                self.unload(self.name(act.pick), drain=True, keep=act.pick > 4, seconds=seconds)
            case Kind.RESET:
                self.tell(ResetAsked(self.name(act.pick)))
            case Kind.RELOAD:
                self.reload(self.editions[act.pick % len(self.editions)])
            case Kind.STALE:
                stale = [event for event in self.news if event.run not in self.processes]
                if stale:
                    self.tell(stale[act.pick % len(stale)])
            case _:
                assert_never(act.kind)

    def name(self, pick: int) -> ModelId:
        names = list(self.editions[0].models)
        return names[pick % len(names)]

    def arrive(
        self, model: ModelId, *, loads: bool = True, keep_alive: float | None = None
    ) -> None:
        self.tickets += 1
        ticket = Ticket(self.tickets)
        before = len(self.waiting)
        self.waiting[ticket] = self.models[ticket] = model
        if not loads:
            self.modest.add(ticket)
        if keep_alive is not None:
            self.keeping[ticket] = keep_alive
        answer = self.tell(Arrived(ticket, model, loads, keep_alive))
        told = [one for one in answer if isinstance(one, Reject | Place | Grant)]
        assert ticket in [one.ticket for one in self.first(told)], f"{ticket} hears nothing"
        assert len(self.waiting) <= max(before, self.max_queue), "more wait than may"

    def depart(self, ticket: Ticket) -> None:
        self.waiting.pop(ticket, None)
        self.leave(ticket)
        self.departed.add(ticket)
        self.tell(Departed(ticket))

    def leave(self, ticket: Ticket) -> None:
        process = self.processes.get(self.served.pop(ticket, Run(0)))
        if process:
            process.keep_alive = self.keeping.get(ticket)

    def come_back(self, ticket: Ticket) -> None:
        if ticket not in self.revoked:
            self.leave(ticket)
            self.waiting = dict(sorted({ticket: self.models[ticket], **self.waiting}.items()))
            self.last_granted = ticket - 1
        self.tell(Returned(ticket, self.models[ticket]))

    def ring(self, timer: Timer, due: float) -> None:
        self.now = max(self.now, due)
        counts = not isinstance(timer, IdleElapsed) or timer in self.idle
        answer = self.tell(timer)
        assert counts or answer == [], f"{timer} is a thing of the past"

    def reload(self, new: Settings) -> None:
        for process in self.processes.values():
            before, after = self.settings.models.get(process.model), new.models.get(process.model)
            known = before is not None and after is not None
            if not known or patience(process, before) != patience(process, after):
                self.forget_idle(process.model)
        self.settings = new
        for effect in self.tell(SettingsChanged(new)):
            if isinstance(effect, StopModel):
                made_room = isinstance(effect.why, MakeRoom)
                assert made_room or self.leaving(self.processes[effect.run]), f"{effect}: why?"
                assert effect.run not in self.served.values(), f"{effect} cuts an answer"

    def forget_idle(self, model: ModelId) -> None:
        self.idle = {
            timer: seconds
            for timer, seconds in self.idle.items()
            if timer.run in self.processes and self.processes[timer.run].model != model
        }

    def leaving(self, process: Process) -> bool:
        now = self.settings.models.get(process.model)
        stale = now is None or not same_process(process.definition, now)
        return stale or process.draining

    def move(self, run: Run, kind: Kind) -> None:
        process = self.processes[run]
        if kind is Kind.READY and not process.ready and not process.broken:
            process.ready = True
            self.say(ModelReady(run))
        elif kind is Kind.BREAK and not process.ending:
            process.broken = True
            self.say(ModelBroke(run, BOOM))
        elif kind is Kind.SILENCE and process.ready:
            self.tell(Unanswered(run))
        elif kind is Kind.STICK and process.ending and not process.stuck:
            process.stuck = True
            self.say(ModelStuck(run, "survived"))
        elif kind is Kind.DIE and process.ending:
            del self.processes[run]
            if process.unwell:
                self.revived.add(process.model)
            self.say(ModelStopped(run))

    def unload(
        self,
        *models: ModelId,
        drain: bool = False,
        keep: bool = False,
        seconds: float | None = None,
    ) -> None:
        self.last_order += 1
        order = Order(self.last_order)
        self.orders.add(order)
        for run, process in self.processes.items():
            if not models or process.model in models:
                process.unwell = False
                process.draining |= drain and run in self.served.values() and not process.ending
        self.revived -= {*models} or set(self.revived)
        answer = self.tell(UnloadAsked(order, frozenset(models), drain, keep, seconds))
        unloaded = [one for one in answer if isinstance(one, Reject)]
        assert not (keep and any(isinstance(one.reason, ModelUnloaded) for one in unloaded))
        assert keep or not {*models} & {*self.waiting.values()}
        cut = [self.served[one.ticket] for one in answer if isinstance(one, Revoke)]
        assert not drain or all(self.processes[run].broken for run in cut), f"{cut} could finish"

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
        effects = self.scheduler.handle(event, self.now)
        assert effects == self.twin.handle(event, self.now), "a question has changed something"
        for effect in effects:
            self.obey(effect)
        for run, process in self.processes.items():
            used = process.model in self.waiting.values() or run in self.served.values()
            process.wanted = process.wanted and used
        self.check_now()
        self.check_waiting()
        self.check_answers()
        for run, process in self.processes.items():
            if run not in self.served.values() and not process.ending:
                self.check_unused(run, process)
        return effects

    def obey(self, effect: Effect) -> None:
        match effect:
            case Place(ticket, position):
                assert ticket in self.waiting
                self.places[ticket] = position
            case Grant(ticket, run):
                self.check_grant(ticket, run)
                self.served[ticket] = run
                del self.waiting[ticket]
            case Reject(ticket, _):
                assert ticket not in self.departed
                self.check_reject(effect)
                del self.waiting[ticket]
            case Revoke(ticket, _):
                assert ticket in self.served
                assert ticket not in self.revoked
                self.revoked.add(ticket)
            case StartModel(model, run, ticket):
                self.check_start(model, ticket)
                assert run == self.runs + 1
                self.runs, self.reading = run, None
                self.revived.discard(model)
                self.processes[run] = Process(self.settings.models[model])
            case StopModel(run, grace, why):
                self.check_stop(run, why, grace)
                self.processes[run].told_to_stop = True
                self.processes[run].unwell = isinstance(why, Unwell)
            case ArmIdle(run, seconds, turn):
                assert self.processes[run].ready
                self.forget_idle(self.processes[run].model)
                timer = IdleElapsed(run, turn)
                assert timer not in [one for one, _ in self.timers], f"{timer} is early"
                self.idle[timer] = seconds
                self.timers.append((timer, self.now + seconds))
            case ArmBackOff(model, seconds, attempt):
                self.timers.append((BackOffElapsed(model, attempt), self.now + seconds))
            case ArmTurn(run, seconds):
                assert self.processes[run].ready
                assert seconds > 0
                self.timers.append((TurnElapsed(run), self.now + seconds))
            case ArmDrain(order, seconds):
                assert order in self.orders
                self.timers.append((DrainElapsed(order), self.now + seconds))
            case Prefetch(model):
                self.check_prefetch(model)
                self.reading = model
            case Unloaded(order, _):
                self.orders.remove(order)
            case _:
                assert_never(effect)

    def check_prefetch(self, model: ModelId | None) -> None:
        if model is None:
            assert self.reading is not None
            return
        assert self.settings.models[model].prefetch is not None
        assert model in self.waiting.values()
        assert model not in [process.model for process in self.processes.values()]
        assert self.served or self.reading, "nothing keeps it from being loaded"

    def check_waiting(self) -> None:
        assert set(self.waiting.values()) <= self.settings.models.keys()
        for ticket in self.modest & self.waiting.keys():
            assert any(
                process.model == self.waiting[ticket]
                and process.ready
                and not self.leaving(process)
                for process in self.processes.values()
            )
        coming = any(one.ending or not one.ready for one in self.processes.values())
        assert not self.waiting or self.served or coming, "they wait for nothing"

    def check_answers(self) -> None:
        self.places = {ticket: self.places[ticket] for ticket in self.waiting}
        assert sorted(self.places.values()) == list(range(1, len(self.waiting) + 1))
        standings = list(self.scheduler.queue(self.now))
        served = [one.ticket for one in standings if not one.position]
        assert sorted(served) == sorted(self.served)
        waiting = [one for one in standings if one.position]
        assert [one.position for one in waiting] == list(range(1, len(self.waiting) + 1))
        assert {one.ticket: one.model for one in waiting} == self.waiting
        for name in self.settings.models:
            self.scheduler.plan(name, self.now)

    def check_unused(self, run: Run, process: Process) -> None:
        assert not self.leaving(process), f"nobody stops {process}"
        wanted = patience(process, self.settings.models[process.model])
        if process.ready and wanted is not None and process.model not in self.waiting.values():
            ticking = [seconds for timer, seconds in self.idle.items() if timer.run == run]
            assert ticking == [wanted], f"{process} is idle, its timers are {ticking}"

    def check_grant(self, ticket: Ticket, run: Run) -> None:
        process = self.processes[run]
        assert process.model == self.waiting[ticket]
        assert process.ready
        assert not process.told_to_stop
        assert not self.leaving(process)
        self.forget_idle(process.model)
        self.check_order(ticket, run)

    def check_reject(self, refusal: Reject) -> None:
        ticket = refusal.ticket
        match refusal.reason:
            case QueueFull(limit):
                assert limit == self.max_queue
                assert len(self.waiting) > limit
            case TooMany(model, limit):
                assert [*map(self.models.get, [*self.served, *self.waiting])].count(model) > limit
            case NotLoaded():
                assert ticket in self.modest
            case _:
                pass

    def check_stop(self, run: Run, why: Motive, grace: float | None) -> None:
        process = self.processes[run]
        hurried = isinstance(why, Asked) and grace is not None and not process.stuck
        assert hurried or not process.told_to_stop, "told twice"
        if isinstance(why, MakeRoom):
            assert run not in self.served.values(), f"{why} ends {process}, which serves"
            self.check_eviction(process, why)

    # What is serial's own

    @property
    def max_queue(self) -> int:
        return self.settings.serial.max_queue

    def first(self, told: list[Told]) -> list[Told]:
        return told[:1]

    def check_now(self) -> None:
        assert len(self.served) <= 1, f"two at a time: {self.served}"
        assert len(self.processes) <= 1, f"two models: {self.processes}"

    def check_start(self, model: ModelId, ticket: Ticket | None) -> None:
        assert not self.processes, f"{model} started on top of {self.processes}"
        head = next(iter(self.waiting), None)
        assert ticket == head, f"{model} is started for {ticket}, and {head} comes first"
        assert head not in self.modest, f"{model} is started for one who loads none"
        assert (model in self.revived) if head is None else (model == self.waiting[head])

    def check_eviction(self, process: Process, why: MakeRoom) -> None:
        head = next(iter(self.waiting))
        assert self.waiting[head] == why.model != process.model

    def check_order(self, ticket: Ticket, run: Run) -> None:
        assert ticket == next(iter(self.waiting)), "out of order"
        assert self.places.get(ticket, 1) == 1
        assert ticket > self.last_granted
        self.last_granted = ticket


def patience(process: Process, definition: Model | None) -> float | None:
    """Say how many seconds the process is kept when nobody uses it; None for ever."""
    if process.keep_alive is not None:
        return process.keep_alive if process.keep_alive >= 0 else None
    return (definition.ttl or None) if definition else None


def _joined(parts: list[list[Act]]) -> list[Act]:
    return [act for part in parts for act in part]

"""How long the scheduler takes to decide, with ten thousand requests in the queue.

Every request waits while something is decided. The scheduler is pure, so this needs no daemon: a
queue of twenty models is filled, and then served through some hundreds of turns; each event is
timed, and so is each question that an operator may ask meanwhile.
"""

import contextlib
import gc
import random
import statistics
import time
from collections import defaultdict, deque
from collections.abc import Iterator
from itertools import count

import attrs
import trio
from trio.testing import wait_all_tasks_blocked

from swapd.config.expression import compile_sets
from swapd.config.kinds import SchedulerKind
from swapd.config.settings import FifoSettings, Group, Matrix, SerialSettings, Settings
from swapd.ids import ModelId, Run, Ticket
from swapd.schedule.choose import Scheduler, choose
from swapd.schedule.effects import ArmTurn, Effect, Grant, StartModel, StopModel
from swapd.schedule.events import (
    Arrived,
    Departed,
    Event,
    ModelReady,
    ModelStopped,
    TurnElapsed,
)
from tests.bench.rows import Plan, Row
from tests.house import open_house
from tests.stories import model

QUEUED = 10_000
MODELS = [f"m{number:02}" for number in range(20)]

QUESTIONS = ("queue()", "plan()")

# Longer than this, and a stream of tokens would show it.
MOST_MS = 50.0

# Settlements that are looked at when the queue is full.
_STEPS = 600

# How often the page is asked for.
_PAGES = 15


def decisions(plan: Plan) -> list[Row]:
    """Time each kind of event, and of question, with each scheduler; then the page that asks."""
    rows = []
    for name, settings in _schedulers():
        took = _Queue(choose(settings)).timed()
        events = sorted(took.keys() - QUESTIONS)
        rows += [_row(f"{name}, {what}", took[what]) for what in (*events, *QUESTIONS)]
    for name, settings in _schedulers():
        took_page = trio.run(_pages, settings)
        rows.append(_row(f"{name}, GET /api/queue", took_page))
    return rows


async def _pages(settings: Settings) -> list[float]:
    """Answer with the seconds until the page has begun to answer, which is when it is written."""
    took = []
    async with open_house(settings=settings) as house:
        house.models.load = 3600.0
        with contextlib.ExitStack() as queue:
            for at in range(QUEUED):
                name = house.flights.next_id()
                wanted = ModelId(MODELS[at % len(MODELS)])
                queue.enter_context(house.engine.turn(wanted, revoke=print, name=name))
            await wait_all_tasks_blocked()
            assert len(list(house.engine.ask.queue())) == QUEUED
            for _ in range(_PAGES):
                caller = house.call()
                began = time.perf_counter()
                await caller.send("/api/queue")
                await caller.head()
                took.append(time.perf_counter() - began)
                await caller.leave()
    return took


def _row(what: str, seconds: list[float]) -> Row:
    figures = [second * 1000 for second in seconds]
    return Row(
        f"deciding with {QUEUED:,} in the queue: {what}",
        "ms",
        f"worst <= {MOST_MS:g}",
        swapd=statistics.median(figures),
        figure=max(figures),
        bound=MOST_MS,
        spread=(min(figures), max(figures)),
    )


def _schedulers() -> Iterator[tuple[str, Settings]]:
    models = {ModelId(name): model(name) for name in MODELS}
    members = tuple(models)
    settings = Settings(
        models=models,
        serial=SerialSettings(2 * QUEUED),
        fifo=FifoSettings(max_queue=2 * QUEUED),
    )
    yield "serial", settings
    fifo = attrs.evolve(settings, scheduler=SchedulerKind.FIFO)
    pairs = [members[at : at + 2] for at in range(0, len(members), 2)]
    groups = {f"g{at}": Group(swap=False, members=pair) for at, pair in enumerate(pairs)}
    yield "groups", attrs.evolve(fifo, groups=groups)
    written = {f"s{at}": " & ".join(pair) for at, pair in enumerate(pairs)}
    sets, flaws = compile_sets(written, ModelId)
    assert not flaws
    yield "matrix", attrs.evolve(fifo, matrix=Matrix(sets))


@attrs.define
class _Queue:
    """A queue that is filled and served; whoever carries effects out is pretended."""

    scheduler: Scheduler
    now: float = 0.0
    took: dict[str, list[float]] = attrs.field(factory=lambda: defaultdict(list))
    due: deque[Event] = attrs.field(factory=deque)
    turns: deque[Run] = attrs.field(factory=deque)
    served: deque[Ticket] = attrs.field(factory=deque)
    waiting: dict[Ticket, None] = attrs.field(factory=dict)
    tickets: Iterator[int] = attrs.field(factory=lambda: count(1))
    dice: random.Random = attrs.field(factory=lambda: random.Random(1))

    def timed(self) -> dict[str, list[float]]:
        """Answer with the seconds that each event and question took while the queue was full."""
        gc.collect()
        while len(self.waiting) < QUEUED:
            self.arrive()
            while self.due:
                self.happen("filling", self.due.popleft())
        self.took.clear()
        for step in range(_STEPS):
            self.now += 0.5
            if self.due:
                event = self.due.popleft()
                self.happen(type(event).__name__, event)
            elif self.served:
                self.happen("Departed, served", Departed(self.served.popleft()))
            self.arrive()
            leaving = self.dice.choice([*self.waiting])
            del self.waiting[leaving]
            self.happen("Departed, waiting", Departed(leaving))
            if self.turns and step % 10 == 0:
                self.happen("TurnElapsed", TurnElapsed(self.turns.popleft()))
            if step % 20 == 0:
                self.ask()
        return self.took

    def arrive(self) -> None:
        ticket = Ticket(next(self.tickets))
        self.waiting[ticket] = None
        self.happen("Arrived", Arrived(ticket, ModelId(self.dice.choice(MODELS))))

    def ask(self) -> None:
        began = time.perf_counter()
        for _ in self.scheduler.queue(self.now):
            pass
        asked = time.perf_counter()
        self.scheduler.plan(ModelId(self.dice.choice(MODELS)), self.now)
        self.took["queue()"].append(asked - began)
        self.took["plan()"].append(time.perf_counter() - asked)

    def happen(self, what: str, event: Event) -> None:
        began = time.perf_counter()
        effects = self.scheduler.handle(event, self.now)
        self.took[what].append(time.perf_counter() - began)
        for effect in effects:
            self.obey(effect)

    def obey(self, effect: Effect) -> None:
        match effect:
            case Grant(ticket):
                del self.waiting[ticket]
                self.served.append(ticket)
            case StartModel(_, run):
                self.due.append(ModelReady(run))
            case StopModel(run):
                self.due.append(ModelStopped(run))
            case ArmTurn(run):
                self.turns.append(run)
            case _:
                pass

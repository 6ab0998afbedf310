"""Events in, effects carried out: the one loop between the requests, the scheduler and the models.

Rule 1: the loop awaits nothing but the next event; carrying out an effect is synchronous.
Rule 2: what the scheduler decides is not second-guessed here, and nothing is decided here.
Rule 3: each run of a model is one task under one cancel scope; unloading is cancelling it.
Rule 4: goodbyes are posted synchronously from a `finally`, so a cancelled task says them too.
"""

import itertools
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterable
from contextlib import asynccontextmanager
from typing import assert_never

import attrs
import trio
from trio_util import AsyncValue

from swapd.config.settings import Model, Settings
from swapd.ids import ModelId, Order, Run, Ticket
from swapd.models.supervisor import Life
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
    StopAsked,
    UnloadAsked,
)
from swapd.schedule.phase import Phase
from swapd.schedule.reasons import BackingOff, Cause, QueueFull, Reason, Unkillable
from swapd.wire.pool import Pool

log = logging.getLogger(__name__)

# How long a request may outlive its model's process before its ticket is given up: only a client
# that has stopped reading needs longer to be told, and it must not hold up everybody else.
FORGET_STALLED = 2.0

# The weight of the newest turn in the moving average that `Retry-After` is computed from.
NEWEST_TURN = 0.2


class Refused(Exception):
    """The scheduler will not serve this request, for this reason."""

    def __init__(self, reason: Reason, *, retry_after: float | None = None) -> None:
        super().__init__(str(reason))
        self.reason = reason
        self.retry_after = retry_after
        """Seconds after which asking again may help; None where waiting does not."""


Supervise = Callable[[Model, Life], Awaitable[None]]
"""One run of one model: returns, or is cancelled, when it is verified gone."""


@attrs.define
class _Slot:
    """What the engine knows of one open turn."""

    revoke: Callable[[Reason], None]
    opened: float
    place: AsyncValue[int | None] = attrs.field(factory=lambda: AsyncValue[int | None](None))
    decision: AsyncValue[Pool | Refused | None] = attrs.field(
        factory=lambda: AsyncValue[Pool | Refused | None](None)
    )
    run: Run | None = None


@attrs.frozen
class Turn:
    """A request's claim on a model."""

    ticket: Ticket
    place: AsyncValue[int | None]
    """The position among those that wait, counted from 1; None before the first word of it."""
    _decision: AsyncValue[Pool | Refused | None]

    async def granted(self) -> Pool:
        """Wait for the loaded model and answer with the way to speak to it, or raise `Refused`."""
        decision = await self._decision.wait_value(lambda value: value is not None)
        assert decision is not None
        if isinstance(decision, Refused):
            raise decision
        return decision


@attrs.define
class _Running:
    """One run as the engine holds it."""

    model: Model
    unloading: trio.CancelScope
    pool: Pool


class Engine:
    """The scheduler's hands.

    `supervise` runs one life of one model; `open_pool` makes the way to speak to it.
    """

    def __init__(
        self,
        settings: Settings,
        scheduler: Scheduler,
        *,
        supervise: Supervise,
        open_pool: Callable[[Model], Pool],
    ) -> None:
        self.settings = settings
        self._scheduler = scheduler
        self._supervise = supervise
        self._open_pool = open_pool
        # Not a bounded channel: posting from a cancelled task must neither wait nor be lost.
        self._post, self._inbox = trio.open_memory_channel[Event](math.inf)
        self._slots: dict[Ticket, _Slot] = {}
        self._runs: dict[Run, _Running] = {}
        self._orders: dict[Order, AsyncValue[Unloaded | None]] = {}
        self._back_off_until: dict[ModelId, float] = {}
        self._tickets = itertools.count(1)
        self._order_numbers = itertools.count(1)
        self._timers: dict[Hashable, tuple[float, Event]] = {}
        self._seconds_a_turn = 1.0
        self._last_departure = -math.inf
        self._nursery: trio.Nursery | None = None

    # What the others call

    def post(self, event: Event) -> None:
        """Tell the scheduler, from wherever you are; never waits, never fails."""
        self._post.send_nowait(event)

    @asynccontextmanager
    async def turn(
        self, model: ModelId, *, revoke: Callable[[Reason], None]
    ) -> AsyncIterator[Turn]:
        """Queue for a loaded model. Leaving by any door gives it back.

        `revoke` is called at most once, if the model is taken away after it was granted.
        """
        ticket = Ticket(next(self._tickets))
        slot = self._slots[ticket] = _Slot(revoke, trio.current_time())
        self.post(Arrived(ticket, model))
        try:
            yield Turn(ticket, slot.place, slot.decision)
        finally:
            del self._slots[ticket]
            self.post(Departed(ticket))
            self._note_pace(slot)

    async def unload(self, models: Iterable[ModelId] = ()) -> Unkillable | None:
        """Have these models gone, or all; answer when they are, or with what would not die."""
        order = Order(next(self._order_numbers))
        answer = self._orders[order] = AsyncValue[Unloaded | None](None)
        self.post(UnloadAsked(order, frozenset(models)))
        try:
            unloaded = await answer.wait_value(lambda value: value is not None)
        finally:
            del self._orders[order]
        assert unloaded is not None
        return unloaded.stuck

    def stop(self) -> None:
        """Admit nothing new; those who hold a model keep it."""
        self.post(StopAsked())

    def phase(self, model: ModelId) -> Phase:
        """Say where a model stands, for people; nothing may be decided by it."""
        return self._scheduler.phase(model)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Turn events into effects until cancelled; models are gone before this returns."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            async for event in self._inbox:
                if isinstance(event, ModelStopped):
                    # Not earlier: until the scheduler has heard of it, it may still grant the run.
                    del self._runs[event.run]
                for effect in self._scheduler.handle(event):
                    self._carry_out(effect)

    # Carrying out

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Place(ticket, position):
                if slot := self._slots.get(ticket):
                    slot.place.value = position
            case Grant(ticket, run):
                if slot := self._slots.get(ticket):
                    slot.run = run
                    slot.decision.value = self._runs[run].pool
            case Reject(ticket, reason):
                if slot := self._slots.get(ticket):
                    log.info("refusing request %d: %s", ticket, reason)
                    slot.decision.value = Refused(reason, retry_after=self._retry_after(reason))
            case Revoke(ticket, reason):
                if slot := self._slots.get(ticket):
                    log.info("ending request %d: %s", ticket, reason)
                    slot.revoke(reason)
            case StartModel(model, run):
                self._start(self.settings.models[model], run)
            case StopModel(run):
                if running := self._runs.get(run):
                    log.info("stopping %s", running.model.id)
                    running.unloading.cancel()
            case ArmIdle(run, seconds, turn):
                self._after(seconds, IdleElapsed(run, turn), key=("idle", run))
            case ArmBackOff(model, seconds, attempt):
                log.warning(
                    "leaving %s alone for %.0f s after %d failures", model, seconds, attempt
                )
                self._back_off_until[model] = trio.current_time() + seconds
                ring = BackOffElapsed(model, attempt)
                self._after(seconds, ring, key=ring)
            case Unloaded(order):
                if answer := self._orders.get(order):
                    answer.value = effect
            case _:
                assert_never(effect)

    def _start(self, model: Model, run: Run) -> None:
        assert self._nursery is not None
        log.info("loading %s", model.id)
        # Made here, not in the task: a StopModel in the same breath must find it.
        unloading = trio.CancelScope()
        self._runs[run] = _Running(model, unloading, self._open_pool(model))
        self._nursery.start_soon(self._own, run, name=f"{model.id}#{run}")

    async def _own(self, run: Run) -> None:
        """Live one run to its end and report it, whatever the supervisor does."""
        running = self._runs[run]
        life = _Reports(run, running.model.id, self.post)
        try:
            with running.unloading:
                await self._supervise(running.model, life)
            # Outside the scope that ended the run: only the end of the daemon ends this wait.
            if life.gone is not None:
                await life.gone()
        # The one place that catches everything: a bug in a model's care is that model's failure.
        except Exception as bug:
            log.exception("supervising %s failed", running.model.id)
            life.broke(Cause(f"internal error: {bug!r}"))
        finally:
            running.pool.close()
            log.info("stopped %s", running.model.id)
            self.post(ModelStopped(run))
            self._forget_stalled(run)

    def _forget_stalled(self, run: Run) -> None:
        """Say goodbye for clients that do not let their request end, when its model is gone."""
        for ticket, slot in self._slots.items():
            if slot.run == run:
                goodbye = Departed(ticket)
                self._after(FORGET_STALLED, goodbye, key=goodbye)

    def _after(self, seconds: float, event: Event, *, key: Hashable) -> None:
        """Post the event later; the same key once more only moves it further away."""
        assert self._nursery is not None
        ticking = key in self._timers
        self._timers[key] = (trio.current_time() + seconds, event)
        # Not a task for each: a busy model re-arms its idle timer with every request.
        if not ticking:
            self._nursery.start_soon(self._ring, key)

    async def _ring(self, key: Hashable) -> None:
        # Not an Event: the deadline moves while this sleeps.
        while (deadline := self._timers[key][0]) > trio.current_time():  # noqa: ASYNC110
            await trio.sleep_until(deadline)
        _, event = self._timers.pop(key)
        self.post(event)

    # What waiting costs, for Retry-After

    def _note_pace(self, slot: _Slot) -> None:
        """Count how long this request, load and all, kept the next one waiting."""
        if slot.run is not None:
            now = trio.current_time()
            seconds = now - max(slot.opened, self._last_departure)
            self._seconds_a_turn += NEWEST_TURN * (seconds - self._seconds_a_turn)
            self._last_departure = now

    def _retry_after(self, reason: Reason) -> float | None:
        match reason:
            case QueueFull():
                return self._seconds_a_turn
            case BackingOff(model):
                return self._back_off_until[model] - trio.current_time()
            case _:
                return None


@attrs.define
class _Reports:
    """A run's news, as events that carry its number."""

    run: Run
    model: ModelId
    post: Callable[[Event], None]
    gone: Callable[[], Awaitable[None]] | None = None
    """How to wait for what survived SIGKILL, if anything did."""

    def ready(self) -> None:
        log.info("%s is ready", self.model)
        self.post(ModelReady(self.run))

    def broke(self, cause: Cause) -> None:
        log.warning("%s: %s", self.model, cause.text)
        self.post(ModelBroke(self.run, cause))

    def stuck(self, why: str, gone: Callable[[], Awaitable[None]]) -> None:
        log.error("%s will not die: %s", self.model, why)
        self.gone = gone
        self.post(ModelStuck(self.run, why))

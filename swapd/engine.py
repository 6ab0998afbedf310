"""Events in, effects carried out: the one loop between the requests, the scheduler and the models.

Rule 1: the loop awaits nothing but the next event; carrying out an effect is synchronous.
Rule 2: what the scheduler decides is not second-guessed here, and nothing is decided here.
Rule 3: each run of a model is one task under one cancel scope; unloading is cancelling it.
Rule 4: goodbyes are posted synchronously from a `finally`, so a cancelled task says them too.
"""

import itertools
import logging
import math
from collections import deque
from collections.abc import Callable, Iterable
from typing import assert_never

import attrs
import trio
from trio_util import AsyncValue

from swapd.config.settings import Model, Settings
from swapd.ids import ModelId, Order, Run, Ticket
from swapd.models.supervisor import Supervise
from swapd.pace import Pace
from swapd.reports import Reports
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
    ModelReady,
    ModelStopped,
    Returned,
    SettingsChanged,
    StopAsked,
    UnloadAsked,
)
from swapd.schedule.phase import Phase
from swapd.schedule.reasons import BackingOff, Cause, QueueFull, Reason, Unkillable
from swapd.timers import Timers
from swapd.turns import LoadedModel, Refused, Turn
from swapd.wire.pool import Pool

log = logging.getLogger(__name__)

# How long a request may outlive its model's process before its ticket is given up: only a client
# that has stopped reading needs longer to be told, and it must not hold up everybody else.
FORGET_STALLED = 2.0


@attrs.define
class _Running:
    """One run as the engine holds it."""

    loaded: LoadedModel
    unloading: trio.CancelScope


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
        self._settings = settings
        self._adoptions = deque[trio.Event]()
        self._scheduler = scheduler
        self._supervise = supervise
        self._open_pool = open_pool
        # Not a bounded channel: posting from a cancelled task must neither wait nor be lost.
        self._post, self._inbox = trio.open_memory_channel[Event](math.inf)
        self._turns: dict[Ticket, Turn] = {}
        self._runs: dict[Run, _Running] = {}
        self._orders: dict[Order, AsyncValue[Unloaded | None]] = {}
        self._tickets = itertools.count(1)
        self._order_numbers = itertools.count(1)
        self._pace = Pace()
        self.stopping = False
        """Whether nothing new is admitted."""
        self._timers: Timers
        self._nursery: trio.Nursery

    # What the others call

    def post(self, event: Event) -> None:
        """Tell the scheduler, from wherever you are; never waits, never fails."""
        self._post.send_nowait(event)

    def turn(
        self,
        model: ModelId,
        *,
        revoke: Callable[[Reason], None],
        name: str = "",
        loads: bool = True,
    ) -> Turn:
        """Queue for a loaded model. Leaving by any door gives it back.

        `revoke` is called at most once, if the model is taken away after it was granted. `name` is
        what the log calls the request; one that does not `loads` is refused without its model.
        """
        ticket = Ticket(next(self._tickets))
        return Turn(
            *(ticket, name or str(ticket), model, loads, revoke, trio.current_time()),
            *(self._claim, self._take_back, self._give_back),
        )

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

    @property
    def settings(self) -> Settings:
        """What the scheduler goes by; it changes when the scheduler is told, not before."""
        return self._settings

    async def adopt(self, settings: Settings) -> None:
        """Hand a new configuration over, at once; return when it counts.

        Runs that it does not fit end when nobody uses them; that is not waited for.
        """
        taken = trio.Event()
        self._adoptions.append(taken)
        self.post(SettingsChanged(settings))
        await taken.wait()

    def stop(self) -> None:
        """Admit nothing new; those who hold a model keep it."""
        self.stopping = True
        self.post(StopAsked())

    def phase(self, model: ModelId) -> Phase:
        """Say where a model stands, for people; nothing may be decided by it."""
        return self._scheduler.phase(model)

    def loaded(self, model: ModelId) -> LoadedModel | None:
        """Find a model that is ready, for whoever uses it without a turn and may lose it."""
        if self.phase(model) is not Phase.READY:
            return None
        runs = (run.loaded for run in self._runs.values() if run.loaded.model.id == model)
        return next((loaded for loaded in runs if not loaded.ended.is_set()), None)

    def running(self) -> dict[ModelId, Model]:
        """Tell what runs, or is on its way in or out, as it was started."""
        return {run.loaded.model.id: run.loaded.model for run in self._runs.values()}

    def longest_unload(self) -> float:
        """Say how many seconds the most patient model, configured or running, is given to end."""
        running = (run.loaded.model for run in self._runs.values())
        models = (*self.settings.models.values(), *running)
        return max((model.unload_timeout for model in models), default=0.0)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Turn events into effects until cancelled; models are gone before this returns."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            self._timers = Timers(nursery, self.post)
            task_status.started()
            async for event in self._inbox:
                # Not earlier: until the scheduler has heard of these, it may still grant the run
                # that is gone, and start models as they were.
                if isinstance(event, ModelStopped):
                    del self._runs[event.run]
                elif isinstance(event, ModelReady):
                    self._runs[event.run].loaded.ready = trio.current_time()
                elif isinstance(event, SettingsChanged):
                    self._settings = event.settings
                    self._adoptions.popleft().set()
                for effect in self._scheduler.handle(event):
                    self._carry_out(effect)

    def _claim(self, turn: Turn) -> None:
        self._turns[turn.ticket] = turn
        self.post(Arrived(turn.ticket, turn.model, turn.loads))

    def _take_back(self, turn: Turn) -> None:
        self.post(Returned(turn.ticket, turn.model))

    def _give_back(self, turn: Turn) -> None:
        del self._turns[turn.ticket]
        self.post(Departed(turn.ticket))
        if turn.run is not None:
            self._pace.departed(turn.opened)

    # Carrying out

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Place(ticket, position):
                if turn := self._turns.get(ticket):
                    turn.move(position)
            case Grant(ticket, run):
                if turn := self._turns.get(ticket):
                    turn.run = run
                    turn.decide(self._runs[run].loaded)
            case Reject(ticket, reason):
                if turn := self._turns.get(ticket):
                    log.info("refusing request %s: %s", turn.name, reason)
                    turn.decide(Refused(reason, retry_after=self._retry_after(reason)))
            case Revoke(ticket, reason):
                if turn := self._turns.get(ticket):
                    log.info("ending request %s: %s", turn.name, reason)
                    turn.revoke(reason)
            case StartModel(model, run):
                self._start(self.settings.models[model], run)
            case StopModel(run):
                if running := self._runs.get(run):
                    log.info("stopping %s", running.loaded.model.id)
                    running.unloading.cancel()
            case ArmIdle(run, seconds, number):
                # Keyed by the model: a timer of its earlier run would ring for nobody.
                key = ("idle", self._runs[run].loaded.model.id)
                self._timers.arm(seconds, IdleElapsed(run, number), key=key)
            case ArmBackOff(model, seconds, attempt):
                log.warning(
                    "leaving %s alone for %.0f s after %d failures", model, seconds, attempt
                )
                self._timers.arm(seconds, BackOffElapsed(model, attempt), key=("back-off", model))
            case Unloaded(order):
                if answer := self._orders.get(order):
                    answer.value = effect
            case _:
                assert_never(effect)

    def _start(self, model: Model, run: Run) -> None:
        log.info("loading %s", model.id)
        # Made here, not in the task: a StopModel in the same breath must find it.
        unloading = trio.CancelScope()
        loaded = LoadedModel(model, self._open_pool(model), trio.current_time())
        self._runs[run] = _Running(loaded, unloading)
        self._nursery.start_soon(self._own, run, name=f"{model.id}#{run}")

    async def _own(self, run: Run) -> None:
        """Live one run to its end and report it, whatever the supervisor does."""
        running = self._runs[run]
        loaded, model = running.loaded, running.loaded.model
        life = Reports(run, model.id, self.post, loaded.ended)
        try:
            with running.unloading:
                await self._supervise(model, life)
            # Outside the scope that ended the run: only the end of the daemon ends this wait.
            if life.gone is not None:
                await life.gone()
        # The one place that catches everything: a bug in a model's care is that model's failure.
        except Exception as bug:
            log.exception("supervising %s failed", model.id)
            life.broke(Cause(f"internal error: {bug!r}"))
        finally:
            loaded.pool.close()
            log.info("stopped %s", model.id)
            self.post(ModelStopped(run))
            loaded.ended.set()
            self._forget_stalled(run)

    def _forget_stalled(self, run: Run) -> None:
        """Say goodbye for clients that do not let their request end, when its model is gone."""
        for ticket, turn in self._turns.items():
            if turn.run == run:
                goodbye = Departed(ticket)
                self._timers.arm(FORGET_STALLED, goodbye, key=goodbye)

    def _retry_after(self, reason: Reason) -> float | None:
        match reason:
            case QueueFull():
                return self._pace.seconds_a_turn
            case BackingOff(model):
                return self._timers.remaining(("back-off", model))
            case _:
                return None

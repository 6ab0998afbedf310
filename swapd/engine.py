"""Events in, effects carried out: the one loop between the requests, the scheduler and the models.

Rule 1: the loop awaits nothing but the next event; carrying out an effect is synchronous.
Rule 2: what the scheduler decides is not second-guessed here, and nothing is decided here.
Rule 3: goodbyes are posted synchronously from a `finally`, so a cancelled task says them too.
"""

import itertools
import logging
import math
from collections import deque
from collections.abc import Callable, Iterable
from typing import assert_never

import trio

from swapd.config.settings import Model, Settings
from swapd.decisions import Decisions
from swapd.ids import ModelId, Run, Ticket
from swapd.models.supervisor import Supervise
from swapd.orders import Orders
from swapd.pace import Pace
from swapd.questions import Questions
from swapd.runs import Runs
from swapd.schedule.choose import Scheduler
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
    Returned,
    RunNews,
    SettingsChanged,
    StopAsked,
    TurnElapsed,
)
from swapd.schedule.phase import Phase
from swapd.schedule.reasons import BackingOff, QueueFull, Reason, TooMany, Unkillable
from swapd.timers import Timers
from swapd.turns import LoadedModel, Refused, Turn
from swapd.wire.pool import Pool

log = logging.getLogger(__name__)

# How long a request may outlive its model's process before its ticket is given up: only a client
# that has stopped reading needs longer to be told, and it must not hold up everybody else.
FORGET_STALLED = 2.0


class Engine:
    """The scheduler's hands.

    `supervise` runs one life of one model; `open_pool` makes the way to speak to it; `read_ahead`
    is told of a model that will be started before long, and of none when one is.
    """

    def __init__(
        self,
        settings: Settings,
        scheduler: Scheduler,
        *,
        supervise: Supervise,
        open_pool: Callable[[Model], Pool],
        read_ahead: Callable[[Model | None], None] = lambda model: None,
    ) -> None:
        self._settings = settings
        self._adoptions = deque[trio.Event]()
        self._scheduler = scheduler
        self._read_ahead = read_ahead
        self.decisions = Decisions()
        # Not a bounded channel: posting from a cancelled task must neither wait nor be lost.
        self._post, self._inbox = trio.open_memory_channel[Event | trio.Event](math.inf)
        self._turns: dict[Ticket, Turn] = {}
        self._orders = Orders(self.post)
        self._tickets = itertools.count(1)
        self._pace = Pace()
        self.stopping = False
        """Whether nothing new is admitted."""
        self._timers = Timers(self.post)
        self._runs = Runs(supervise, open_pool, self.post, self._forget_stalled)
        self.ask = Questions(scheduler, self._turns, self._runs)

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
        keep_alive: float | None = None,
    ) -> Turn:
        """Queue for a loaded model. Leaving by any door gives it back.

        `revoke` is called at most once, if the model is taken away after it was granted. `name` is
        what the log calls the request; one that does not `loads` is refused without its model.
        `keep_alive` is how long the model is kept when nobody uses it afterwards, in seconds,
        below 0 for ever; None as configured.
        """
        ticket = Ticket(next(self._tickets))
        return Turn(
            *(ticket, name or str(ticket), model, loads, keep_alive, revoke, trio.current_time()),
            *(self._claim, self._take_back, self._give_back),
        )

    async def unload(
        self,
        models: Iterable[ModelId] = (),
        *,
        drain: bool = False,
        keep: bool = False,
        seconds: float | None = None,
    ) -> Unkillable | None:
        """Have these models gone, or all; answer when they are, or with what would not die.

        With `drain` those that are served may finish, within `seconds` if that is given; without,
        `seconds` is the time until SIGKILL. With `keep` those that wait go on waiting.
        """
        return await self._orders.unload(models, drain=drain, keep=keep, seconds=seconds)

    async def pulse(self) -> None:
        """Return when the loop has come round once more, after all that was posted before."""
        felt = trio.Event()
        self._post.send_nowait(felt)
        await felt.wait()

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
        return self._runs.loaded(model) if self.phase(model) is Phase.READY else None

    def running(self) -> dict[ModelId, Model]:
        """Tell what runs, or is on its way in or out, as it was started."""
        return self._runs.definitions()

    def longest_unload(self) -> float:
        """Say how many seconds the most patient model, configured or running, is given to end."""
        models = (*self.settings.models.values(), *self.running().values())
        return max((model.unload_timeout for model in models), default=0.0)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Turn events into effects until cancelled; models are gone before this returns."""
        async with trio.open_nursery() as nursery:
            self._timers.nursery = self._runs.nursery = nursery
            self._runs.note_time()
            task_status.started()
            async for event in self._inbox:
                if isinstance(event, trio.Event):
                    event.set()  # Nothing has happened; somebody feels the pulse.
                    continue
                if isinstance(event, Departed) and self._is_back(event.ticket):
                    continue
                now = trio.current_time()
                self._take_in(event, now)
                for effect in self._scheduler.handle(event, now):
                    self._carry_out(effect)
                self._runs.note_time()

    def _take_in(self, event: Event, now: float) -> None:
        if isinstance(event, RunNews):
            self.decisions.heard(event, self._runs[event.run].model)
        # Not earlier: until the scheduler has heard of these, it may still grant the run that is
        # gone, and start models as they were.
        if isinstance(event, ModelStopped):
            self._runs.gone(event.run)
        elif isinstance(event, ModelReady):
            self._runs[event.run].loaded.ready = now
        elif isinstance(event, SettingsChanged):
            self._settings = event.settings
            self._adoptions.popleft().set()
            self.decisions.reloaded()

    def _claim(self, turn: Turn) -> None:
        self._turns[turn.ticket] = turn
        self.post(Arrived(turn.ticket, turn.model, turn.loads, turn.keep_alive))

    def _take_back(self, turn: Turn) -> None:
        self.post(Returned(turn.ticket, turn.model))

    def _give_back(self, turn: Turn) -> None:
        del self._turns[turn.ticket]
        self.post(Departed(turn.ticket))
        if turn.run is not None:
            self._pace.departed(turn.opened)
            if running := self._runs.get(turn.run):
                running.serving -= 1
        elif not turn.decided:
            self.decisions.left(turn.model, turn.name, trio.current_time() - turn.opened)

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Place(ticket, position):
                if turn := self._turns.get(ticket):
                    turn.move(position)
            case Grant(ticket, run):
                if turn := self._turns.get(ticket):
                    turn.run = run
                    turn.decide(self._runs[run].grant())
                    self.decisions.granted(turn.model, run, turn.name, turn.queued + turn.loading)
            case Reject(ticket, reason):
                if turn := self._turns.get(ticket):
                    self.decisions.refused(turn.model, turn.name, reason)
                    turn.decide(Refused(reason, retry_after=self._retry_after(reason)))
            case Revoke(ticket, reason):
                if turn := self._turns.get(ticket):
                    self.decisions.revoked(turn.model, turn.name, reason)
                    turn.revoke(reason)
            case StartModel(model, run, ticket):
                turn = self._turns.get(ticket) if ticket is not None else None
                self.decisions.loading(model, run, turn.name if turn else None)
                self._read_ahead(None)
                self._runs.start(self.settings.models[model], run)
            case StopModel(run, grace, why):
                # Journalled once: who is told again is only hurried.
                if (running := self._runs.get(run)) and running.end(grace):
                    self.decisions.stopping(running.model, run, why)
            case ArmIdle(run, seconds, number):
                # Keyed by the model: a timer of its earlier run would ring for nobody.
                key = ("idle", self._runs[run].model)
                self._timers.arm(seconds, IdleElapsed(run, number), key=key)
            case ArmTurn(run, seconds):
                self._timers.arm(seconds, TurnElapsed(run), key=("turn", run))
            case ArmDrain(order, seconds):
                self._timers.arm(seconds, DrainElapsed(order), key=("drain", order))
            case Prefetch(model):
                self._read_ahead(self.settings.models[model] if model else None)
            case ArmBackOff(model, seconds, attempt):
                log.warning("%s failed %d times; left alone for %.0f s", model, attempt, seconds)
                self._timers.arm(seconds, BackOffElapsed(model, attempt), key=("back-off", model))
            case Unloaded(order):
                self._timers.disarm(("drain", order))
                self._orders.answer(effect)
            case _:
                assert_never(effect)

    def _forget_stalled(self, run: Run) -> None:
        """Say goodbye for clients that do not let their request end, when its model is gone."""
        for ticket, turn in self._turns.items():
            if turn.run == run:
                self._timers.arm(FORGET_STALLED, Departed(ticket), key=("stalled", ticket))

    def _is_back(self, ticket: Ticket) -> bool:
        """Say whether who was to be forgotten has noticed, and waits or is served anew."""
        if turn := self._turns.get(ticket):
            turn.forgotten = turn.run is not None and self._runs.get(turn.run) is None
        return turn is not None and not turn.forgotten

    def _retry_after(self, reason: Reason) -> float | None:
        if isinstance(reason, BackingOff):
            return self._timers.remaining(("back-off", reason.model))
        return self._pace.seconds_a_turn if isinstance(reason, QueueFull | TooMany) else None

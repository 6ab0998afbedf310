"""What must hold, looked at after every event that a daemon's scheduler is told."""

from collections.abc import Sequence
from typing import Any, Protocol

import attrs
import trio

from swapd import engine
from swapd.config.kinds import SchedulerKind
from swapd.config.settings import Settings
from swapd.ids import ModelId, Run, Ticket
from swapd.schedule.effects import Effect, Grant, Reject, StartModel, StopModel
from swapd.schedule.events import (
    Arrived,
    Departed,
    Event,
    ModelBroke,
    ModelReady,
    ModelStopped,
    ResetAsked,
    Returned,
    SettingsChanged,
    StopAsked,
    Unanswered,
    UnloadAsked,
)
from swapd.schedule.facts import FIRST_BACK_OFF
from swapd.schedule.fifo import AT_A_TIME
from swapd.schedule.reasons import ModelUnloaded
from tests.shapes import may_join
from tests.simulation.city import Diary


class Alive(Protocol):
    """Who knows what really lives."""

    def there(self) -> list[str]:
        """Name the models of which something lives, in the order of their starts."""


@attrs.define
class Promises:
    """Looks at an engine, and writes down what is not as it was promised."""

    diary: Diary
    alive: Alive
    engine: "Watched" = attrs.field(init=False)
    _rules: dict[ModelId, Settings] = attrs.field(factory=dict)
    """What was allowed when the start of each model was decided."""
    _loads: dict[Run, ModelId] = attrs.field(factory=dict)
    _failed: dict[ModelId, list[float]] = attrs.field(factory=dict)
    """When the loads of each model have failed, as many as did in a row."""
    _told_to_stop: set[Run] = attrs.field(factory=set)
    _unwell: set[Run] = attrs.field(factory=set)
    _served: dict[Ticket, Run] = attrs.field(factory=dict)
    _gone: dict[Run, float] = attrs.field(factory=dict)
    """When each run was gone."""
    _stopping: bool = False

    def before(self) -> None:
        """Look at the daemon between two events."""
        engine = self.engine
        runs = [engine._runs.get(turn.run) for turn in engine._turns.values() if turn.run]
        serving = [run for run in runs if run is not None and not run.loaded.ended.is_set()]
        serial = engine.settings.scheduler is SchedulerKind.SERIAL
        if serial and len(serving) > 1:
            self.diary.complain(f"served at a time: {serving}")

    def after(self, event: Event, waiting: int, effects: Sequence[Effect]) -> None:
        """Look at what the scheduler wants; `waiting` is how many did before the event."""
        self._note(event)
        self._check_admission(event, waiting, effects)
        refused = {effect.ticket for effect in effects if isinstance(effect, Reject)}
        granted: list[Grant] = []
        for effect in effects:
            if self._stopping and isinstance(effect, Grant | StartModel):
                self.diary.complain(f"{effect}, though the daemon stops")
            if isinstance(effect, StartModel):
                self._loads[effect.run] = effect.model
                failed = self._failed.get(effect.model, [])
                if len(failed) > 1 and trio.current_time() < failed[-1] + FIRST_BACK_OFF:
                    self.diary.complain(f"{effect}, though it failed at {failed}")
                self._rules[effect.model] = self.engine.settings
                self.check_start(effect.model)
            if isinstance(effect, StopModel):
                self._told_to_stop.add(effect.run)
            if isinstance(effect, Grant):
                self._check_order(effect, granted, refused)
                self._served[effect.ticket] = effect.run
                granted.append(effect)
            if isinstance(effect, Grant | Reject):
                turn = self.engine._turns.get(effect.ticket)
                if turn is not None and turn.decided:
                    self.diary.complain(f"{effect}, which was decided before")
            if isinstance(effect, Grant):
                run = self.engine._runs.get(effect.run)
                if run is None or run.unloading.cancel_called:
                    self.diary.complain(f"{effect}, and the run is not there")

    def _note(self, event: Event) -> None:
        match event:
            case StopAsked():
                self._stopping = True
            case Unanswered(run):
                self._unwell.add(run)
            # Who was told to stop before does not fail any more.
            case ModelBroke(run, _) if run in self._unready() - self._told_to_stop:
                self._failed.setdefault(self._loads[run], []).append(trio.current_time())
            case ModelStopped(run):
                self._gone[run] = trio.current_time()
            case Returned(ticket, _):
                self._served.pop(ticket, None)
            case Departed(ticket):
                self._check_goodbye(ticket)
            case ModelReady(run):
                self._failed.pop(self._loads[run], None)
            case ResetAsked(model):
                self._failed.pop(model, None)
            case UnloadAsked() | SettingsChanged():
                self._failed.clear()
                self._unwell.clear()  # Nobody wants it any more, or it is another one.
            case _:
                pass

    def _check_goodbye(self, ticket: Ticket) -> None:
        """See that who holds what is gone is forgotten soon, and nobody else is."""
        turn = self.engine._turns.get(ticket)
        if turn is not None and not turn.forgotten:
            self.diary.complain(f"ticket {ticket} is forgotten, and still there")
        gone = self._gone.get(self._served.pop(ticket, Run(0)))
        if gone is not None and trio.current_time() > gone + engine.FORGET_STALLED + 0.1:
            self.diary.complain(f"ticket {ticket} has held a run that was gone at {gone}")

    def _unready(self) -> set[Run]:
        runs = self.engine._runs._running.items()
        return {run for run, running in runs if running.loaded.ready is None}

    def _check_admission(self, event: Event, waiting: int, effects: Sequence[Effect]) -> None:
        settings = self.engine.settings
        if (
            isinstance(event, Arrived)
            and settings.scheduler is SchedulerKind.SERIAL
            and waiting >= settings.serial.max_queue
            and not any(isinstance(effect, Reject) for effect in effects)
        ):
            self.diary.complain(f"{event} is the {waiting + 1}. that waits")
        if isinstance(event, UnloadAsked) and event.keep:
            dropped = [one for one in effects if isinstance(one, Reject)]
            if any(isinstance(one.reason, ModelUnloaded) for one in dropped):
                self.diary.complain(f"{event} has dropped {dropped}")
        if isinstance(event, ModelStopped) and event.run in self._unwell:
            model = self._loads[event.run]
            idle = not waiting and not self.alive.there() and model in settings.models
            anew = any(isinstance(one, StartModel) and one.model == model for one in effects)
            if idle and not anew and not self._stopping:
                self.diary.complain(f"{model} was unwell, and is not started anew")

    def _check_order(self, grant: Grant, before: Sequence[Grant], refused: set[Ticket]) -> None:
        """See that nobody is passed over, and that no model has too many at a time."""
        turns, settings = self.engine._turns, self.engine.settings
        if (turn := turns.get(grant.ticket)) is None:
            return
        decided = refused | {one.ticket for one in before}
        for ticket, other in turns.items():
            serial = settings.scheduler is SchedulerKind.SERIAL
            waits = not other.decided and ticket not in decided
            if waits and ticket < grant.ticket and (serial or other.model == turn.model):
                self.diary.complain(f"{grant} before ticket {ticket}")
        limit = settings.models[turn.model].concurrency_limit or AT_A_TIME
        served = [ticket for ticket, one in turns.items() if one.run == grant.run]
        served += [one.ticket for one in before if one.run == grant.run]
        if len(served) >= limit:
            self.diary.complain(f"{grant}, and {len(served)} are served by it")

    def check_start(self, name: str) -> None:
        """Look at what lives when a model is started, or when that is decided."""
        # By the rules of when it was decided; a reload may have come in between.
        model = ModelId(name)
        settings, there = self._rules[model], [ModelId(one) for one in self.alive.there()]
        if settings.scheduler is SchedulerKind.SERIAL:
            fine = not there
        else:
            fine = model not in there and may_join(settings, model, there)
        if not fine:
            self.diary.complain(f"{model} is started beside {there}")

    def stuck(self) -> bool:
        """Tell whether a run is waited for that could not be ended."""
        runs = self.engine._runs
        return any(run.life.gone is not None for run in runs._running.values())

    def check_left(self) -> None:
        """Look for what somebody holds of a daemon that nobody uses."""
        engine = self.engine
        left = {
            "turns": engine._turns,
            "orders": len(engine._orders),
            "runs": engine.running(),
            "adoptions": engine._adoptions,
        }
        for what, there in left.items():
            if there:
                self.diary.complain(f"{what} are left: {there}")


class Watched(engine.Engine):
    """An engine that is looked at after every event."""

    promises: Promises

    def __init__(self, settings: Settings, scheduler: Any, **others: Any) -> None:
        super().__init__(settings, _Told(scheduler, self.promises), **others)
        self.promises.engine = self


@attrs.define
class _Told:
    """A scheduler, and what it is told and answers."""

    scheduler: Any
    promises: Promises

    def __getattr__(self, name: str) -> Any:
        return getattr(self.scheduler, name)

    def handle(self, event: Event, now: float) -> list[Effect]:
        self.promises.before()
        waiting = len(self.scheduler._desk.waiting)
        effects: list[Effect] = self.scheduler.handle(event, now)
        told = event if len(str(event)) < 300 else type(event).__name__
        self.promises.diary.log(f"{told} -> {effects}")
        self.promises.after(event, waiting, effects)
        return effects

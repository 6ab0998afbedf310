"""What must hold, looked at after every event that a daemon's scheduler is told."""

from collections.abc import Sequence
from typing import Any, Protocol

import attrs

from swapd import engine
from swapd.config.kinds import SchedulerKind
from swapd.config.settings import Settings
from swapd.ids import ModelId
from swapd.schedule.effects import Effect, Grant, Reject, StartModel
from swapd.schedule.events import Event
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

    def before(self) -> None:
        """Look at the daemon between two events."""
        engine = self.engine
        runs = [engine._runs.get(turn.run) for turn in engine._turns.values() if turn.run]
        serving = [run for run in runs if run is not None and not run.loaded.ended.is_set()]
        serial = engine.settings.scheduler is SchedulerKind.SERIAL
        if serial and len(serving) > 1:
            self.diary.complain(f"served at a time: {serving}")

    def after(self, effects: Sequence[Effect]) -> None:
        """Look at what the scheduler wants."""
        for effect in effects:
            if isinstance(effect, StartModel):
                self._rules[effect.model] = self.engine.settings
                self.check_start(effect.model)
            if isinstance(effect, Grant | Reject):
                turn = self.engine._turns.get(effect.ticket)
                if turn is not None and turn.decided:
                    self.diary.complain(f"{effect}, which was decided before")
            if isinstance(effect, Grant):
                run = self.engine._runs.get(effect.run)
                if run is None or run.unloading.cancel_called:
                    self.diary.complain(f"{effect}, and the run is not there")

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
        effects: list[Effect] = self.scheduler.handle(event, now)
        told = event if len(str(event)) < 300 else type(event).__name__
        self.promises.diary.log(f"{told} -> {effects}")
        self.promises.after(effects)
        return effects

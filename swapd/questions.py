"""What can be asked of the engine: where requests and models stand, and why.

Rule 1: answers are for people; nothing may be decided by them.
"""

from collections.abc import Iterable, Iterator

import attrs
import trio

from swapd.ids import ModelId, Ticket
from swapd.runs import Runs
from swapd.schedule.choose import Scheduler
from swapd.schedule.standing import ModelStanding, Plan, Standing
from swapd.turns import Turn


@attrs.frozen
class Questions:
    """Answers, as things stand when they are given."""

    _scheduler: Scheduler
    _turns: dict[Ticket, Turn]
    _runs: Runs

    def queue(self) -> Iterator[tuple[Standing, Turn]]:
        """Say where every request stands, in the order in which they run, the served first.

        To be heard to its end before anything is awaited.
        """
        for standing in self._scheduler.queue(trio.current_time()):
            if (turn := self._turns.get(standing.ticket)) is not None:
                yield standing, turn

    def turn(self, name: str) -> Turn | None:
        """Find the turn of a request by its name."""
        return next((turn for turn in self._turns.values() if turn.name == name), None)

    def plan(self, model: ModelId) -> Plan:
        """Say what a request for the model would lead to, if it came now."""
        return self._scheduler.plan(model, trio.current_time())

    def model(self, model: ModelId) -> ModelStanding:
        """Say all that the scheduler knows of a model."""
        return self._scheduler.model(model, trio.current_time())

    def since_last_event(self) -> float | None:
        """Say how many seconds ago the scheduler heard something; None before the first."""
        heard = self._runs.noted
        return None if heard is None else trio.current_time() - heard

    def waiting(self) -> tuple[int, float]:
        """Count those that wait, and say for how many seconds the oldest of them has."""
        since = [turn.opened for turn in self._turns.values() if not turn.decided]
        return len(since), trio.current_time() - min(since) if since else 0.0

    def spent(self) -> tuple[float, float]:
        """Say how many seconds requests were served in so far, and in how many models moved."""
        self._runs.count_time()
        return self._runs.spent.serving, self._runs.spent.swapping

    def states(self, models: Iterable[ModelId]) -> dict[str, str]:
        """Say the state of each of these models, as the API calls it."""
        return {model: self.model(model).state for model in models}

    def loading(self, model: ModelId) -> float:
        """Say for how many seconds a model has been on its way in, or was until it failed."""
        running = self._runs.of(model)
        if running is None or running.loaded.ready is not None:
            return 0.0
        return trio.current_time() - running.loaded.started

    def pid(self, model: ModelId) -> int | None:
        """Say which process, and process group, a model runs in."""
        running = self._runs.of(model)
        return running.life.pid if running else None

    def status_text(self, model: ModelId) -> str:
        """Say what a running model says of itself; "" for nothing."""
        running = self._runs.of(model)
        return running.life.status_text if running else ""

"""The runs of models: each one task under one cancel scope; ending a run is cancelling that.

Rule 1: whatever a supervisor does, a run that was started ends in one `ModelStopped`.
"""

import logging
from collections.abc import Callable

import attrs
import trio

from swapd.config.settings import Model
from swapd.ids import ModelId, Run
from swapd.models.supervisor import Supervise
from swapd.reports import Reports
from swapd.schedule.events import Event, ModelStopped
from swapd.schedule.reasons import Cause
from swapd.turns import LoadedModel
from swapd.watch.spent import Spent
from swapd.wire.pool import Pool

log = logging.getLogger(__name__)


@attrs.define
class Running:
    """One run."""

    loaded: LoadedModel
    life: Reports
    unloading: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    serving: int = 0
    """How many turns hold it."""

    @property
    def model(self) -> ModelId:
        return self.loaded.model.id

    @property
    def moving(self) -> bool:
        """Whether it is on its way in or out."""
        return self.loaded.ready is None or self.unloading.cancel_called

    def grant(self) -> LoadedModel:
        """Let one more turn hold it."""
        self.serving += 1
        self.life.uses += 1
        return self.loaded

    def end(self, grace: float | None) -> bool:
        """Have it ended; answer whether that is news to it.

        `grace` is the seconds until SIGKILL, None for the model's own. One that is ending anyway,
        because it was told so or has died, can only be hurried.
        """
        if self.unloading.cancel_called or self.loaded.ended.is_set():
            if grace is not None:
                self.life.grace.hurry(grace)
            return False
        self.life.grace.seconds = grace
        self.unloading.cancel()
        return True


@attrs.define
class Runs:
    """What runs. `supervise` lives one life of one model; `open_pool` opens the way to it."""

    supervise: Supervise
    open_pool: Callable[[Model], Pool]
    post: Callable[[Event], None]
    forget: Callable[[Run], None]
    """Called when a run is gone, for those who have not noticed."""
    nursery: trio.Nursery = attrs.field(init=False)
    """Where they live; set before the first is started."""
    _running: dict[Run, Running] = attrs.field(factory=dict)
    spent: Spent = attrs.field(factory=Spent)
    noted: float | None = None
    """When the last event was carried out, on the run's clock."""

    def note_time(self) -> None:
        """Note that an event has been carried out now."""
        self.noted = trio.current_time()
        self.count_time()

    def count_time(self) -> None:
        """Count what the time went to until now."""
        runs = self._running.values()
        serves = any(run.serving for run in runs)
        swaps = not serves and any(run.moving for run in runs)
        self.spent.note(trio.current_time(), serves=serves, swaps=swaps)

    def __getitem__(self, run: Run) -> Running:
        return self._running[run]

    def get(self, run: Run) -> Running | None:
        """Find a run that is not gone."""
        return self._running.get(run)

    def of(self, model: ModelId) -> Running | None:
        """Find the model's run."""
        return next((run for run in self._running.values() if run.model == model), None)

    def definitions(self) -> dict[ModelId, Model]:
        """Tell what runs, or is on its way in or out, as it was started."""
        return {run.model: run.loaded.model for run in self._running.values()}

    def loaded(self, model: ModelId) -> LoadedModel | None:
        """Find a model that has not ended, for whoever uses it without a turn."""
        running = self.of(model)
        return running.loaded if running and not running.loaded.ended.is_set() else None

    def start(self, model: Model, run: Run) -> None:
        """Begin a run."""
        # Made here, not in the task: an end in the same breath must find it.
        loaded = LoadedModel(model, self.open_pool(model), trio.current_time())
        life = Reports(run, model.id, self.post, loaded.ended)
        running = self._running[run] = Running(loaded, life)
        life.idle = lambda: not running.serving
        self.nursery.start_soon(self._own, run, running, name=f"{model.id}#{run}")

    def gone(self, run: Run) -> None:
        """Forget a run, when nobody can be granted it any more."""
        del self._running[run]

    async def _own(self, run: Run, running: Running) -> None:
        """Live one run to its end and report it, whatever the supervisor does."""
        loaded, life = running.loaded, running.life
        try:
            with running.unloading:
                await self.supervise(loaded.model, life)
            # Outside the scope that ended the run: only the end of the daemon ends this wait.
            if life.gone is not None:
                await life.gone()
        # The one place that catches everything: a bug in a model's care is that model's failure.
        except Exception as bug:
            log.exception("supervising %s failed", running.model)
            life.broke(Cause(f"internal error: {bug!r}"))
        finally:
            loaded.pool.close()
            self.post(ModelStopped(run))
            loaded.ended.set()
            self.forget(run)

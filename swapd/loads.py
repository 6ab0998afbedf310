"""Loading a model because somebody wants it loaded, without a request for it.

A load takes its turn like any request and gives it back when the model is ready; so it can be
seen, cancelled and refused like any.
"""

import logging
from collections.abc import Callable, Iterable

import attrs
import trio

from swapd.config.change import same_process
from swapd.config.settings import Settings
from swapd.engine import Engine
from swapd.flights import Flights
from swapd.ids import ModelId
from swapd.turns import Refused

log = logging.getLogger(__name__)


@attrs.define
class Loads:
    """Loads models, waited for or in the background."""

    engine: Engine
    flights: Flights
    heard_by: list[Callable[[ModelId, bool], None]] = attrs.field(factory=list)
    """Who is told of each preload that is over, and whether the model is loaded."""
    _nursery: trio.Nursery = attrs.field(init=False)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Own the loads that nobody waits for, until cancelled."""
        async with trio.open_nursery() as self._nursery:
            task_status.started()
            await trio.sleep_forever()

    def begin(self, model: ModelId) -> str:
        """Load a model in the background; answer with the name of the load."""
        name = self.flights.next_id()
        self._nursery.start_soon(self._load, name, model)
        return name

    async def load(self, model: ModelId) -> Refused | None:
        """Load a model; answer when it is ready, or with why it is not."""
        return await self._load(self.flights.next_id(), model)

    def preload(self, models: Iterable[ModelId]) -> None:
        """Load models in the background, one after the other, whatever becomes of each."""
        self._nursery.start_soon(self._preload, tuple(models))

    async def _preload(self, models: tuple[ModelId, ...]) -> None:
        for model in models:
            log.info("preloading %s", model)
            loaded = await self.load(model) is None
            if not loaded:
                log.warning("cannot preload %s", model)
            for hear in self.heard_by:
                hear(model, loaded)

    async def _load(self, name: str, model: ModelId) -> Refused | None:
        path = f"/api/models/load/{model}"
        refused: Refused | None = None
        with (
            self.flights.open(name, method="POST", path=path, client=None, model=model) as flight,
            self.engine.turn(model, revoke=flight.end, name=name) as turn,
        ):
            try:
                await turn.granted()
            except Refused as no:
                refused = no
        return Refused(flight.cut) if flight.cut else refused


def newly_preloaded(old: Settings, new: Settings) -> list[ModelId]:
    """Say what a reload has to preload: what was not to be before, or has lost its process."""
    return [
        model
        for model in new.preload
        if model not in old.preload
        or model not in old.models
        or not same_process(old.models[model], new.models[model])
    ]

"""Loading a model because somebody wants it loaded, without a request for it.

A load takes its turn like any request and gives it back when the model is ready; so it can be
seen, cancelled and refused like any.
"""

import attrs
import trio

from swapd.engine import Engine
from swapd.flights import Flights
from swapd.ids import ModelId
from swapd.turns import Refused


@attrs.define
class Loads:
    """Loads models, waited for or in the background."""

    engine: Engine
    flights: Flights
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

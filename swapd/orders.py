"""Orders to unload: each waits for its own answer, and nobody else waits for it."""

import itertools
from collections.abc import Callable, Iterable, Iterator

import attrs
from trio_util import AsyncValue

from swapd.ids import ModelId, Order
from swapd.schedule.effects import Unloaded
from swapd.schedule.events import Event, UnloadAsked
from swapd.schedule.reasons import Unkillable


@attrs.define
class Orders:
    """What was ordered and is not done yet; `post` tells the scheduler."""

    post: Callable[[Event], None]
    _waiting: dict[Order, AsyncValue[Unloaded | None]] = attrs.field(factory=dict)
    _numbers: Iterator[int] = attrs.field(factory=lambda: itertools.count(1))

    def __len__(self) -> int:
        return len(self._waiting)

    async def unload(
        self, models: Iterable[ModelId], *, drain: bool, keep: bool, seconds: float | None
    ) -> Unkillable | None:
        """Have models gone, or all; answer when they are, or with what would not die."""
        order = Order(next(self._numbers))
        answer = self._waiting[order] = AsyncValue[Unloaded | None](None)
        self.post(UnloadAsked(order, frozenset(models), drain, keep, seconds))
        try:
            unloaded = await answer.wait_value(lambda value: value is not None)
        finally:
            del self._waiting[order]
        assert unloaded is not None
        return unloaded.stuck

    def answer(self, unloaded: Unloaded) -> None:
        """Tell whoever still waits for it."""
        if answer := self._waiting.get(unloaded.order):
            answer.value = unloaded

"""A request's claim on a model: what the engine and the request share of it."""

from collections.abc import Callable

import attrs
from trio_util import AsyncValue

from swapd.ids import Run, Ticket
from swapd.schedule.reasons import Reason
from swapd.wire.pool import Pool


class Refused(Exception):
    """The scheduler will not serve this request, for this reason."""

    def __init__(self, reason: Reason, *, retry_after: float | None = None) -> None:
        super().__init__(str(reason))
        self.reason = reason
        self.retry_after = retry_after
        """Seconds after which asking again may help; None where waiting does not."""


@attrs.define(eq=False)
class Turn:
    """One request's claim. The engine decides on it; the request waits for that and watches."""

    ticket: Ticket
    revoke: Callable[[Reason], None]
    """Called at most once, if the model is taken away after it was granted."""
    opened: float
    """When it was claimed, on the run's clock."""
    place: AsyncValue[int | None] = attrs.field(factory=lambda: AsyncValue[int | None](None))
    """The position among those that wait, counted from 1; None before the first word of it."""
    decision: AsyncValue[Pool | Refused | None] = attrs.field(
        factory=lambda: AsyncValue[Pool | Refused | None](None)
    )
    run: Run | None = None
    """The run that was granted."""

    async def granted(self) -> Pool:
        """Wait for the loaded model and answer with the way to speak to it, or raise `Refused`."""
        decision = await self.decision.wait_value(lambda value: value is not None)
        assert decision is not None
        if isinstance(decision, Refused):
            raise decision
        return decision

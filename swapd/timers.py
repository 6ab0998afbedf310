"""Events that come back later: the scheduler asks for them, because it has no clock."""

from collections.abc import Callable, Hashable

import attrs
import trio

from swapd.schedule.events import Event


@attrs.define
class _Alarm:
    """One event that is on its way; the scope's deadline is its time."""

    event: Event | None
    """None when nobody wants it any more."""
    waiting: trio.CancelScope


@attrs.define
class Timers:
    """Posts events after a while; late ones are told apart by what is in them, not unset here."""

    post: Callable[[Event], None]
    nursery: trio.Nursery = attrs.field(init=False)
    """Where they tick; set before the first is armed."""
    _alarms: dict[Hashable, _Alarm] = attrs.field(factory=dict)

    def arm(self, seconds: float, event: Event, *, key: Hashable) -> None:
        """Post the event after so many seconds, instead of what the key stood for before."""
        deadline = trio.current_time() + seconds
        alarm = self._alarms.get(key)
        if alarm is not None and not alarm.waiting.cancel_called:
            # Moved, not started anew: a busy model re-arms its idle timer with every request.
            alarm.event = event
            alarm.waiting.deadline = deadline
        else:
            alarm = self._alarms[key] = _Alarm(event, trio.CancelScope(deadline=deadline))
            self.nursery.start_soon(self._ring, key, alarm)

    def disarm(self, key: Hashable) -> None:
        """Post nothing after all."""
        if (alarm := self._alarms.pop(key, None)) is not None:
            alarm.event = None
            alarm.waiting.cancel()

    def remaining(self, key: Hashable) -> float | None:
        """Say in how many seconds the event comes; None when none is due."""
        alarm = self._alarms.get(key)
        return max(0.0, alarm.waiting.deadline - trio.current_time()) if alarm else None

    async def _ring(self, key: Hashable, alarm: _Alarm) -> None:
        with alarm.waiting:
            await trio.sleep_forever()
        if self._alarms.get(key) is alarm:
            del self._alarms[key]
        if alarm.event is not None:
            self.post(alarm.event)

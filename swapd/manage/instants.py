"""Instants as they are told. Inside, all are seconds on the run's clock, which no one sets.

Rule 1: an instant becomes a date when it is told, by the wall clock of that moment; so a clock
that was set meanwhile moves them all, and none against another.
"""

import time
from datetime import UTC, datetime
from typing import Self

import attrs
import trio

# The last second that a date of four digits can name; a model may be kept for longer.
LATEST = 253402300799.0


@attrs.frozen
class Instants:
    """What the run's clock stands for, now."""

    ahead: float
    """Seconds by which Unix time is ahead of the run's clock."""

    @classmethod
    def now(cls) -> Self:
        """Compare the clocks."""
        return cls(time.time() - trio.current_time())

    def date(self, at: float | None) -> str | None:
        """Write an instant for programs: RFC 3339 in UTC, with milliseconds."""
        if at is None:
            return None
        moment = datetime.fromtimestamp(min(at + self.ahead, LATEST), UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def time_of_day(self, at: float) -> str:
        """Write an instant for people: local time, as in the log that they lay beside it."""
        return datetime.fromtimestamp(min(at + self.ahead, LATEST)).strftime("%H:%M:%S")


def seconds(duration: float | None) -> float | None:
    """Round a duration to what anybody can read."""
    return None if duration is None else round(duration, 3)

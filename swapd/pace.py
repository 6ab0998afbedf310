"""How fast the queue moves: what `Retry-After` is computed from."""

import math

import attrs
import trio

# The weight of the newest turn in the moving average.
NEWEST_TURN = 0.2


@attrs.define
class Pace:
    """The seconds that a turn takes, load and all, lately."""

    seconds_a_turn: float = 1.0
    _last_departure: float = -math.inf

    def departed(self, opened: float) -> None:
        """Count how long a served request, that came at `opened`, kept the next one waiting."""
        now = trio.current_time()
        seconds = now - max(opened, self._last_departure)
        self.seconds_a_turn += NEWEST_TURN * (seconds - self.seconds_a_turn)
        self._last_departure = now

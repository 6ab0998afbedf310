"""The requests for models that are under way.

Each has a name that its client, the log and whoever wants to cancel it know it by, and one cancel
scope, whoever ends it: the API, the scheduler that takes its model away, or the daemon.
"""

import itertools
import logging
import secrets
from collections.abc import Iterator
from types import TracebackType

import trio

from swapd.schedule.reasons import Cancelled, Reason

log = logging.getLogger(__name__)

# Where the numbers of a daemon begin, so that the names in an old log are rarely ours.
_LOWEST_FIRST = 0x1000
_HIGHEST_FIRST = 0xFFFF


class Flight:
    """One request, from its head to the last byte of its answer.

    Leaving its context, by its end or by `end`, forgets it. Not a generator, nor an attrs class:
    this is on the path of every request.
    """

    def __init__(
        self,
        flights: dict[str, "Flight"],
        name: str,
        *,
        method: str,
        path: str,
        client: str | None,
        model: str,
    ) -> None:
        self.id = name
        self.method = method
        self.path = path
        """As it was asked for, without the query."""
        self.client = client
        """The address that it came from."""
        self.model = model
        """What serves it; a peer's model by its full name."""
        self.since = trio.current_time()
        self._flights = flights
        self._request = trio.CancelScope()
        self._reason: Reason | None = None

    def end(self, reason: Reason) -> None:
        """Cut it short, unless it ends by itself first; of several reasons the first counts."""
        self._reason = self._reason or reason
        self._request.cancel()

    @property
    def ending(self) -> bool:
        """Whether it was told to end, and may be a moment from that."""
        return self._reason is not None

    @property
    def cut(self) -> Reason | None:
        """Why it was cut short, if it was; known when it is over."""
        return self._reason if self._request.cancelled_caught else None

    def __enter__(self) -> "Flight":
        self._flights[self.id] = self
        self._request.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        del self._flights[self.id]
        return self._request.__exit__(kind, error, traceback)


class Flights:
    """Those that are under way, in the order in which they began."""

    def __init__(self) -> None:
        first = _LOWEST_FIRST + secrets.randbelow(_HIGHEST_FIRST - _LOWEST_FIRST)
        self._numbers = itertools.count(first)
        self._flights: dict[str, Flight] = {}

    def __iter__(self) -> Iterator[Flight]:
        return iter(tuple(self._flights.values()))

    def of(self, name: str) -> Flight | None:
        """Find one by its name, also one that is ending."""
        return self._flights.get(name)

    def find(self, name: str) -> Flight | None:
        """Find one by its name that nobody has told to end."""
        flight = self._flights.get(name)
        return None if flight is None or flight.ending else flight

    def cancel(self, name: str) -> bool:
        """End one because somebody wants that; answer whether there was any to end."""
        flight = self.find(name)
        if flight is None:
            return False
        log.info("cancelling request %s", name)
        flight.end(Cancelled())
        return True

    def next_id(self) -> str:
        """Make the name of the next request."""
        return f"r-{next(self._numbers):x}"

    def open(self, name: str, *, method: str, path: str, client: str | None, model: str) -> Flight:
        """Hold a request as long as the context lasts."""
        return Flight(self._flights, name, method=method, path=path, client=client, model=model)

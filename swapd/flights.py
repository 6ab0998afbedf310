"""The requests for models that are under way.

Each has a name that its client, the log and whoever wants to cancel it know it by, and one cancel
scope, whoever ends it: the API, the scheduler that takes its model away, or the daemon.
"""

import itertools
import logging
import secrets
from collections.abc import Callable, Iterator
from types import TracebackType

import trio

from swapd.schedule.reasons import Cancelled, Reason
from swapd.watch.trace import Trace

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
        flights: "Flights",
        name: str,
        *,
        method: str,
        path: str,
        client: str | None,
        model: str,
        trace: Trace | None = None,
    ) -> None:
        self.id = name
        self.method = method
        self.path = path
        """As it was asked for, without the query."""
        self.client = client
        """The address that it came from."""
        self.model = model
        """What serves it; a peer's model by its full name."""
        self.trace = trace
        """What becomes known of it; None for a load, which nobody sent."""
        self.since = trio.current_time()
        self._flights = flights
        self._request = trio.CancelScope()
        self._reason: Reason | None = None

    def end(self, reason: Reason) -> None:
        """Cut it short, unless it ends by itself first; of several reasons the first counts."""
        self._reason = self._reason or reason
        self._request.cancel()

    def headed(self) -> None:
        """Note that its client has been told a status, if that was before it was over."""
        if self._flights.of(self.id) is self:
            self._flights.tell("head", self)

    @property
    def ending(self) -> bool:
        """Whether it was told to end, and may be a moment from that."""
        return self._reason is not None

    @property
    def cut(self) -> Reason | None:
        """Why it was cut short, if it was; known when it is over."""
        return self._reason if self._request.cancelled_caught else None

    def __enter__(self) -> "Flight":
        self._flights.under_way[self.id] = self
        self._flights.tell("begun", self)
        self._request.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        del self._flights.under_way[self.id]
        self._flights.tell("over", self)
        return self._request.__exit__(kind, error, traceback)


class Flights:
    """Those that are under way, in the order in which they began."""

    def __init__(self) -> None:
        first = _LOWEST_FIRST + secrets.randbelow(_HIGHEST_FIRST - _LOWEST_FIRST)
        self._numbers = itertools.count(first)
        self.under_way: dict[str, Flight] = {}
        self.heard_by: list[Callable[[str, Flight], None]] = []
        """Who is told that one has `begun`, has the `head` of its answer, or is `over`."""

    def __iter__(self) -> Iterator[Flight]:
        return iter(tuple(self.under_way.values()))

    def tell(self, what: str, flight: Flight) -> None:
        """Tell whoever wants to know of it."""
        for hear in self.heard_by:
            hear(what, flight)

    def of(self, name: str) -> Flight | None:
        """Find one by its name, also one that is ending."""
        return self.under_way.get(name)

    def find(self, name: str) -> Flight | None:
        """Find one by its name that nobody has told to end."""
        flight = self.under_way.get(name)
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

    def open(
        self,
        name: str,
        *,
        method: str,
        path: str,
        client: str | None,
        model: str,
        trace: Trace | None = None,
    ) -> Flight:
        """Hold a request as long as the context lasts."""
        return Flight(
            self, name, method=method, path=path, client=client, model=model, trace=trace
        )

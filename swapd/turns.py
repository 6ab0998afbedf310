"""A request's claim on a model: what the engine and the request share of it."""

from collections.abc import Callable

import attrs
import trio

from swapd.config.settings import Model
from swapd.ids import ModelId, Run, Ticket
from swapd.schedule.reasons import Reason
from swapd.wire.pool import Pool

# How long after its connections the end of a process is noticed at the latest. Seconds.
DEATH_IS_SEEN = 1.0

# How long after it has cut a connection a dying model refuses new ones, and mostly is seen to be
# dead. Not longer: a model that cut one and lives on keeps others waiting for this, and who is
# refused a connection waits for the death by itself. Seconds.
DEATH_FOLLOWS = 0.1


class Refused(Exception):
    """The scheduler will not serve this request, for this reason."""

    def __init__(self, reason: Reason, *, retry_after: float | None = None) -> None:
        super().__init__(str(reason))
        self.reason = reason
        self.retry_after = retry_after
        """Seconds after which asking again may help; None where waiting does not."""


@attrs.define(eq=False)
class LoadedModel:
    """A loaded model, as whoever is granted it sees it."""

    model: Model
    """What its process was started as; since then the configuration may have changed."""
    pool: Pool
    """The way to speak to it."""
    started: float
    """When its process was started, on the run's clock."""
    ready: float | None = None
    """When it became ready; None before."""
    ended: trio.Event = attrs.field(factory=trio.Event)
    """Set when it has broken or is gone."""


@attrs.define(eq=False)
class Turn:
    """One request's claim, for as long as its context lasts.

    The engine decides on it; the request waits for that.
    """

    ticket: Ticket
    name: str
    """What the log calls the request."""
    model: ModelId
    loads: bool
    """Whether the model is loaded for it."""
    keep_alive: float | None
    """Seconds that the model is kept afterwards, below 0 for ever; None as configured."""
    revoke: Callable[[Reason], None]
    """Called at most once, if the model is taken away after it was granted."""
    opened: float
    """When it was claimed, on the run's clock."""
    _claim: Callable[["Turn"], None]
    _take_back: Callable[["Turn"], None]
    _give_back: Callable[["Turn"], None]
    run: Run | None = None
    """The run that was granted."""
    queued: float = 0.0
    """Seconds until it was granted, but for those in which its model was loaded."""
    loading: float = 0.0
    """Seconds of the wait in which its model was loaded."""
    place: int | None = None
    """The position among those that wait, counted from 1; None before the first word of it."""
    forgotten: bool = False
    """Whether it was given up, because its model is long gone and it has not noticed."""
    _heard: trio.Event | None = None
    _decision: LoadedModel | Refused | None = None
    _decided: trio.Event = attrs.field(factory=trio.Event)

    def __enter__(self) -> "Turn":
        self._claim(self)
        return self

    def __exit__(self, *error: object) -> None:
        self._give_back(self)
        self._decided.set()

    def move(self, position: int) -> None:
        """Note the position."""
        self.place = position
        if self._heard is not None:
            self._heard.set()

    async def heard(self) -> None:
        """Wait for the first word: a place in the queue, or a decision."""
        if self.place is None and self._decision is None:
            self._heard = trio.Event()
            await self._heard.wait()

    def decide(self, decision: LoadedModel | Refused) -> None:
        """Grant or refuse, once."""
        assert self._decision is None, f"ticket {self.ticket} was decided on twice"
        self._decision = decision
        if isinstance(decision, LoadedModel):
            self._measure(decision)
        self._decided.set()
        if self._heard is not None:
            self._heard.set()

    @property
    def decided(self) -> bool:
        """Whether it was granted or refused."""
        return self._decision is not None

    async def settled(self) -> None:
        """Wait until it is granted, refused, or over without either."""
        await self._decided.wait()

    async def again(self) -> bool:
        """After a model that could not be reached: go back to the head of the queue if it is dead.

        Its connections end a moment before its process is seen to, and a request that comes in
        between has not been seen by anybody. Answers False for a model that lives on, and for who
        notices so late that its ticket was given up.
        """
        if not await self._died(DEATH_IS_SEEN) or self.forgotten:
            return False
        self._decision, self.run = None, None
        self._decided = trio.Event()
        self._take_back(self)
        return True

    async def outlive(self) -> bool:
        """After an answer that ended too early, or may have: see whether the model is dead.

        To whoever is next in the queue a dying model would still look alive.
        """
        return await self._died(DEATH_FOLLOWS)

    async def granted(self) -> LoadedModel:
        """Wait for the loaded model, or raise `Refused`."""
        await self._decided.wait()
        assert self._decision is not None
        if isinstance(self._decision, Refused):
            raise self._decision
        return self._decision

    async def _died(self, within: float) -> bool:
        """Wait for the death of the model that was granted, so many seconds at most."""
        assert isinstance(self._decision, LoadedModel)
        ended = self._decision.ended
        with trio.move_on_after(within):
            await ended.wait()
        return ended.is_set()

    def _measure(self, loaded: LoadedModel) -> None:
        waited = trio.current_time() - self.opened
        began = max(self.opened, loaded.started)
        self.loading = max(0.0, loaded.ready - began) if loaded.ready is not None else 0.0
        self.queued = waited - self.loading

"""The connections to one origin.

Rule 1: a connection goes back only after a complete answer that lets it live; else it is closed,
synchronously, so that a model notices at once that nobody wants its answer any more.
Rule 2: an idle connection with something to read is stale: llama-server closes after a streamed
answer, whatever its headers said.
Rule 3: a connection may still go stale on the way. A request is sent once more only if it went out
on a reused connection that ended soon without having answered one byte, and then on a fresh one:
what a model has worked on it is never asked again. Both together have the time for an answer that
one has.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType

import trio

from swapd.config.settings import Origin, Timeouts
from swapd.wire import dial
from swapd.wire.exchange import Answer, Request, UpstreamGone, UpstreamSilent
from swapd.wire.headers import authority
from swapd.wire.line import shut, stale

# More than a model has slots; beyond, a new connection to this machine costs next to nothing.
MAX_IDLE = 32

# A stale connection answers the first bytes of a request with a reset, and this is longer than a
# round trip to any peer. One that ends later had somebody at work on the request. Seconds.
STALE_ANSWERS = 0.5

Connect = Callable[[Origin], Awaitable[trio.abc.Stream]]


class Pool:
    """Carries requests to one origin; closed when its model is stopped.

    `connect` is asked for connections in the place of `dial`, which also minds a request's limits.
    """

    def __init__(self, origin: Origin, *, connect: Connect | None = None) -> None:
        self.origin = origin
        self._connect = connect
        self._idle: list[tuple[trio.abc.Stream, float]] = []
        """With the instant at which each came back; the later ones stand behind."""
        self._closed = False

    def __repr__(self) -> str:
        return f"<Pool {self.origin}, {len(self._idle)} idle{', closed' * self._closed}>"

    def exchange(self, request: Request) -> AbstractAsyncContextManager[Answer]:
        """Send a request and hold its answer. Leaving by any door frees the connection."""
        return _Exchange(self, request)

    def close(self) -> None:
        """Close what is idle now, and what is in use when it comes back."""
        self._closed = True
        while self._idle:
            shut(self._idle.pop()[0])

    async def _open(self, timeouts: Timeouts) -> trio.abc.Stream:
        """Open a fresh connection."""
        if self._connect is not None:
            return await self._connect(self.origin)
        return await dial.connect(self.origin, timeouts)

    def _take(self, idle: float) -> trio.abc.Stream | None:
        """Take the connection that was used last, if one is alive; close those idle for longer."""
        # Not as soon as their time is up: that would be a task for each pool, to save so little.
        if idle > 0:
            since = trio.current_time() - idle
            while self._idle and self._idle[0][1] < since:
                shut(self._idle.pop(0)[0])
        while self._idle:
            stream, _ = self._idle.pop()
            if not stale(stream):
                return stream
            shut(stream)
        return None

    def _put(self, stream: trio.abc.Stream) -> None:
        """Give back a connection that may be used again."""
        if self._closed or len(self._idle) >= MAX_IDLE:
            shut(stream)
        else:
            self._idle.append((stream, trio.current_time()))


async def ask(origin: Origin, target: str, *, connect: Connect = dial.connect) -> int:
    """GET a target, as it is, on a connection of its own; return only the status."""
    headers = (
        (b"Host", authority(origin)),
        (b"Accept", b"*/*"),
        (b"Connection", b"close"),
    )
    stream = await connect(origin)
    try:
        answer = Answer(stream, origin, head_only=False)
        await answer.send(Request("GET", target.encode(), headers, b""))
        await answer.head()
        return answer.status
    finally:
        shut(stream)


class _Exchange(AbstractAsyncContextManager[Answer]):
    """One request on one connection. Not a generator: this is on the path of every request."""

    __slots__ = ("_answer", "_pool", "_request", "_stream", "_waited")

    _answer: Answer
    _stream: trio.abc.Stream

    def __init__(self, pool: Pool, request: Request) -> None:
        self._pool = pool
        self._request = request
        self._waited = 0.0

    async def __aenter__(self) -> Answer:
        timeouts = self._request.timeouts
        used = self._pool._take(timeouts.idle_conn)
        if used is not None:
            begun = trio.current_time()
            try:
                return await self._converse(used)
            except UpstreamSilent:
                if trio.current_time() - begun > STALE_ANSWERS:
                    raise  # Rule 3.
        return await self._converse(await self._pool._open(timeouts))

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._answer.reusable:
            self._pool._put(self._stream)
        else:
            shut(self._stream)

    async def _converse(self, stream: trio.abc.Stream) -> Answer:
        request = self._request
        answer = Answer(stream, self._pool.origin, head_only=request.method == "HEAD")
        held = False
        try:
            await answer.send(request)
            if request.timeouts.response_header > 0:
                await self._head_in_time(answer, request.timeouts.response_header)
            else:
                await answer.head()
            held = True
        finally:
            if not held:
                shut(stream)
        self._answer, self._stream = answer, stream
        return answer

    async def _head_in_time(self, answer: Answer, bound: float) -> None:
        begun = trio.current_time()
        with trio.move_on_after(max(bound - self._waited, 0.0)) as waiting:
            try:
                await answer.head()
            finally:
                self._waited += trio.current_time() - begun
        if waiting.cancelled_caught:
            late = f"no answer within {bound:g} s"
            raise UpstreamGone(f"cannot get an answer from {self._pool.origin}: {late}")

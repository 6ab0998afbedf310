"""The connections to one origin.

Rule 1: a connection goes back only after a complete answer that lets it live; else it is closed,
synchronously, so that a model notices at once that nobody wants its answer any more.
Rule 2: an idle connection with something to read is stale: llama-server closes after a streamed
answer, whatever its headers said.
Rule 3: a connection may still go stale on the way. A request is sent once more only if it went out
on a reused connection that did not answer one byte, and then on a fresh one.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType

import trio

from swapd.config.settings import Origin
from swapd.wire import dial
from swapd.wire.exchange import Answer, Request, UpstreamSilent
from swapd.wire.line import shut, stale

# More than a model has slots; beyond, a new connection to this machine costs next to nothing.
MAX_IDLE = 32

Connect = Callable[[Origin], Awaitable[trio.abc.Stream]]


class Pool:
    """Carries requests to one origin; closed when its model is stopped."""

    def __init__(self, origin: Origin, *, connect: Connect = dial.connect) -> None:
        self.origin = origin
        self._connect = connect
        self._idle: list[trio.abc.Stream] = []
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
            shut(self._idle.pop())

    async def _open(self) -> trio.abc.Stream:
        """Open a fresh connection."""
        return await self._connect(self.origin)

    def _take(self) -> trio.abc.Stream | None:
        """Take the idle connection that was used last, if one is alive."""
        while self._idle:
            stream = self._idle.pop()
            if not stale(stream):
                return stream
            shut(stream)
        return None

    def _put(self, stream: trio.abc.Stream) -> None:
        """Give back a connection that may be used again."""
        if self._closed or len(self._idle) >= MAX_IDLE:
            shut(stream)
        else:
            self._idle.append(stream)


async def ask(origin: Origin, target: str, *, connect: Connect = dial.connect) -> int:
    """GET a target, as it is, on a connection of its own; return only the status."""
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    headers = (
        (b"Host", f"{host}:{origin.port}".encode()),
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

    __slots__ = ("_answer", "_pool", "_request", "_stream")

    _answer: Answer
    _stream: trio.abc.Stream

    def __init__(self, pool: Pool, request: Request) -> None:
        self._pool = pool
        self._request = request

    async def __aenter__(self) -> Answer:
        used = self._pool._take()
        if used is not None:
            try:
                return await self._converse(used)
            except UpstreamSilent:
                pass  # Rule 3.
        return await self._converse(await self._pool._open())

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
        try:
            await answer.send(request)
            await answer.head()
        finally:
            if not answer.status:
                shut(stream)
        self._answer, self._stream = answer, stream
        return answer

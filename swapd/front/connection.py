"""One client's connection: hypercorn's HTTP over a stream of ours.

hypercorn's `TCPServer` would do this, but it stops reading while anything at all has come in
behind a request (a stray line break is enough, and the client's leaving stays unseen), waits
without end for a reader that has stalled, keeps the socket of a client that has left until its
idle timeout, and goes round the scheduler five times as often as it has to. So its place is taken
here; what speaks HTTP is hypercorn's protocol.

Rule 1: everything done for a client lives in its connection's nursery. The end of what the client
sends is its leaving, noticed the moment it comes, and cancels all of it.
Rule 2: a write that makes no progress for `STALLED_READER` ends the connection.
Rule 3: what need not wait does not go round the scheduler: most writes, and most messages.
"""

import logging
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import attrs
import h11
import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.h11 import H2ProtocolAssumedError, H11Protocol
from hypercorn.trio.worker_context import EventWrapper, WorkerContext
from hypercorn.typing import ASGIFramework, ConnectionState
from trio_util import move_on_when

from swapd.front.http11 import Http11
from swapd.wire.line import shut

log = logging.getLogger(__name__)

# How long a connection may be idle, or take over the head of its request. Longer than the pools
# of common clients keep theirs, so that it is them who close. Seconds.
KEEP_ALIVE = 75.0

# Longer than any healthy client pauses, shorter than an operator's patience. Seconds.
STALLED_READER = 30.0

# A write is watched in pieces of this size: a slow reader makes progress, a stalled one does not.
PIECE = 65536

# How much that came in behind a request is taken from the socket while the request is answered.
READ_AHEAD = 65536

# How many pieces of a request's body may wait for the application.
LONGEST_INBOX = 10

Message = Any
Address = tuple[str, int]


@attrs.frozen
class Peer:
    """What lies below a connection: a stream, the addresses of its ends, and its raw socket."""

    stream: trio.abc.Stream
    client: Address | None
    server: Address | None
    send_now: Callable[[bytes | bytearray], int]
    """Send what can be sent without waiting; answer how much that was."""
    reset: Callable[[], None]
    """Have the closing reset the connection instead of ending it properly."""


class Connection:
    """Speaks HTTP with one client, and runs the application for each of its requests.

    For the application it is `scope["state"]["client"]`.
    """

    def __init__(
        self, app: ASGIFramework, config: Config, terminated: EventWrapper, peer: Peer
    ) -> None:
        self.idle = True
        """Whether no request is under way."""
        self._idle_since = trio.current_time()
        self.abort = peer.reset
        self._app = app
        self._peer = peer
        self._stream = peer.stream
        self._sending = trio.Lock()
        self._ahead = bytearray()
        self._held: bytearray | None = None
        self._scope = trio.CancelScope()
        context = WorkerContext(None)
        context.terminated = terminated
        context.event_class = partial(_Parked, self._read_ahead)  # type: ignore[assignment]
        # Not `ProtocolWrapper`, which would also speak HTTP/2.
        self._protocol = H11Protocol(
            app,  # type: ignore[arg-type]  # it only ever comes back to `spawn_app`
            config,
            context,
            self,  # type: ignore[arg-type]  # what it needs of a task group is below
            ConnectionState({"client": self}),
            False,
            peer.client,
            peer.server,
            self._from_protocol,
        )
        self._spoken = Http11(config.h11_max_incomplete_size)
        self._protocol.connection = self._spoken  # type: ignore[assignment]  # all that is used of it

    async def run(self) -> None:
        """Serve until either side ends it."""
        with self._scope:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(self._end_when_idle)
                while data := await self._next():
                    try:
                        await self._protocol.handle(RawData(data))
                    except H2ProtocolAssumedError:
                        break  # The client speaks HTTP/2 without having asked.
                self.end()

    @property
    def asking(self) -> bool:
        """Whether a request is still on its way in, and so has been promised nothing."""
        return self._spoken.their_state is h11.SEND_BODY

    def end(self) -> None:
        """Cancel whatever is done for this client."""
        self._scope.cancel()

    def cut(self) -> None:
        """End it even out of a write that a stalled reader holds up and nothing may cancel."""
        shut(self._stream)
        self.end()

    # Reading

    async def _next(self) -> bytes:
        if self._ahead:
            data = bytes(self._ahead)
            self._ahead.clear()
            return data
        return await self._receive()

    async def _receive(self) -> bytes:
        try:
            return bytes(await self._stream.receive_some(PIECE))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return b""

    async def _read_ahead(self) -> None:
        """While the protocol takes nothing more: keep what comes, a bounded amount of it."""
        while len(self._ahead) < READ_AHEAD:
            data = await self._receive()
            if not data:
                self.end()
                break
            self._ahead += data
        await trio.sleep_forever()

    # For the application

    def hold(self) -> None:
        """Keep what is sent from now on, until `release`, so that it leaves in one write."""
        self._held = bytearray()

    async def release(self) -> None:
        """Send what was kept."""
        if self._held is not None:
            held, self._held = self._held, None
            await self._send(held)

    # For the protocol

    async def _from_protocol(self, event: Event) -> None:
        if isinstance(event, RawData):  # not a match: this is asked for every token
            if self._held is None:
                await self._send(event.data)
            else:
                self._held += event.data
        elif isinstance(event, Updated):
            self.idle, self._idle_since = event.idle, trio.current_time()
        elif isinstance(event, Closed):
            await self.release()
            await self._protocol.handle(Closed())
            self.end()

    async def _end_when_idle(self) -> None:
        # It wakes up now and then and looks; setting a deadline costs more than a look at a clock.
        due = trio.current_time() + KEEP_ALIVE
        while not self.idle or trio.current_time() < due:
            await trio.sleep_until(max(due, trio.current_time()))
            due = (self._idle_since if self.idle else trio.current_time()) + KEEP_ALIVE
        self.end()

    async def _send(self, data: bytes | bytearray) -> None:
        if self._scope.cancel_called:
            return None  # Something before this was not sent; this must not stand in its place.
        try:
            sent = 0 if self._sending.locked() else self._peer.send_now(data)
        except trio.BrokenResourceError:
            return self.end()
        if sent < len(data):
            async with self._sending:
                # A cancelled request must not leave half a chunk. Bounded by STALLED_READER.
                with trio.CancelScope(shield=True):
                    await self._send_patiently(memoryview(data)[sent:])
        return None

    async def _send_patiently(self, data: memoryview) -> None:
        for start in range(0, len(data), PIECE):
            with trio.move_on_after(STALLED_READER) as patience:
                try:
                    await self._stream.send_all(data[start : start + PIECE])
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    return self.end()
            if patience.cancelled_caught:
                log.info("a client has read nothing for %.0f s; closing", STALLED_READER)
                self.abort()
                return self.end()
        return None

    async def spawn_app(
        self,
        app: object,
        config: Config,
        scope: Any,
        send: Callable[[Message | None], Awaitable[None]],
    ) -> Callable[[Message], Awaitable[None]]:
        """Run the application for a request; answer with where its messages go."""
        inbox = _Inbox()
        self._nursery.start_soon(self._answer, scope, inbox, send)
        return inbox.put

    async def _answer(
        self, scope: Any, inbox: "_Inbox", send: Callable[[Message | None], Awaitable[None]]
    ) -> None:
        try:
            await self._app(scope, inbox.receive, send)
        except Exception:
            log.exception("answering %s failed", scope["path"])
        inbox.close()
        # Said of every request that was not cancelled: hypercorn then ends what is unfinished.
        await send(None)


class _Inbox:
    """A request's messages on their way to the application."""

    def __init__(self) -> None:
        self._messages: deque[Message] = deque()
        self._news = trio.lowlevel.ParkingLot()
        self._room = trio.lowlevel.ParkingLot()
        self._closed = False

    async def put(self, message: Message) -> None:
        """Wait for room, unless nobody reads any more."""
        while len(self._messages) >= LONGEST_INBOX and message["type"] != "http.disconnect":
            if self._closed:
                return
            await self._room.park()
        self._messages.append(message)
        if self._news:
            self._news.unpark()

    async def receive(self) -> Message:
        """Wait for the next message."""
        while not self._messages:
            await self._news.park()
        if self._room:
            self._room.unpark()
        return self._messages.popleft()

    def close(self) -> None:
        """Hold up nobody any more."""
        self._closed = True
        self._room.unpark_all()


class _Parked(EventWrapper):
    """hypercorn's "you may read on"; while it is waited for, the client may leave."""

    def __init__(self, meanwhile: Callable[[], Awaitable[None]]) -> None:
        super().__init__()
        self._meanwhile = meanwhile

    async def wait(self) -> None:
        """Wait until it is set."""
        async with move_on_when(super().wait):
            await self._meanwhile()

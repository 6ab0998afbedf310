"""One client's connection: hypercorn's HTTP over a stream of ours.

hypercorn's `TCPServer` would do this, but it overlooks a client's leaving while anything stands
unread behind its request, waits without end for a reader that has stalled, and goes round the
scheduler far too often. So its place is taken here; what speaks HTTP is hypercorn's protocol.

Rule 1: everything done for a client lives in its connection's nursery. The end of what the client
sends is its leaving, noticed the moment it comes, and cancels all of it.
Rule 2: a write that makes no progress for `STALLED_READER` ends the connection.
Rule 3: what need not wait does not go round the scheduler: most writes, and most messages.
Rule 4: whatever it is that a client drips, the whole of a head has `KEEP_ALIVE`, from the end of
what came before it. Bodies are paced by who reads them.
Rule 5: a tunnel ends with its application, which may still pass on what a client said last.
"""

import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import ExitStack
from typing import Any

import attrs
import h11
import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.trio.worker_context import EventWrapper, WorkerContext
from hypercorn.typing import ASGIFramework, ConnectionState

from swapd.front.http11 import Http11
from swapd.front.inbox import Inbox, Message, Parked
from swapd.front.protocol import Protocol
from swapd.proxy.body import SLOWEST_UPLOAD
from swapd.wire.line import shut, stale

log = logging.getLogger(__name__)

# How long a connection may be idle, or take over the head of its request. Longer than the pools
# of common clients keep theirs, so that it is them who close. Seconds.
KEEP_ALIVE = 75.0

# Longer than any healthy client pauses, shorter than an operator's patience. Seconds.
STALLED_READER = 30.0

# A write is watched in pieces of this size: a slow reader makes progress, a stalled one does not.
PIECE = 65536

# Who has sent half a request, and then for so long nothing, or no more than drops, is no better
# than who sent nothing, where others need the room. Seconds.
FALTERING = 1.0

# How much that came in behind a request is taken from the socket while the request is answered.
READ_AHEAD = 65536

Put = Callable[[Message], Awaitable[None]]
Send = Callable[[Message | None], Awaitable[None]]
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


@attrs.frozen
class Tunnel:
    """An upgraded connection: bytes both ways, and nothing of HTTP. For one receiver."""

    receive: Callable[[], Coroutine[Any, Any, bytes]]
    """Wait for what the client sent behind its request; b"" is its end."""
    send: Callable[[bytes], Coroutine[Any, Any, None]]
    """Send all, or cancelled some; raise `BrokenResourceError` for who is gone or has stalled."""


class Connection:
    """Speaks HTTP with one client, and runs the application for each of its requests.

    For the application it is `scope["state"]["client"]`.
    """

    def __init__(self, app: Any, config: Config, terminated: EventWrapper, peer: Peer) -> None:
        self.idle = True
        """Whether no request is under way."""
        self.following = False
        """Whether all that is done for it is to tell it what happens."""
        self.goodbye = ExitStack()
        """What is done when it ends, however it does."""
        self._idle_since = self._heard = self._asked_since = trio.current_time()
        self._got = 0
        self.abort = peer.reset
        self._app: ASGIFramework = app
        self._peer = peer
        self._sending = trio.Lock()
        self._ahead = bytearray()
        self._turned = trio.lowlevel.ParkingLot()  # Who fills or empties `_ahead` waits here.
        self._ended = self._tunnelling = False
        self._held: bytearray | None = None
        self._scope = trio.CancelScope()
        context = WorkerContext(None)
        context.terminated = terminated
        tasks: Any = self  # All that is used of a task group is `spawn_app`.
        where = (ConnectionState({"client": self}), False, peer.client, peer.server)
        # Not `ProtocolWrapper`, which would also speak HTTP/2.
        self._protocol = Protocol(app, config, context, tasks, *where, self._from_protocol)
        self._protocol.can_read = Parked(self._read_ahead)
        self._spoken = Http11(config.h11_max_incomplete_size)
        self._protocol.connection = self._spoken

    async def run(self) -> None:
        """Serve until either side ends it."""
        with self.goodbye, self._scope:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(self._end_when_idle)
                while data := await (self._take() if self._ahead else self._receive()):
                    await self._protocol.handle(RawData(data))
                self.end()

    @property
    def asking(self) -> bool:
        """Whether no stop waits for what the client sends: half a request, or a tunnel."""
        return self._tunnelling or self._spoken.their_state is h11.SEND_BODY

    @property
    def silent_since(self) -> float | None:
        """Since when nothing is asked, or no more of half a request; None for all others."""
        if self._scope.cancel_called or self._tunnelling:
            return None
        if self.idle:
            return self._idle_since
        return self._heard if self.asking and self._falters() else None

    def _falters(self) -> bool:
        """Whether half a request comes no more, or in drops."""
        now = trio.current_time()
        asked = now - self._asked_since
        return now >= self._heard + FALTERING or (
            asked >= FALTERING and self._got < SLOWEST_UPLOAD * asked
        )

    def dismiss(self) -> bool:
        """End it, unless there is more of it to be read; say whether it ends."""
        if self.silent_since is None or stale(self._peer.stream):
            return False
        self.end()
        return True

    def end(self) -> None:
        """Cancel whatever is done for this client."""
        self._scope.cancel()

    def cut(self) -> None:
        """End it even out of a write that a stalled reader holds up and nothing may cancel."""
        shut(self._peer.stream)
        self.end()

    # Reading

    async def _take(self) -> bytes:
        while not (self._ahead or self._ended):
            await self._turned.park()
        data = bytes(self._ahead)
        self._ahead.clear()
        self._turned.unpark_all()
        return data

    async def _receive(self) -> bytes:
        try:
            data = bytes(await self._peer.stream.receive_some(PIECE))
            self._heard = trio.current_time()
            self._got += len(data)
            return data
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return b""

    async def _read_ahead(self) -> None:
        """While the protocol takes nothing more: keep what comes, a bounded amount of it."""
        while not self._ended:
            while len(self._ahead) >= READ_AHEAD:
                await self._turned.park()
            data = await self._receive()
            self._ahead += data
            self._ended = not data
            self._turned.unpark_all()
        if not self._tunnelling:
            self.end()
        await trio.sleep_forever()

    # For the application

    @property
    def upgrade(self) -> bytes:
        """What the client asked to speak instead of HTTP: b"websocket", or nothing."""
        return self._spoken.upgrade

    def tunnel(self) -> Tunnel:
        """Speak no more HTTP to a client that asked for an upgrade, not even an answer to that."""
        assert self.upgrade, "only what was asked for can be spoken"
        self._tunnelling = True
        self._ahead[:0] = self._spoken.trailing_data[0]
        if self._protocol.context.terminated.is_set():
            self.end()
        return Tunnel(self._take, self._send_all)

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
            self._asked_since, self._got = trio.current_time(), 0
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
            return  # Something before this was not sent; this must not stand in its place.
        try:
            await self._send_all(data)
        except trio.BrokenResourceError:
            self.end()

    async def _send_all(self, data: bytes | bytearray) -> None:
        try:
            sent = 0 if self._sending.locked() else self._peer.send_now(data)
            if sent < len(data):
                whole = not self._tunnelling
                # A cancelled request must not leave half a chunk. Bounded by STALLED_READER.
                with trio.CancelScope(shield=whole and sent > 0) as begun:
                    async with self._sending:
                        begun.shield = whole
                        await self._send_patiently(memoryview(data)[sent:])
        except trio.ClosedResourceError as cut:
            raise trio.BrokenResourceError("the connection was cut") from cut

    async def _send_patiently(self, data: memoryview) -> None:
        for start in range(0, len(data), PIECE):
            with trio.move_on_after(STALLED_READER) as patience:
                await self._peer.stream.send_all(data[start : start + PIECE])
            if patience.cancelled_caught:
                log.info("a client has read nothing for %.0f s; closing", STALLED_READER)
                self.abort()
                shut(self._peer.stream)  # Nothing may be sent behind what was left out.
                raise trio.BrokenResourceError("the client has stalled")

    async def spawn_app(self, app: object, config: Config, scope: Any, send: Send) -> Put:
        """Run the application for a request; answer with where its messages go."""
        inbox = Inbox()
        self._nursery.start_soon(self._answer, scope, inbox, send)
        return inbox.put

    async def _answer(self, scope: Any, inbox: "Inbox", send: Send) -> None:
        try:
            await self._app(scope, inbox.receive, send)
        except Exception:
            log.exception("answering %r failed", scope["path"])
        if self._tunnelling:
            return self.end()
        inbox.close()
        # Said of every request that was not cancelled: hypercorn then ends what is unfinished.
        return await send(None)

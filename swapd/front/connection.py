"""One client's connection, read ahead so that a hang-up is noticed at once.

hypercorn stops reading while a request is under way and anything at all has come in behind it: a
stray line break is enough, and the client's leaving stays unseen until a write fails. It also
shields its writes from every cancellation, so that a reader who has stopped reading pins the task.
Both are mended below hypercorn, in the stream that it is given:

Rule 1: one task reads ahead, a bounded amount. Its end is the client's leaving, noticed the moment
it comes, and everything that is done for this client is cancelled with it.
Rule 2: a write that makes no progress for `STALLED_READER` breaks the connection.
"""

import socket
import struct

import trio

# Longer than any healthy client pauses, shorter than an operator's patience. Seconds.
STALLED_READER = 30.0

# How much may come in behind a request before reading waits for it to be taken.
READ_AHEAD = 65536

# A write is watched in pieces of this size: a slow reader makes progress, a stalled one does not.
PIECE = 65536

# SO_LINGER on, zero seconds: closing resets the connection instead of ending it properly.
RESET = struct.pack("ii", 1, 0)


class Client(trio.abc.Stream):
    """A connection as hypercorn wants it."""

    def __init__(self, stream: trio.abc.Stream, sock: trio.socket.SocketType) -> None:
        self._stream = stream
        self.socket = sock
        """Where hypercorn asks for the addresses of both ends."""
        self._ahead = bytearray()
        self._news = trio.Event()
        self._taken = trio.Event()

    def abort(self) -> None:
        """Have the closing reset the connection, so that nobody takes a part for the whole."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    async def read_ahead(self) -> None:
        """Read until the client hangs up; run beside hypercorn, which is to end when this does."""
        while data := await self._receive():
            self._ahead += data
            self._news.set()
            while len(self._ahead) >= READ_AHEAD:
                await self._taken.wait()

    async def _receive(self) -> bytes | bytearray:
        try:
            return await self._stream.receive_some(PIECE)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return b""

    # For hypercorn

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Answer with what was read ahead; the end is not told here, it cancels the reader."""
        while not self._ahead:
            await self._news.wait()
        data = bytes(self._ahead[:max_bytes])
        del self._ahead[: len(data)]
        if not self._ahead:
            self._news = trio.Event()
        self._taken.set()
        self._taken = trio.Event()
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send, unless the reader has stalled: then the connection is broken."""
        for start in range(0, len(data), PIECE):
            with trio.move_on_after(STALLED_READER) as patience:
                await self._stream.send_all(data[start : start + PIECE])
            if patience.cancelled_caught:
                raise trio.BrokenResourceError(f"nothing read for {STALLED_READER:g} s")

    async def wait_send_all_might_not_block(self) -> None:
        """Ask the stream beneath."""
        await self._stream.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        """Say that nothing more comes, where the stream can say that."""
        if isinstance(self._stream, trio.abc.HalfCloseableStream):
            await self._stream.send_eof()

    async def aclose(self) -> None:
        """Close; never waits long, because TLS's goodbye is best effort."""
        await self._stream.aclose()

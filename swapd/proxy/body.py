"""Reading a request's body, bounded in size and in time, and getting rid of one not wanted.

The body is read before the request queues: hypercorn tells of a hang-up only through the same
channel, and a queue must not keep a client's upload half sent.

Rule 1: a large body lies on disk while it waits, and no more than two mebibytes of it in memory.
Rule 2: its file has no name, and whoever has read the body closes it; until then, every way out
of here does.
Rule 3: a body is read from any offset, any number of times: a request may be sent twice.
"""

import math
import os
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from io import FileIO
from typing import Any, TypeVar

import attrs
import trio

from swapd.envelope import Refusal
from swapd.refusals import body_stalled, body_too_large, upload_failed

Receive = Callable[[], Awaitable[Any]]
Tap = Callable[[bytes], None]
Result = TypeVar("Result")

# A client that sends nothing more of its body for this long is not going to.
STALLED_UPLOAD = 60.0

# How long what a refused client still sends is thrown away, so that it gets to read the refusal:
# closing with unread bytes would reset the connection under its feet.
LINGER = 5.0

# A body up to this is kept in memory: every chat, and most pictures. Larger ones are written to
# disk in pieces of this size, which are worth a thread.
SPOOLED = 1024 * 1024

# How much of a body is handed over at a time.
PIECE = 256 * 1024


class ClientGone(Exception):
    """The client hung up before its request was complete."""


class BadUpload(Exception):
    """The body is refused, and what is left of it has not been read."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class Spooled:
    """A body on disk, in a file that ends with the process if not before."""

    def __init__(self, file: FileIO) -> None:
        self.size = 0
        """In bytes."""
        self._file = file
        self._users = 0
        self._closing = False

    async def piece(self, at: int) -> bytes:
        """Answer with the next bytes from there, b"" at the end; raise OSError."""
        return await self._threaded(lambda file: os.pread(file, PIECE, at))

    async def whole(self) -> bytes:
        """Answer with all of it, for who must have it in memory; raise `BadUpload`."""
        with _disk_trouble():
            return await self._threaded(lambda file: _read(file, self.size))

    async def append(self, data: bytes | bytearray) -> None:
        """Write some more; raise OSError."""
        await self._threaded(lambda file: _write(file, data, self.size))
        self.size += len(data)

    def close(self) -> None:
        """Give the disk its space back; also a second time, and while somebody reads."""
        self._closing = True
        # A thread that still reads knows the file by a number, which would soon be another file's.
        if not self._users:
            self._file.close()

    async def _threaded(self, use: Callable[[int], Result]) -> Result:
        assert not self._closing, "a body was used after it was closed"
        self._users += 1
        try:
            # Not abandoned when cancelled, though a disk may be slow: see `close`.
            return await trio.to_thread.run_sync(use, self._file.fileno())
        finally:
            self._users -= 1
            if self._closing:
                self.close()


Body = bytes | Spooled


@attrs.define
class Spliced:
    """A body with other bytes in some places of it; nothing is copied."""

    body: Body
    places: Sequence[tuple[int, int]]
    """Where each begins and where it ends, in order."""
    value: bytes
    size: int = attrs.field(init=False)

    @size.default
    def _size(self) -> int:
        replaced = sum(len(self.value) - (end - start) for start, end in self.places)
        return _size(self.body) + replaced

    async def piece(self, at: int) -> bytes:
        """Answer with the next bytes from there, b"" at the end; raise OSError."""
        old = new = 0  # The same place, in the body as it was and as it is.
        for start, end in self.places:
            kept = start - old
            if at < new + kept:
                return await self._kept(old + at - new, start)
            new += kept
            if at < new + len(self.value):
                return self.value[at - new : at - new + PIECE]
            new += len(self.value)
            old = end
        return await self._kept(old + at - new, _size(self.body))

    def close(self) -> None:
        """Close the body."""
        if isinstance(self.body, Spooled):
            self.body.close()

    async def _kept(self, at: int, end: int) -> bytes:
        if isinstance(self.body, bytes):
            return self.body[at : min(end, at + PIECE)]
        return (await self.body.piece(at))[: end - at]


def replaced(body: Body, places: Sequence[tuple[int, int]], value: bytes) -> Body | Spliced:
    """Put `value` in these places of a body, which stand in order and do not overlap."""
    if isinstance(body, Spooled):
        return Spliced(body, places, value) if places else body
    for start, end in reversed(places):
        body = body[:start] + value + body[end:]
    return body


async def read_body(
    receive: Receive, limit: int, *, announced: int | None, tap: Tap | None = None
) -> Body:
    """Answer with the whole body; raise `BadUpload` or `ClientGone`.

    `tap` is shown every piece of it in order; what it raises ends the reading.
    """
    if announced is not None and announced > limit:
        raise BadUpload(body_too_large(limit))
    with trio.move_on_after(STALLED_UPLOAD) as patience:
        upload = _Upload(receive, limit, tap, patience)
        body = await upload.piece()
        # Not a list of pieces: in chunks of a byte each that would be fifty times the size.
        rest = bytearray()
        while upload.more and upload.size <= SPOOLED:
            rest += await upload.piece()
        if upload.size <= SPOOLED:
            return body + rest if rest else body
        rest[:0] = body
        return await _spool(upload, rest)
    raise BadUpload(body_stalled(STALLED_UPLOAD))


async def discard_body(receive: Receive) -> None:
    """Throw away what still comes, until its end, the client's, or ours of patience."""
    with trio.move_on_after(LINGER):
        while True:
            message = await receive()
            if message["type"] == "http.disconnect" or not message.get("more_body", False):
                return


@attrs.define
class _Upload:
    """What is still to come of a body."""

    receive: Receive
    limit: int
    tap: Tap | None
    patience: trio.CancelScope
    size: int = 0
    """How much of it has come."""
    more: bool = True

    async def piece(self) -> bytes:
        message = await self.receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        piece: bytes = message.get("body", b"")
        self.more = message.get("more_body", False)
        self.size += len(piece)
        if self.size > self.limit:
            raise BadUpload(body_too_large(self.limit))
        if self.tap is not None:
            self.tap(piece)
        if self.more:
            self.wait()
        return piece

    def wait(self) -> None:
        self.patience.deadline = trio.current_time() + STALLED_UPLOAD


async def _spool(upload: _Upload, held: bytearray) -> Spooled:
    with ExitStack() as unfinished:
        upload.patience.deadline = math.inf  # It is with the client, not with the disk.
        with _disk_trouble():
            spooled = Spooled(await trio.to_thread.run_sync(_nameless_file))
        unfinished.callback(spooled.close)
        while held:
            with _disk_trouble():
                await spooled.append(held)
            held = bytearray()
            upload.wait()
            while upload.more and len(held) < SPOOLED:
                held += await upload.piece()
            upload.patience.deadline = math.inf
        unfinished.pop_all()
        return spooled


@contextmanager
def _disk_trouble() -> Iterator[None]:
    try:
        yield
    except OSError as trouble:
        raise BadUpload(upload_failed(trouble.strerror or str(trouble))) from trouble


def _nameless_file() -> FileIO:
    # Unbuffered: closing a buffer that could not be written fails a second time.
    return tempfile.TemporaryFile(prefix="swapd-", buffering=0)


def _write(file: int, data: bytes | bytearray, at: int) -> None:
    with memoryview(data) as rest:
        done = 0
        while done < len(rest):
            done += os.pwrite(file, rest[done:], at + done)


def _read(file: int, size: int) -> bytes:
    whole = os.pread(file, size, 0)
    while len(whole) < size and (more := os.pread(file, size, len(whole))):
        whole += more
    return whole


def _size(body: Body) -> int:
    return len(body) if isinstance(body, bytes) else body.size

"""Bodies that wait for their turn: small ones in memory, large ones on disk.

Rule 1: what is on disk is read when it is sent, a piece at a time and from any offset: a request
may be sent twice.
Rule 2: whoever has a body closes it, on every way out. Closing is synchronous and may be repeated.
Rule 3: a file has no name, and so ends with the process if not before.
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from io import FileIO
from typing import TypeVar

import attrs
import trio

Result = TypeVar("Result")

# A body up to this is kept in memory: every chat, and most pictures. Larger ones are written to
# disk in pieces of this size, which are worth a thread.
SPOOLED = 1024 * 1024

# How much of a body is handed over at a time.
PIECE = 256 * 1024


class NotKept(Exception):
    """The disk does not take a body, or does not give it back."""


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
        """Answer with all of it, for who must have it in memory; raise `NotKept`."""
        with _disk():
            return await self._threaded(lambda file: _read(file, self.size))

    async def append(self, data: bytes | bytearray) -> None:
        """Write some more; raise `NotKept`."""
        with _disk():
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


async def open_spooled() -> Spooled:
    """Make room on disk; raise `NotKept`."""
    with _disk():
        return Spooled(await trio.to_thread.run_sync(_nameless_file))


async def kept(data: bytes) -> Body:
    """Keep what has been made of a body, where its size says; raise `NotKept`."""
    if len(data) <= SPOOLED:
        return data
    with ExitStack() as unfinished:
        spooled = await open_spooled()
        unfinished.callback(spooled.close)
        await spooled.append(data)
        unfinished.pop_all()
        return spooled


async def whole(body: Body) -> bytes:
    """Answer with a body in one piece; raise `NotKept`."""
    return body if isinstance(body, bytes) else await body.whole()


def close(body: "Body | Spliced") -> None:
    """Let go of a body's file, if it has one."""
    if not isinstance(body, bytes):
        body.close()


@contextmanager
def _disk() -> Iterator[None]:
    try:
        yield
    except OSError as trouble:
        raise NotKept(trouble.strerror or str(trouble)) from trouble


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

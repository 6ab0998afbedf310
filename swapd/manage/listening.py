"""What waits to be sent to one who follows `GET /api/events`: a bounded queue of frames.

Rule 1: putting never blocks and never grows: the oldest frames go.
Rule 2: who lost something is told. A log has a line where its bytes stood; of what tells how
things stand, the newest is kept; and requests in flight are told anew, all of them, as they are
then. So the picture is true again as soon as somebody reads.
"""

from collections import deque
from collections.abc import Callable, Iterable

import trio

from swapd.manage.frames import Frame, Kind, dropped

# llama-swap's queue, in frames; and in bytes, for a frame may be long.
MOST_FRAMES = 1024
MOST_BYTES = 512 * 1024

# The most that is sent at once, unless one frame alone is longer.
PIECE = 64 * 1024


class Listener:
    """One who follows; `snapshot` makes the frame of all requests that are in flight."""

    def __init__(self, snapshot: Callable[[], Frame]) -> None:
        self._snapshot = snapshot
        self._first = deque[bytes]()
        self._queue = deque[Frame]()
        self._size = 0
        self._lost: dict[str, int] = {}
        self._latest: dict[Kind, Frame] = {}
        self._outdated = False
        self._ended = trio.Event()
        self._came = trio.Event()

    def begin(self, frames: Iterable[Frame]) -> None:
        """Tell how things stand, before anything else and however much that is."""
        if not self._ended.is_set():
            self._first.extend(frame.data for frame in frames)
            self._came.set()

    def put(self, frame: Frame) -> None:
        """Have something told."""
        if self._ended.is_set() or (self._outdated and frame.kind is Kind.IN_FLIGHT):
            return
        self._queue.append(frame)
        self._size += len(frame.data)
        while len(self._queue) > MOST_FRAMES or self._size > MOST_BYTES:
            self._lose(self._pop())
        self._came.set()

    def close(self) -> None:
        """Tell nothing more."""
        self._ended.set()
        self._came.set()
        self._first.clear()
        self._queue.clear()
        self._size = 0

    @property
    def waiting(self) -> int:
        """How many bytes wait to be sent."""
        return sum(map(len, self._first)) + self._size

    async def receive(self) -> bytes:
        """Wait for what comes next, several frames of it if there are; b"" is the end."""
        await self._came.wait()
        if self._ended.is_set():
            return b""
        pieces: list[bytes] = []
        size = 0
        while (following := self._next()) and (not pieces or size + len(following) <= PIECE):
            pieces.append(following)
            size += len(following)
            if self._first:
                self._first.popleft()
            else:
                self._pop()
        if not self._next():
            self._came = trio.Event()
        return b"".join(pieces)

    def _next(self) -> bytes:
        # Not before all of the last time was read, or it could grow faster than it is.
        if not self._first:
            self._make_up()
        if self._first:
            return self._first[0]
        return self._queue[0].data if self._queue else b""

    def _pop(self) -> Frame:
        oldest = self._queue.popleft()
        self._size -= len(oldest.data)
        return oldest

    def _lose(self, frame: Frame) -> None:
        match frame.kind:
            case Kind.LOG:
                self._lost[frame.source] = self._lost.get(frame.source, 0) + frame.told
            case Kind.IN_FLIGHT:
                self._outdated = True
            case _:
                self._latest[frame.kind] = frame

    def _make_up(self) -> None:
        """Put what was lost in front of what is left, as far as it can be said."""
        if not (self._lost or self._latest or self._outdated):
            return
        missed = [dropped(source, count) for source, count in self._lost.items()]
        missed += self._latest.values()
        if self._outdated:
            missed.append(self._snapshot())
            kept = [frame for frame in self._queue if frame.kind is not Kind.IN_FLIGHT]
            self._queue = deque(kept)
            self._size = sum(len(frame.data) for frame in kept)
        self._first.extend(frame.data for frame in missed)
        self._lost.clear()
        self._latest.clear()
        self._outdated = False

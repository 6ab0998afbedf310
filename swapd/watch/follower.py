"""One who reads a log as it is written.

Rule 1: putting never blocks and never grows: who is slow loses the oldest, and sees how much.
Rule 2: a sleeping follower is woken once, however much comes before it runs.
Rule 3: only the task that all else runs in may touch one.
"""

from collections import deque

import trio

# What waits for a slow reader, in bytes; and in pieces, because each of them costs memory, too.
# It comes to the same for lines of ordinary length.
MOST = 256 * 1024
MOST_PIECES = 2048

# The most that is received at once.
PIECE = 64 * 1024


class Follower:
    """What waits to be read."""

    def __init__(self) -> None:
        self._pieces = deque[bytes]()
        self._size = 0
        self._dropped = 0
        """Bytes that stood before what waits, and were not read."""
        self._closed = False
        self._asleep = trio.lowlevel.ParkingLot()

    def put(self, data: bytes) -> None:
        """Have it read some time."""
        if self._closed or not data:
            return
        self._dropped += max(0, len(data) - MOST)
        data = data[-MOST:]
        self._pieces.append(data)
        self._size += len(data)
        while self._size > MOST or len(self._pieces) > MOST_PIECES:
            oldest = len(self._pieces.popleft())
            self._size -= oldest
            self._dropped += oldest
        if self._asleep:
            self._asleep.unpark()

    async def receive(self) -> bytes:
        """Wait for something, and take what came, up to `PIECE` of it; b"" when there is no more.

        Where something was dropped it says how much. What came before the end is still answered.
        """
        await trio.lowlevel.checkpoint()
        while not self._pieces and not self._closed:
            await self._asleep.park()
        return self.take(PIECE)

    def take(self, most: int | None = None) -> bytes:
        """Take what is there now, all of it or up to so many bytes."""
        taken = []
        room = self._size if most is None else most
        if self._dropped:
            taken.append(marker(self._dropped))
            self._dropped = 0
            room -= 0 if most is None else len(taken[0])
        while self._pieces and room > 0:
            piece = self._pieces.popleft()
            if len(piece) > room:
                self._pieces.appendleft(piece[room:])
                piece = piece[:room]
            self._size -= len(piece)
            room -= len(piece)
            taken.append(piece)
        return b"".join(taken)

    def close(self) -> None:
        """Let nothing more come."""
        self._closed = True
        self._asleep.unpark_all()


def marker(count: int) -> bytes:
    """Say that something is missing, in llama-swap's words."""
    return f"\n\u2014 {count} bytes dropped \u2014\n".encode()

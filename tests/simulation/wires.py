"""Connections in memory that behave as TCP does on this machine.

They have bounded buffers, so that who does not read holds up who writes; an end is closed at once
and without waiting; closing with something unread resets the connection, and what was sent before
a reset can still be read.
"""

import trio

# What the kernel keeps between two ends, about; small, so that stalls are frequent.
ROOM = 16384


class End(trio.abc.Stream):
    """One end of a connection."""

    peer: "End"

    def __init__(self, name: str, room: int) -> None:
        self.name = name
        self.closed = False
        self._room = room
        self._unread = bytearray()
        self._ended = self._broken = False
        self._moved = trio.lowlevel.ParkingLot()

    def __repr__(self) -> str:
        return f"<End {self.name}{', closed' * self.closed}>"

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        sent = self.send_now(data)
        with memoryview(data) as rest:
            while sent < len(rest):
                await self._moved.park()
                sent += self.send_now(rest[sent:])

    def send_now(self, data: bytes | bytearray | memoryview) -> int:
        """Send what there is room for; answer how much that was."""
        if self.closed:
            raise trio.ClosedResourceError("this end is closed")
        if self._broken or self.peer.closed:
            raise trio.BrokenResourceError("the other end is closed")
        free = max(self._room - len(self.peer._unread), 0)
        with memoryview(data) as whole, whole[:free] as piece:
            self.peer._unread += piece
            self.peer._moved.unpark_all()
            return len(piece)

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        while True:
            if self.closed:
                raise trio.ClosedResourceError("this end is closed")
            if self._unread:
                taken = bytes(self._unread[:max_bytes])
                del self._unread[: len(taken)]
                self.peer._moved.unpark_all()
                return taken
            if self._broken:
                raise trio.BrokenResourceError("reset by the other end")
            if self._ended:
                return b""
            await self._moved.park()

    def readable(self) -> bool:
        """Tell whether a receive would return at once."""
        return bool(self._unread) or self._ended or self._broken

    def half_close(self) -> None:
        """Say that there will be no more, and go on reading."""
        self.peer._ended = True
        self.peer._moved.unpark_all()

    def close(self) -> None:
        """Close at once."""
        if self._unread:
            self.reset()
        elif not self.closed:
            self.closed = True
            self.peer._ended = True
            self._wake()

    def reset(self) -> None:
        """Close at once, and rudely."""
        if not self.closed:
            self.closed = True
            self.peer._broken = True
            self._wake()

    async def aclose(self) -> None:
        self.close()
        await trio.lowlevel.checkpoint()

    def _wake(self) -> None:
        self._moved.unpark_all()
        self.peer._moved.unpark_all()


def wire(ours: str, theirs: str, *, room: int = ROOM) -> tuple[End, End]:
    """Connect two ends, and call each what it is."""
    left, right = End(ours, room), End(theirs, room)
    left.peer, right.peer = right, left
    return left, right

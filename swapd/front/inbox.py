"""What goes from a connection to the application without going round trio's scheduler, and who
reads on meanwhile.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import trio
from hypercorn.trio.worker_context import EventWrapper
from trio_util import move_on_when

# How many pieces of a request's body may wait for the application.
LONGEST_INBOX = 10

Message = Any


class Inbox:
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


class Parked(EventWrapper):
    """hypercorn's "you may read on"; while it is waited for, the client may leave."""

    def __init__(self, meanwhile: Callable[[], Awaitable[None]]) -> None:
        super().__init__()
        self._meanwhile = meanwhile

    async def wait(self) -> None:
        """Wait until it is set."""
        async with move_on_when(super().wait):
            await self._meanwhile()

"""An answer without an end: what somebody follows, as it comes.

Rule 1: it is followed from the first piece on, not before: who asks for the head follows nothing.
Rule 2: after a piece what comes is collected for a moment: a flood becomes few large writes.
Rule 3: many who follow take turns: a hundred writes in a row would hold up every request.
Rule 4: as many follow as may. A place is given back when the answer ends, or its connection does.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from typing import Protocol

import attrs
import trio
from quart import Response, request

from swapd import refusals
from swapd.manage.replies import refused

# Nobody reads faster. Seconds.
PAUSE = 0.05

# Pages in a few hundred tabs, or a forgotten script; what waits for each may be half a mebibyte.
MOST_FOLLOWERS = 128


class Followed(Protocol):
    """What is followed, by one."""

    async def receive(self) -> bytes:
        """Wait for what came since the last time; b"" is the end."""


def streamed(stream: "Stream", headers: Mapping[str, str], kind: str) -> Response:
    """Answer with it; who asks for the head alone would wait for the end of nothing."""
    if request.method == "HEAD":
        return Response(b"", headers=dict(headers), content_type=kind)
    if not stream.audience.admit(stream):
        return refused(refusals.too_many_followers(stream.audience.most))
    # A stop waits for requests, and not for who only looks on. Not everybody who serves this app
    # knows of connections.
    if (client := request.scope.get("state", {}).get("client")) is not None:
        client.following = True
        # An answer whose client left before its first word is never closed by anybody.
        client.goodbye.callback(stream.leave)
    return Response(stream, headers=dict(headers), content_type=kind)


@attrs.define
class Audience:
    """All who follow the same."""

    most: int = MOST_FOLLOWERS
    turns: trio.Lock = attrs.field(factory=trio.Lock)
    """Handed on, it lets a pass of the scheduler go by."""
    _present: set["Stream"] = attrs.field(factory=set)

    def admit(self, stream: "Stream") -> bool:
        """Give it a place, if there is one."""
        if len(self._present) >= self.most:
            return False
        self._present.add(stream)
        return True

    def dismiss(self, stream: "Stream") -> None:
        """Take its place back; also from one that has none."""
        self._present.discard(stream)


@attrs.define(eq=False)
class Stream:
    """The body of one answer, until Quart closes it."""

    follow: Callable[[], AbstractContextManager[Followed]]
    audience: Audience
    _following: ExitStack = attrs.field(factory=ExitStack)
    _followed: Followed | None = None

    def __aiter__(self) -> "Stream":
        return self

    async def __anext__(self) -> bytes:
        if self._followed is None:
            self._followed = self._following.enter_context(self.follow())
        else:
            await trio.sleep(PAUSE)
        piece = await self._followed.receive()
        if not piece:
            raise StopAsyncIteration
        async with self.audience.turns:
            return piece

    async def aclose(self) -> None:
        """Follow no more; what Quart calls however the answer ends."""
        self.leave()

    def leave(self) -> None:
        """Follow no more, and leave the place to another; may be repeated."""
        self._following.close()
        self.audience.dismiss(self)

"""`GET /api/events`: everything that happens, as a stream of events. Framing as llama-swap's."""

from contextlib import ExitStack

import trio
from quart import Blueprint, Response, request

from swapd.manage.listening import Listener
from swapd.manage.live import Live
from swapd.manage.told import Told, tells

EVENTS = "text/event-stream"

HEADERS = {
    "Cache-Control": "no-cache",
    "Connection": "keep-alive",
    "X-Content-Type-Options": "nosniff",
    # nginx in front of us would collect a stream until it is worth its while.
    "X-Accel-Buffering": "no",
}

# How long what comes is collected after something was sent, so that a flood is few large writes.
PAUSE = 0.05


def blueprint(live: Live) -> Blueprint:
    """Make the page."""
    pages = Blueprint("events", __name__)
    turns = trio.Lock()

    @pages.get("/api/events")
    @tells(Told(kind=EVENTS))
    async def events() -> Response:
        """Follow models, requests, logs and settings, as a stream of server-sent events."""
        # Who asks for the head alone would wait for the end of nothing.
        body = b"" if request.method == "HEAD" else _Stream(live, turns)
        return Response(body, headers=HEADERS, content_type=EVENTS)

    return pages


class _Stream:
    """The body of one answer. It follows from its first piece until Quart closes it."""

    def __init__(self, live: Live, turns: trio.Lock) -> None:
        self._live = live
        self._turns = turns
        self._following = ExitStack()
        self._listener: Listener | None = None

    def __aiter__(self) -> "_Stream":
        return self

    async def __anext__(self) -> bytes:
        if self._listener is None:
            self._listener = self._following.enter_context(self._live.follow())
        else:
            await self._listener.pause(PAUSE)
        piece = await self._listener.receive()
        if not piece:
            raise StopAsyncIteration
        # One after the other: else a hundred writes in a row would hold up every request.
        async with self._turns:
            return piece

    async def aclose(self) -> None:
        """Follow no longer."""
        self._following.close()

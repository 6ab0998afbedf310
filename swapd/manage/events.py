"""`GET /api/events`: everything that happens, as a stream of events. Framing as llama-swap's."""

import trio
from quart import Blueprint, Response

from swapd.manage.live import Live
from swapd.manage.streaming import Stream, streamed
from swapd.manage.told import Told, tells

EVENTS = "text/event-stream"

HEADERS = {
    "Cache-Control": "no-cache",
    "Connection": "keep-alive",
    "X-Content-Type-Options": "nosniff",
    # nginx in front of us would collect a stream until it is worth its while.
    "X-Accel-Buffering": "no",
}


def blueprint(live: Live) -> Blueprint:
    """Make the page."""
    pages = Blueprint("events", __name__)
    turns = trio.Lock()

    @pages.get("/api/events")
    @tells(Told(kind=EVENTS))
    async def events() -> Response:
        """Follow models, requests, logs and settings, as a stream of server-sent events."""
        return streamed(Stream(live.follow, turns), HEADERS, EVENTS)

    return pages

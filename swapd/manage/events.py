"""`GET /api/events`: everything that happens, as a stream of events. Framing as llama-swap's."""

from quart import Blueprint, Response

from swapd.manage.live import Live
from swapd.manage.streaming import Audience, Stream, streamed
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
    audience = Audience()

    @pages.get("/api/events")
    @tells(Told(kind=EVENTS, errors=("too_many_followers",)))
    async def events() -> Response:
        """Follow models, requests, logs and settings, as a stream of server-sent events."""
        return streamed(Stream(live.follow, audience), HEADERS, EVENTS)

    return pages

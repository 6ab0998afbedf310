"""Where browsers are sent, and the answer for whoever asks no more than whether we are there.

The web page itself is not there yet: `/ui` and all below are a 404.
"""

from quart import Blueprint, Response

from swapd.manage.replies import plain
from swapd.manage.told import HTML, TEXT, Told, tells


def blueprint() -> Blueprint:
    """Make the pages."""
    pages = Blueprint("pages", __name__)

    @pages.get("/health")
    @pages.get("/wol-health")
    @tells(Told(kind=TEXT, open=True))
    async def health() -> Response:
        """Say that the daemon answers; nothing about models."""
        return plain("OK")

    @pages.get("/")
    @tells(Told((302,), HTML, open=True))
    async def home() -> Response:
        """Send people to the web page."""
        return _found("/ui")

    @pages.get("/upstream")
    @tells(Told((302,), HTML, open=True))
    async def upstream() -> Response:
        """Send people to the models, whose own pages are below here."""
        return _found("/ui/models")

    return pages


def _found(place: str) -> Response:
    # To the letter what llama-swap sends.
    text, kind = f'<a href="{place}">Found</a>.\n\n', "text/html; charset=utf-8"
    return Response(text, status=302, headers={"Location": place}, content_type=kind)

"""The numbers for Prometheus.

Rule 1: as in llama-swap, whether there is such a page is decided at the start: without a monitor
of the machine there is none.
"""

import trio
from quart import Blueprint, Response

from swapd.manage.told import TEXT, Told, tells
from swapd.watch.exposition import CONTENT_TYPE
from swapd.watch.machine import Machine
from swapd.watch.numbers import Numbers

OFF = "# performance monitor not available\n"


def blueprint(numbers: Numbers, machine: Machine) -> Blueprint:
    """Make the page."""
    pages = Blueprint("metrics", __name__)

    @pages.get("/metrics")
    @tells(Told(statuses=(200, 503), kind=TEXT))
    async def metrics() -> Response:
        """Tell Prometheus what was counted and measured; 503 where `performance` is disabled."""
        if not machine.enabled:
            return Response(OFF, status=503, content_type=CONTENT_TYPE)
        pieces = []
        for piece in numbers.pieces():
            pieces.append(piece)
            await trio.lowlevel.checkpoint()
        return Response(b"".join(pieces), content_type=CONTENT_TYPE)

    return pages

"""Reading a request's body, bounded in size and in time, and getting rid of one not wanted.

The body is read before the request queues: hypercorn tells of a hang-up only through the same
channel, and a queue must not keep a client's upload half sent.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import trio

from swapd.refusals import Refusal, body_stalled, body_too_large

Receive = Callable[[], Awaitable[Any]]

# A client that sends nothing more of its body for this long is not going to.
STALLED_UPLOAD = 60.0

# How long what a refused client still sends is thrown away, so that it gets to read the refusal:
# closing with unread bytes would reset the connection under its feet.
LINGER = 5.0


class ClientGone(Exception):
    """The client hung up before its request was complete."""


class BadUpload(Exception):
    """The body is refused, and what is left of it has not been read."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


async def read_body(receive: Receive, limit: int, *, announced: int | None) -> bytes:
    """Answer with the whole body; raise `BadUpload` or `ClientGone`."""
    if announced is not None and announced > limit:
        raise BadUpload(body_too_large(limit))
    # Not a list of pieces: in chunks of a byte each that would be fifty times the size.
    body = b""
    rest = bytearray()
    with trio.move_on_after(STALLED_UPLOAD) as patience:
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            if not body:
                body = message.get("body", b"")
            else:
                rest += message.get("body", b"")
            if len(body) + len(rest) > limit:
                raise BadUpload(body_too_large(limit))
            if not message.get("more_body", False):
                return body + rest if rest else body
            patience.deadline = trio.current_time() + STALLED_UPLOAD
    raise BadUpload(body_stalled(STALLED_UPLOAD))


async def discard_body(receive: Receive) -> None:
    """Throw away what still comes, until its end, the client's, or ours of patience."""
    with trio.move_on_after(LINGER):
        while True:
            message = await receive()
            if message["type"] == "http.disconnect" or not message.get("more_body", False):
                return

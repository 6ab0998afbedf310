"""Reading a request's body, bounded in size and in time, and getting rid of one not wanted.

The body is read before the request queues: hypercorn tells of a hang-up only through the same
channel, and a queue must not keep a client's upload half sent.

Rule 1: a large body is on its way to the disk, and no more than two mebibytes of it in memory.
Rule 2: whoever has read a body closes it; until then, every way out of here does.
"""

import math
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import Any

import attrs
import trio

from swapd.envelope import Refusal
from swapd.proxy.spool import SPOOLED, Body, NotKept, Spooled, open_spooled
from swapd.refusals import body_stalled, body_too_large, upload_failed

Receive = Callable[[], Awaitable[Any]]
Tap = Callable[[bytes], None]

# A client that sends nothing more of its body for this long is not going to.
STALLED_UPLOAD = 60.0

# After that long all of it has come, on average, at least this fast: who drips a byte a minute
# would else be listened to for weeks. A modem is faster. In bytes a second.
SLOWEST_UPLOAD = 1024

# How long what a refused client still sends is thrown away, so that it gets to read the refusal:
# closing with unread bytes would reset the connection under its feet.
LINGER = 5.0


class ClientGone(Exception):
    """The client hung up before its request was complete."""


class _Refused(Exception):
    """The request is not served, for this reason."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class BadUpload(_Refused):
    """The body is refused, and what is left of it has not been read."""


class Unusable(_Refused):
    """The request has been read, and cannot be served."""


async def read_body(
    receive: Receive, limit: int, *, announced: int | None, tap: Tap | None = None
) -> Body:
    """Answer with the whole body; raise `BadUpload` or `ClientGone`.

    `tap` is shown every piece of it in order; what it raises ends the reading.
    """
    if announced is not None and announced > limit:
        raise BadUpload(body_too_large(limit))
    with trio.move_on_after(STALLED_UPLOAD) as patience:
        upload = _Upload(receive, limit, tap, patience)
        body = await upload.piece()
        # Not a list of pieces: in chunks of a byte each that would be fifty times the size.
        rest = bytearray()
        while upload.more and upload.size <= SPOOLED:
            rest += await upload.piece()
        if upload.size <= SPOOLED:
            return body + rest if rest else body
        rest[:0] = body
        try:
            return await _spool(upload, rest)
        except NotKept as trouble:
            raise BadUpload(upload_failed(str(trouble))) from trouble
    raise BadUpload(body_stalled(STALLED_UPLOAD))


async def discard_body(receive: Receive) -> None:
    """Throw away what still comes, until its end, the client's, or ours of patience."""
    with trio.move_on_after(LINGER):
        while True:
            message = await receive()
            if message["type"] == "http.disconnect" or not message.get("more_body", False):
                return


@attrs.define
class _Upload:
    """What is still to come of a body."""

    receive: Receive
    limit: int
    tap: Tap | None
    patience: trio.CancelScope
    size: int = 0
    """How much of it has come."""
    more: bool = True
    _begun: float = attrs.field(factory=trio.current_time)
    """When its client began to send, plus what it was held up by us."""
    _held_up: float | None = None

    async def piece(self) -> bytes:
        message = await self.receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        piece: bytes = message.get("body", b"")
        self.more = message.get("more_body", False)
        self.size += len(piece)
        if self.size > self.limit:
            raise BadUpload(body_too_large(self.limit))
        if self.tap is not None:
            self.tap(piece)
        if self.more:
            self._wait()
        return piece

    def hold_up(self) -> None:
        """Let its time stand still: it is with the client, not with the disk."""
        self._held_up = trio.current_time()
        self.patience.deadline = math.inf

    def go_on(self) -> None:
        """Wait for the client again."""
        if self._held_up is not None:
            self._begun += trio.current_time() - self._held_up
            self._held_up = None
        self._wait()

    def _wait(self) -> None:
        paced = self._begun + self.size / SLOWEST_UPLOAD
        self.patience.deadline = min(trio.current_time(), paced) + STALLED_UPLOAD


async def _spool(upload: _Upload, held: bytearray) -> Spooled:
    with ExitStack() as unfinished:
        upload.hold_up()
        spooled = await open_spooled()
        unfinished.callback(spooled.close)
        while held:
            await spooled.append(held)
            held = bytearray()
            upload.go_on()
            while upload.more and len(held) < SPOOLED:
                held += await upload.piece()
            upload.hold_up()
        unfinished.pop_all()
        return spooled

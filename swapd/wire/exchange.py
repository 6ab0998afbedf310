"""One HTTP exchange: a request goes out, an answer comes back.

Rule 1: an answer is complete only if its own framing says so; else its reader gets `UpstreamCut`.
Rule 2: a small request is one send, and what one receive brought is one piece.
Rule 3: no task, except while a large body is sent: the answer may come before the body's end.
Rule 4: what two readers could understand differently (two framings, a transfer coding nobody
asked for) is refused, not guessed.
Rule 5: a body that cannot be had whole ends its connection, so that nobody takes a part for it.
"""

from collections.abc import Sequence
from typing import Protocol

import attrs
import httptools
import trio

from swapd.config.settings import Origin, Timeouts
from swapd.wire.headers import request_head, switches_to
from swapd.wire.line import why
from swapd.wire.upgrade import Tunnel

# A body up to this is sent in one go with its head; it fits what a socket takes without waiting.
SMALL_BODY = 64 * 1024

# Heads, trailers and chunk extensions: far beyond real ones, and the most a babbler gets of us.
MAX_HEAD = 1024 * 1024

# How much of an early answer is read while the request's body is still being sent.
EARLY_ANSWER = 1024 * 1024

# What holds where no configuration says anything, as for a probe of a model that is starting.
USUAL = Timeouts()


class UpstreamGone(Exception):
    """There is no answer: no connection, or it ended or turned to garbage before the head."""


class UpstreamUnreached(UpstreamGone):
    """There was no connection to be had; nothing was sent."""


class UpstreamSilent(UpstreamGone):
    """The connection ended without one byte of an answer."""


class UpstreamCut(Exception):
    """The head of the answer came, but not all of the body."""


class UploadLost(Exception):
    """The body to be sent could not be had whole; the model has a part of it, and no fault."""


class Source(Protocol):
    """A body that is not in memory. It may be read more than once, each time from its start."""

    @property
    def size(self) -> int:
        """Say how long the whole is; the request's headers have announced that."""

    async def piece(self, at: int) -> bytes:
        """Read what begins at this offset, as much as suits; b"" is the end.

        An OSError becomes `UploadLost`.
        """


@attrs.frozen
class Request:
    """What is sent, byte for byte; its headers must agree with the length of its body."""

    method: str
    target: bytes
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes | Source
    # What `expect_continue` bounds never happens: no request of ours says `Expect`.
    timeouts: Timeouts = USUAL
    upgrade: bytes = b""
    """The protocol that the answer may switch to with a 101; empty for none."""


class Answer(Tunnel):
    """What a model answers: first its head, then its body piece by piece.

    Only after a 101 that was asked for is it a tunnel, and has no body. `send` and `head` are for
    whoever owns the connection; the parser calls what begins with `on_`.
    """

    def __init__(self, stream: trio.abc.Stream, origin: Origin, *, head_only: bool) -> None:
        super().__init__(stream, origin)
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        """Names and values as they were sent, in their order."""
        self.complete = False
        """All of it has been received, though perhaps not yet read."""
        self._head_only = head_only
        self._upgrade = b""
        self._sent = False
        self._began = False
        self._kept_alive = False
        self.ends_with_connection = False
        """Whether nothing but the end of the connection says where the answer ends."""
        self._wrong = ""
        """Why nothing more will come; empty while something may."""
        self._fruitless = 0
        """Bytes received since the last that were body."""
        self.on_body = self._pieces.append
        self._parser = httptools.HttpResponseParser(self)

    def __repr__(self) -> str:
        return f"<Answer {self.status} of {self._origin}{', complete' * self.complete}>"

    @property
    def reusable(self) -> bool:
        """Tell whether the connection may carry another exchange."""
        return self.complete and self._sent and self._kept_alive

    @property
    def at_hand(self) -> bool:
        """Tell whether a piece of the body can be read without waiting."""
        return bool(self._pieces)

    async def send(self, request: Request) -> None:
        """Send the request as far as the model takes it; why it took no more its answer says.

        Raises `UploadLost` if the body is a `Source` that fails; the connection is of no use then.
        """
        head = request_head(request.method, request.target, request.headers)
        body = request.body
        self._upgrade = request.upgrade
        if isinstance(body, bytes) and len(body) <= SMALL_BODY:
            await self._send(head + body)
            return
        lost: UploadLost | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen_early, nursery.cancel_scope)
            try:
                if isinstance(body, bytes):
                    await self._send(head, body)
                else:
                    await self._send_from(body, head)
            except UploadLost as failed:
                lost = failed  # Not raised in here: the nursery would make it a group.
            nursery.cancel_scope.cancel()
        if lost is not None:
            raise lost

    async def head(self) -> None:
        """Wait until status and headers are there."""
        while not self.status:
            if self._wrong:
                error = UpstreamGone if self._began else UpstreamSilent
                raise error(f"cannot get an answer from {self._origin}: {self._wrong}")
            await self._receive()

    async def read(self) -> bytes:
        """Wait for the next piece of the body; b"" is its end."""
        pieces = self._pieces
        while not pieces:
            if self.complete:
                return b""
            if self._wrong:
                raise UpstreamCut(f"cannot finish the answer of {self._origin}: {self._wrong}")
            await self._receive()
        piece = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._fruitless = 0
        return piece

    async def _send(self, *parts: bytes) -> None:
        try:
            for part in parts:
                await self._stream.send_all(part)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return  # It may have answered before it closed; whoever reads will see.
        self._sent = True

    async def _send_from(self, source: Source, head: bytes) -> None:
        at = 0
        try:
            await self._stream.send_all(head)
            while at < source.size:
                piece = await self._piece(source, at)
                at += len(piece)
                await self._stream.send_all(piece)
                del piece  # Else it would be in memory beside the next.
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return
        self._sent = True

    async def _piece(self, source: Source, at: int) -> bytes:
        """Read on in a body, and no further than to its size: more would be another request."""
        try:
            piece = await source.piece(at)
        except OSError as failed:
            raise UploadLost(f"cannot send the body to {self._origin}: {why(failed)}") from failed
        if not 0 < len(piece) <= source.size - at:
            wrong = f"it no longer has the {source.size} bytes that were announced"
            raise UploadLost(f"cannot send the body to {self._origin}: {wrong}")
        return piece

    async def _listen_early(self, sending: trio.CancelScope) -> None:
        """Stop a sending that the model no longer wants: it refused, is finished, or is gone."""
        while not (self.complete or self._wrong or self.status >= 300):
            if sum(map(len, self._pieces)) > EARLY_ANSWER:
                return
            await self._receive()
        sending.cancel()

    async def _receive(self) -> None:
        """Take what comes next. Raises nothing: what was right before a fault is still read."""
        try:
            data = await self._stream.receive_some()
        except (trio.BrokenResourceError, trio.ClosedResourceError) as broken:
            self._wrong = why(broken)
            return
        if not data:
            if self.ends_with_connection:
                self.complete = True
            else:
                self._wrong = "it closed the connection"
            return
        self._began = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as switch:
            self._switched(bytes(data[switch.args[0] :]))
        except httptools.HttpParserError as garbage:
            self._kept_alive = False
            if not self.complete:
                self._wrong = self._wrong or f"this is not HTTP: {garbage}"
        if self.complete:
            del self._parser  # It holds our methods; without the circle nothing waits for gc.
            if self._head_only and self._pieces:
                self._pieces.clear()
                self._kept_alive = False
        elif not self._pieces:
            self._fruitless += len(data)
            if self._fruitless > MAX_HEAD:
                self._wrong = f"it sent {MAX_HEAD} bytes and nothing of an answer"

    def _switched(self, first: bytes) -> None:
        """Become a tunnel, through which these bytes came already."""
        self.status = 101
        self.complete = True
        if first:
            self._pieces.append(first)

    def on_message_begin(self) -> None:
        if self.status:
            raise httptools.HttpParserError("bytes after the end of the answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.status:  # else it is a trailer
            self.headers.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:
            # Sent: what is left of a body must not go out as the first words in the tunnel.
            if status == 101 and self._sent and switches_to(self._upgrade, self.headers):
                return
            if status == 101 or status < 100:
                self._wrong = f"it answers with status {status}, which nobody asked for"
                raise httptools.HttpParserError(self._wrong)
            return
        framed = status in (204, 304)
        for name, value in self.headers:
            if len(name) == 14 and name.lower() == b"content-length":
                framed = True
            elif len(name) == 17 and name.lower() == b"transfer-encoding":
                framed = True
                if value.lower() != b"chunked":
                    self._wrong = f"it uses a transfer coding, {value!r}, which nobody asked for"
                    raise httptools.HttpParserError(self._wrong)
        self.status = status
        self.complete = self._head_only
        self.ends_with_connection = not (framed or self._head_only)
        self._kept_alive = self._parser.should_keep_alive()

    def on_message_complete(self) -> None:
        if self.status:
            self.complete = True
        elif self._parser.get_status_code() != 101:
            self.headers.clear()  # An informational answer; the real one follows.

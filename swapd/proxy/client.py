"""What a client has been sent so far, and how its answer may go on from there.

Rule 1: an answer that is not whole never looks whole: what was cut is aborted, and an event stream
gets an error event first.
Rule 2: a stream that we began ourselves, for a client that waits, is a stream of events to its
end: whatever the model or we have to say then comes as an event.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import trio

from swapd.envelope import Reader, Refusal
from swapd.proxy import events
from swapd.proxy.body import Receive, discard_body
from swapd.proxy.scope import Scope
from swapd.watch.tap import error_message
from swapd.watch.trace import UPSTREAM_ERROR, Trace
from swapd.wire.exchange import Answer
from swapd.wire.headers import Header, first, for_client, is_event_stream

log = logging.getLogger(__name__)

Send = Callable[[Any], Awaitable[None]]
Hear = Callable[[bytes], None]
Listen = Callable[[Trace], Hear]
"""Asked, when the head of a model's answer is there, who hears the body."""
Headers = list[Header]

# What the name of a request is sent in; a peer that is a swapd, too, has names of its own.
NAME = b"X-Swapd-Request"
_NAME = NAME.lower()

_BEGUN = [
    (b"Content-Type", b"text/event-stream"),
    (b"Cache-Control", b"no-cache"),
    (b"X-Accel-Buffering", b"no"),
]

# The most of an answer that is turned into an event, in bytes: several pictures in base64. It is
# in memory whole.
LARGEST_EVENT = 32 * 1024 * 1024

# The most of an error that is; people read it, if anybody.
LARGEST_ERROR = 64 * 1024

# What a status would have said of an answer that is not sent on.
UNUSABLE = 502


class Tunnel(Protocol):
    """A client's connection once nobody speaks HTTP on it any more."""

    async def receive(self) -> bytes:
        """Wait for what the client sends; b"" when it has left."""

    async def send(self, data: bytes) -> None:
        """Send; raises `trio.BrokenResourceError` when the client is gone."""


class Client(Protocol):
    """One client's connection; `front` puts it into the scope's state as "client"."""

    upgrade: bytes
    """The protocol that it wants to go on in; b"" for none."""

    def abort(self) -> None:
        """See to it that closing resets the connection."""

    def hold(self) -> None:
        """Keep what is sent from now on, until `release`, so that it leaves in one write."""

    async def release(self) -> None:
        """Send what was kept."""

    def tunnel(self) -> Tunnel:
        """Stop speaking HTTP; the connection ends with the request."""


class ToClient:
    """One request's way back."""

    def __init__(
        self,
        scope: Scope,
        send: Send,
        *,
        trace: Trace,
        reader: Reader,
        listen: Listen,
    ) -> None:
        self.client: Client = scope["state"]["client"]
        self.trace = trace
        self.reader = reader
        self.headed: Callable[[], None] | None = None
        """Told when the client has a status."""
        self._listen = listen
        self._hear: Hear = _nobody
        self._named = (NAME, trace.name.encode())
        self.begun = False
        """Whether we have begun a stream of events ourselves."""
        self._tunnelled = False
        self._version = scope["http_version"]
        self._send = send
        self._upstream: Answer | None = None
        """The answer whose head the client has, or is about to have."""
        self._last = b""
        """What is left of it to be sent together with its end."""

    @property
    def name(self) -> str:
        """What the request is called."""
        return self.trace.name

    async def pass_on(self, upstream: Answer, *, timing: bytes) -> None:
        """Send the model's answer as it comes, all but its end."""
        if self.begun:
            await self._go_on_with(upstream)
            return
        self._upstream = upstream
        self.client.hold()
        await self._start(upstream.status, [*self._headers(upstream), (b"Server-Timing", timing)])
        self._hear = self._listen(self.trace)
        piece = await upstream.read() if upstream.at_hand else b""
        if upstream.complete and not upstream.at_hand:
            self.trace.first = trio.current_time()
            self._last = piece  # The end goes with it, when the turn has been given back.
            return
        if piece:
            self.trace.first = trio.current_time()
            await self._body(piece)
            self._hear(piece)
        await self.client.release()
        await self._pass_on_pieces(upstream)

    async def begin(self) -> None:
        """Begin a stream of events: the model's answer will have to be one."""
        self.begun = True
        await self._start(200, [*_BEGUN, self._named])

    async def event(self, text: bytes) -> None:
        """Send an event, or a comment."""
        await self._body(text)

    def switch(self, upstream: Answer, *, timing: bytes) -> tuple[Tunnel, bytes]:
        """Stop speaking HTTP; answer also with the head that tells the client so."""
        self._tunnelled = True
        self._note(101, upstream.headers)
        lines = [b"HTTP/1.1 101 Switching Protocols", b"Connection: Upgrade"]
        lines.append(b"Upgrade: " + self.client.upgrade)
        headers = [*self._headers(upstream), (b"Server-Timing", timing)]
        lines += [b"%b: %b" % header for header in headers]
        return self.client.tunnel(), b"\r\n".join([*lines, b"", b""])

    async def finish(self) -> None:
        """End the answer as complete."""
        if self._tunnelled:
            self.trace.whole = True
            return
        try:
            await self._end(self._last)
        finally:
            self._hear(self._last)

    async def refuse(self, refusal: Refusal) -> None:
        """Say no: as an answer if none has begun, else so that nobody takes it for complete."""
        self._refused(refusal)
        if self._tunnelled:
            return
        if self._upstream is None:
            if self.begun:
                await self._body(refusal.event(self.reader))
                await self._end()
            else:
                await self.say(*self._written(refusal))
            return
        if self.begun or _takes_events(self._upstream):
            await self._body(refusal.event(self.reader))
        # Returning without an end makes hypercorn close the connection; where the end of the
        # connection would be the end of the answer, it has to be a visible one.
        if self._version == "1.0":
            self.client.abort()

    async def refuse_unread(self, refusal: Refusal, receive: Receive) -> None:
        """Say no to a body that is still on its way."""
        self._refused(refusal)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(discard_body, receive)
            await self._say(*self._written(refusal))
        await self._end()

    def warn(self, refusal: Refusal) -> None:
        """Tell the operator of a refusal that is not the client's fault, and nobody else tells."""
        log.warning("request %s: %s", self.name, refusal.message)

    async def say(self, status: int, headers: Headers, body: bytes = b"") -> None:
        """Send a small answer of our own."""
        await self._say(status, headers, body)
        await self._end()

    def _refused(self, refusal: Refusal) -> None:
        self.trace.refused, self.trace.said = refusal.code, refusal.message

    def _failed(self, why: str) -> None:
        """Note that the model's answer was none, where the status that went out says otherwise."""
        self.trace.refused, self.trace.said = UPSTREAM_ERROR, why

    def _note(self, status: int, headers: Headers) -> None:
        self.trace.status, self.trace.response_headers = status, headers
        self.trace.kind = (first(headers, b"content-type") or b"").decode("latin-1")
        if self.headed is not None:
            self.headed()

    async def _pass_on_pieces(self, upstream: Answer) -> None:
        while piece := await upstream.read():
            if self.trace.first is None:
                self.trace.first = trio.current_time()
            await self._body(piece)
            self._hear(piece)

    async def _go_on_with(self, upstream: Answer) -> None:
        fine = upstream.status < 300
        if _compressed(upstream):
            await self._unusable(upstream, "compressed, though it was asked not to be")
        elif fine and is_event_stream(upstream.headers):
            self._upstream = upstream
            self._hear = self._listen(self.trace)
            await self._pass_on_pieces(upstream)
        else:
            limit = LARGEST_EVENT if fine else LARGEST_ERROR
            body = bytearray()
            while len(body) <= limit and (piece := await upstream.read()):
                self.trace.first = self.trace.first or trio.current_time()
                body += piece
            if fine and len(body) > limit:
                await self._unusable(upstream, f"no event stream, and larger than {limit} bytes")
                return
            whole = bytes(body[:limit])
            event = events.of_answer(upstream.status, whole, self.reader)
            self._hear = self._listen(self.trace)
            if not fine:
                self._failed(error_message(upstream.status, whole))
            await self._body(event)
            self._hear(event)

    async def _unusable(self, upstream: Answer, what: str) -> None:
        """Say why nothing of an answer is in the stream."""
        text = f"the model's answer, of status {upstream.status}, cannot be sent on: it is {what}"
        self._failed(text)
        await self._body(events.of_answer(UNUSABLE, text.encode(), self.reader))

    def _headers(self, upstream: Answer) -> Headers:
        headers = for_client(upstream.headers, status=upstream.status)
        if first(headers, _NAME) is not None:
            headers = [header for header in headers if header[0].lower() != _NAME]
        return [*headers, self._named]

    def _written(self, refusal: Refusal) -> tuple[int, Headers, bytes]:
        headers = [(name.encode(), value.encode()) for name, value in refusal.headers(self.reader)]
        return refusal.status, headers, refusal.body(self.reader)

    async def _say(self, status: int, headers: Headers, body: bytes) -> None:
        """Send all but the end."""
        length = (b"Content-Length", b"%d" % len(body))
        await self._start(status, [*headers, self._named, length])
        await self._body(body)

    async def _start(self, status: int, headers: Headers) -> None:
        self._note(status, headers)
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def _body(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": True})
        self.trace.bytes += len(data)

    async def _end(self, last: bytes = b"") -> None:
        await self._send({"type": "http.response.body", "body": last, "more_body": False})
        await self.client.release()
        self.trace.bytes += len(last)
        self.trace.whole = True


def _nobody(piece: bytes) -> None:
    """Hear nothing."""


def _takes_events(upstream: Answer) -> bool:
    """Whether an event may be put into the answer: plain, and of no announced length."""
    if not is_event_stream(upstream.headers) or _compressed(upstream):
        return False
    return first(upstream.headers, b"content-length") is None


def _compressed(upstream: Answer) -> bool:
    return first(upstream.headers, b"content-encoding") not in (None, b"identity")

"""One request for a model while it is under way: what becomes known of it, and when.

Rule 1: whoever learns something writes it down here, and nobody decides by it.
Rule 2: this is on the path of every request: plain attributes, nothing made before it is needed.
"""

import trio

from swapd.watch.tap import Tap

Header = tuple[bytes, bytes]

# How it ended where the model's answer was an error.
UPSTREAM_ERROR = "upstream_error"

# What an access log says of a client that left before it was answered; nginx's word.
CLIENT_LEFT = 499


class Trace:
    """All that is known of one request. Instants are on the run's clock, durations in seconds."""

    __slots__ = (
        "address",
        "agent",
        "began",
        "bytes",
        "counted",
        "first",
        "kind",
        "known",
        "loading",
        "metadata",
        "method",
        "model",
        "name",
        "path",
        "protocol",
        "queued",
        "recorded",
        "refused",
        "request_body",
        "request_headers",
        "reserved",
        "response_headers",
        "route",
        "said",
        "sent",
        "shown",
        "status",
        "tap",
        "told_headers",
        "whole",
    )

    def __init__(
        self,
        name: str,
        *,
        method: str,
        path: str,
        protocol: str,
        headers: list[Header],
        address: str,
        agent: str,
    ) -> None:
        self.name = name
        """What queue, log and answer call it: r-…"""
        self.method = method
        self.path = path
        """As it was asked for, decoded, without the query."""
        self.protocol = protocol
        """As in `HTTP/1.1`, without the `HTTP/`."""
        self.request_headers = headers
        self.address = address
        """Whom it is from, as the proxies before us say, if they do."""
        self.agent = agent
        self.began = trio.current_time()
        self.model = ""
        """The model's id; a peer's model, or what nobody has, as it was asked for."""
        self.known = False
        """Whether `model` is configured, and not merely what a client wrote."""
        self.route = ""
        """The path that says what it is: as the model's server is asked."""
        self.shown = False
        """Whether it is among the requests in flight that people are told of."""
        self.recorded = False
        """Whether there will be a record of it."""
        self.metadata: dict[str, str] = {}
        self.request_body: bytes | None = None
        """As it went to the model, where it is to be captured and in memory."""
        self.queued = 0.0
        self.loading = 0.0
        self.sent: float | None = None
        """When the model was given it."""
        self.first: float | None = None
        """When the first byte of the model's answer was there."""
        self.status = 0
        """Of the answer; 0 while there is none."""
        self.kind = ""
        """The content type of the answer."""
        self.response_headers: list[Header] = []
        self.bytes = 0
        """What the client was sent of the body."""
        self.counted = 0
        """What of that whoever watches was told."""
        self.whole = False
        """Whether the client was sent all of the answer."""
        self.refused = ""
        """The `error.code` of our own refusal; empty for what the model answered."""
        self.said = ""
        """What our own refusal says."""
        self.tap: Tap | None = None
        """Listens to the model's answer, if anybody wants to know what it says."""
        self.told_headers: dict[str, str] | None = None
        """The request's headers as people are told of them; None before that."""
        self.reserved = 0
        """How much of the answer may be captured, in bytes."""

    @property
    def outcome(self) -> str:
        """Say how it ended: `ok`, `client_gone`, `upstream_error`, or the code of our error."""
        if self.refused:
            return self.refused
        if not self.whole:
            return "client_gone"
        return UPSTREAM_ERROR if self.status >= 400 else "ok"

    def failed(self) -> None:
        """Note that an error of our own ended it."""
        self.status = self.status or 500
        self.refused, self.said = "internal_error", "an error in swapd itself; its log says which"

    @property
    def streamed(self) -> bool:
        """Tell whether it was answered with a stream of events."""
        return "text/event-stream" in self.kind

    @property
    def told_status(self) -> int:
        """Answer with the status for the log, also of who left before there was one."""
        return self.status or CLIENT_LEFT

    @property
    def first_byte(self) -> float | None:
        """Say how many seconds the model took to the first byte of its answer."""
        if self.first is None or self.sent is None:
            return None
        return self.first - self.sent

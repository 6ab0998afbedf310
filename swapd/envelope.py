"""How a refusal is written down: OpenAI's envelope, Anthropic's, a page, or plain text.

Who reads it decides. The choice between them, and the shapes, are llama-swap's.
"""

import html
import json
import math
from typing import Any

import attrs

from swapd.schedule.reasons import Cause

# OpenAI's error types by status; every other 4xx is the client's, every 5xx the server's.
TYPES = {401: "authentication_error", 403: "authentication_error", 429: "rate_limit_error"}

# Anthropic's, in the same way.
ANTHROPIC_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
}


@attrs.frozen
class Reader:
    """Who is told no, and how they want to read it."""

    accept: str = ""
    """The request's `Accept`."""
    anthropic: bool = False
    """Whether the path is one of Anthropic's API."""


@attrs.frozen
class Refusal:
    """What a client is told instead of an answer."""

    status: int
    code: str
    message: str
    retry_after: float | None = None
    """Seconds after which the same request may succeed."""
    allow: str | None = None
    """The methods that the path has, for a 405."""
    cause: Cause | None = None

    def body(self, reader: Reader = Reader()) -> bytes:
        """Render it for this reader."""
        match self._kind(reader):
            case "text/plain":
                text = f"swapd: {self.message}"
            case "text/html":
                text = f"<html><body><h1>swapd</h1><p>{_escaped(self.message)}</p></body></html>"
            case _:
                text = json.dumps(self.envelope(reader), separators=(",", ":"))
        return text.encode("utf-8", "replace")

    def envelope(self, reader: Reader = Reader()) -> dict[str, Any]:
        """Answer with the envelope as a value: OpenAI's, or Anthropic's with the same code."""
        types, other = (TYPES, "invalid_request_error" if self.status < 500 else "server_error")
        if reader.anthropic:
            types, other = (ANTHROPIC_TYPES, other.replace("server_error", "api_error"))
        error: dict[str, Any] = {
            "message": self.message,
            "type": types.get(self.status, other),
            "param": None,
            "code": self.code,
        }
        if self.cause is not None:
            error["cause"] = attrs.asdict(self.cause)
        kind = {"type": "error"} if reader.anthropic else {}
        return {**kind, "src": "swapd", "error": error}

    def headers(self, reader: Reader = Reader()) -> list[tuple[str, str]]:
        """Answer with the headers that go with the body, without Content-Length."""
        headers = [("Content-Type", self._kind(reader))]
        if self.retry_after is not None:
            headers.append(("Retry-After", str(max(1, math.ceil(self.retry_after)))))
        if self.allow is not None:
            headers.append(("Allow", self.allow))
        if self.status == 401:
            headers.append(("WWW-Authenticate", 'Basic realm="swapd"'))
        return headers

    def event(self, reader: Reader = Reader()) -> bytes:
        """Render a server-sent event, for a stream that is cut in the middle of anything."""
        name = b"event: error\n" if reader.anthropic else b""
        body = json.dumps(self.envelope(reader), separators=(",", ":")).encode()
        return b"\n\n" + name + b"data: " + body + b"\n\n"

    def _kind(self, reader: Reader) -> str:
        # As llama-swap: a part of the text decides, and what says "too many" is for programs.
        for kind in ("text/plain", "text/html"):
            if kind in reader.accept and self.status != 429:
                return kind
        return "application/json"


def _escaped(text: str) -> str:
    # As Go writes the two quotation marks, which is what the reference's readers have seen.
    return html.escape(text).replace("&quot;", "&#34;").replace("&#x27;", "&#39;")

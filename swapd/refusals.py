"""Everything a request can be refused for, as a status and an OpenAI error body.

The only room that names a status code of ours. Messages say whose fault it is and what to do.
"""

import json
import math
from typing import Any, assert_never

import attrs

from swapd.ids import ModelId
from swapd.schedule.reasons import (
    BackingOff,
    Cause,
    LoadFailed,
    ModelUnloaded,
    QueueFull,
    Reason,
    ShuttingDown,
    Unkillable,
    UnknownModel,
)

# What a client is told to wait while the daemon restarts, in seconds.
RESTART = 5.0

# OpenAI's error types by status; every other 4xx is the client's, every 5xx the server's.
TYPES = {401: "authentication_error", 403: "authentication_error", 429: "rate_limit_error"}


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

    def body(self) -> bytes:
        """Render the OpenAI envelope."""
        return json.dumps(self.envelope(), separators=(",", ":")).encode()

    def envelope(self) -> dict[str, Any]:
        """Answer with the envelope as a value."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        error: dict[str, Any] = {
            "message": self.message,
            "type": TYPES.get(self.status, kind),
            "param": None,
            "code": self.code,
        }
        if self.cause is not None:
            error["cause"] = attrs.asdict(self.cause)
        return {"src": "swapd", "error": error}

    def headers(self) -> list[tuple[str, str]]:
        """Answer with the headers that go with the envelope, without Content-Length."""
        headers = [("Content-Type", "application/json")]
        if self.retry_after is not None:
            headers.append(("Retry-After", str(max(1, math.ceil(self.retry_after)))))
        if self.allow is not None:
            headers.append(("Allow", self.allow))
        return headers

    def event(self) -> bytes:
        """Render a server-sent event, for a stream that is cut in the middle of anything."""
        return b"\n\ndata: " + self.body() + b"\n\n"


def of_reason(reason: Reason, retry_after: float | None = None) -> Refusal:
    """Translate the scheduler's reason."""
    match reason:
        case UnknownModel(model):
            return unknown_model(model)
        case QueueFull(limit):
            text = f"cannot queue another request: {limit} wait already; try again later"
            return Refusal(429, "queue_full", text, retry_after=retry_after)
        case LoadFailed(model, cause):
            text = f"cannot load {model}: {_words(cause)}"
            return Refusal(502, "load_failed", text, cause=cause)
        case BackingOff(model, cause):
            text = f"{model} failed to load several times and is left alone: {_words(cause)}"
            return Refusal(503, "back_off", text, retry_after=retry_after, cause=cause)
        case Unkillable(model, why):
            text = f"cannot load anything: {model} will not die: {why}"
            return Refusal(503, "model_failed", text)
        case ModelUnloaded(model):
            text = f"{model} was unloaded while this request waited for it or used it"
            return Refusal(503, "model_unloaded", text)
        case ShuttingDown():
            text = "swapd is shutting down; try again when it is back"
            return Refusal(503, "shutting_down", text, retry_after=RESTART)
        case _:
            assert_never(reason)


def unknown_model(name: str) -> Refusal:
    """Say that nobody configured this name."""
    text = f'model "{name}" not found; GET /v1/models lists those there are'
    return Refusal(404, "model_not_found", text)


def invalid_request(text: str) -> Refusal:
    """Say what is wrong with the client's body."""
    return Refusal(400, "invalid_request", text)


def body_too_large(limit: int) -> Refusal:
    """Say how much a request may hold."""
    text = f"the request's body is larger than {limit} bytes (swapd serve --max-body)"
    return Refusal(413, "body_too_large", text)


def body_stalled(seconds: float) -> Refusal:
    """Say that the rest of the body did not come."""
    return Refusal(408, "invalid_request", f"no more of the body came within {seconds:g} s")


def upstream_unreachable(model: ModelId, text: str) -> Refusal:
    """Say that the loaded model's server did not answer."""
    return Refusal(502, "upstream_unreachable", f"{model} did not answer: {text}")


def upstream_cut(model: ModelId, text: str) -> Refusal:
    """Say that the model's answer ended too early."""
    return Refusal(502, "upstream_cut", f"{model} ended its answer too early: {text}")


def not_found(path: str) -> Refusal:
    """Say that there is no such path."""
    return Refusal(404, "not_found", f"there is nothing at {path}")


def method_not_allowed(method: str, allow: str) -> Refusal:
    """Say which methods the path has."""
    text = f"{method} is not possible here; use {allow}"
    return Refusal(405, "method_not_allowed", text, allow=allow)


def bad_request(status: int, text: str) -> Refusal:
    """Say what the web framework found wrong with a request."""
    return Refusal(status, "invalid_request", text)


def broken_configuration(mistakes: int) -> Refusal:
    """Say that a new configuration cannot be used."""
    count = "a mistake" if mistakes == 1 else f"{mistakes} mistakes"
    text = f"the configuration has {count}; nothing has changed"
    return Refusal(422, "invalid_request", text)


def internal_error() -> Refusal:
    """Say that it is our own fault."""
    text = "an error in swapd itself; its log says which"
    return Refusal(500, "internal_error", text)


def _words(cause: Cause) -> str:
    if not cause.last_lines:
        return cause.text
    return "\n".join([f"{cause.text}; its last lines:", *cause.last_lines])
